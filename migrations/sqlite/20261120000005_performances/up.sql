CREATE TABLE performances (
    id BLOB NOT NULL PRIMARY KEY,
    catalogue_key TEXT NULL,
    publisher_id BLOB NULL,
    concert_id BLOB NOT NULL,
    venue_id BLOB NOT NULL,
    starts_at TIMESTAMP NOT NULL,
    seats_total BIGINT NOT NULL,
    price_min BIGINT NOT NULL,
    price_max BIGINT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    -- The key under which the row was asked for, and a digest of what was asked.
    idempotency_key TEXT NULL,
    fingerprint BLOB NULL,
    -- An import finds what it imported before.
    CONSTRAINT performances_catalogue_key UNIQUE (catalogue_key),
    -- A repeated request finds what it made.
    CONSTRAINT performances_idempotency UNIQUE (publisher_id, idempotency_key)
) WITHOUT ROWID;
