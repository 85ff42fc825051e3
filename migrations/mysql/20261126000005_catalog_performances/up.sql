CREATE TABLE performances (
    id BINARY(16) NOT NULL PRIMARY KEY,
    -- The name of the performance in an imported file.
    catalog_key VARCHAR(255) NULL,
    publisher_id BINARY(16) NULL,
    -- The owner of the key: the publisher, or 16 zero bytes for the operator. In contrast to a null, they are compared.
    owner_id BINARY(16) NOT NULL,
    concert_id BINARY(16) NOT NULL,
    venue_id BINARY(16) NOT NULL,
    starts_at DATETIME(6) NOT NULL,
    -- When the venue is free again.
    ends_at DATETIME(6) NOT NULL,
    seats_total BIGINT NOT NULL,
    price_min BIGINT NOT NULL,
    price_max BIGINT NOT NULL,
    created_at DATETIME(6) NOT NULL,
    -- The key of the request that made the row, and a digest of what it asked for.
    idempotency_key VARCHAR(255) NULL,
    fingerprint BINARY(16) NULL,
    -- Since when it is taken from sale.
    withdrawn_at DATETIME(6) NULL,
    -- When its start was last moved, and the latest start that it had before: until then, what was held before can be
    -- cancelled.
    moved_at DATETIME(6) NULL,
    cancel_until DATETIME(6) NULL,
    -- An import finds the performance that an earlier import of the same owner made, and whether others have the key.
    CONSTRAINT performances_catalog_key UNIQUE (catalog_key, owner_id),
    -- A repeated request finds the performance that the first one made.
    CONSTRAINT performances_idempotency UNIQUE (publisher_id, idempotency_key),
    -- The performances of a concert by start, page by page; how many there are, the first and the last.
    INDEX performances_by_concert (concert_id, starts_at, id),
    -- Whether a venue is taken at a time.
    INDEX performances_by_venue (venue_id, starts_at, ends_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
