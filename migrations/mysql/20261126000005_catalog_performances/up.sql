CREATE TABLE performances (
    id BINARY(16) NOT NULL PRIMARY KEY,
    -- The name of the performance in an imported file.
    catalog_key VARCHAR(255) NULL,
    publisher_id BINARY(16) NULL,
    concert_id BINARY(16) NOT NULL,
    venue_id BINARY(16) NOT NULL,
    starts_at DATETIME(6) NOT NULL,
    seats_total BIGINT NOT NULL,
    price_min BIGINT NOT NULL,
    price_max BIGINT NOT NULL,
    created_at DATETIME(6) NOT NULL,
    -- The key of the request that made the row, and a digest of what it asked for.
    idempotency_key VARCHAR(255) NULL,
    fingerprint BINARY(16) NULL,
    -- An import finds the performance that an earlier import made.
    CONSTRAINT performances_catalog_key UNIQUE (catalog_key),
    -- A repeated request finds the performance that the first one made.
    CONSTRAINT performances_idempotency UNIQUE (publisher_id, idempotency_key),
    -- The performances of a concert by start, page by page; how many there are, the first and the last.
    INDEX performances_by_concert (concert_id, starts_at, id)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
