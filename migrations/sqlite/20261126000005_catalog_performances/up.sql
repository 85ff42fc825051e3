CREATE TABLE performances (
    id BLOB NOT NULL PRIMARY KEY,
    -- The name of the performance in an imported file.
    catalog_key TEXT NULL,
    publisher_id BLOB NULL,
    -- The owner of the key: the publisher, or 16 zero bytes for the operator. In contrast to a null, they are compared.
    owner_id BLOB NOT NULL,
    concert_id BLOB NOT NULL,
    venue_id BLOB NOT NULL,
    starts_at TIMESTAMP NOT NULL,
    -- When the venue is free again.
    ends_at TIMESTAMP NOT NULL,
    seats_total BIGINT NOT NULL,
    price_min BIGINT NOT NULL,
    price_max BIGINT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    -- The key of the request that made the row, and a digest of what it asked for.
    idempotency_key TEXT NULL,
    fingerprint BLOB NULL,
    -- Since when it is taken from sale.
    withdrawn_at TIMESTAMP NULL,
    -- When its start was last moved, and the latest start that it had before: until then, what was held before can be
    -- cancelled.
    moved_at TIMESTAMP NULL,
    cancel_until TIMESTAMP NULL,
    -- An import finds the performance that an earlier import of the same owner made, and whether others have the key.
    CONSTRAINT performances_catalog_key UNIQUE (catalog_key, owner_id),
    -- A repeated request finds the performance that the first one made.
    CONSTRAINT performances_idempotency UNIQUE (publisher_id, idempotency_key)
) WITHOUT ROWID;

-- The performances of a concert by start, page by page; how many there are, the first and the last.
CREATE INDEX performances_by_concert ON performances (concert_id, starts_at, id);

-- Whether a venue is taken at a time.
CREATE INDEX performances_by_venue ON performances (venue_id, starts_at, ends_at);
