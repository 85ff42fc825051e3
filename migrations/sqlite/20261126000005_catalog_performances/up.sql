CREATE TABLE performances (
    id BLOB NOT NULL PRIMARY KEY,
    -- The name of the performance in an imported file.
    catalog_key TEXT NULL,
    publisher_id BLOB NULL,
    concert_id BLOB NOT NULL,
    venue_id BLOB NOT NULL,
    starts_at TIMESTAMP NOT NULL,
    seats_total BIGINT NOT NULL,
    price_min BIGINT NOT NULL,
    price_max BIGINT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    -- The key of the request that made the row, and a digest of what it asked for.
    idempotency_key TEXT NULL,
    fingerprint BLOB NULL,
    -- An import finds the performance that an earlier import made.
    CONSTRAINT performances_catalog_key UNIQUE (catalog_key),
    -- A repeated request finds the performance that the first one made.
    CONSTRAINT performances_idempotency UNIQUE (publisher_id, idempotency_key)
) WITHOUT ROWID;

-- The performances of a concert by start, page by page; how many there are, the first and the last.
CREATE INDEX performances_by_concert ON performances (concert_id, starts_at, id);
