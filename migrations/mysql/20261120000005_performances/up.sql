CREATE TABLE performances (
    id BINARY(16) NOT NULL PRIMARY KEY,
    catalogue_key VARCHAR(255) NULL,
    publisher_id BINARY(16) NULL,
    concert_id BINARY(16) NOT NULL,
    venue_id BINARY(16) NOT NULL,
    starts_at DATETIME(6) NOT NULL,
    seats_total BIGINT NOT NULL,
    price_min BIGINT NOT NULL,
    price_max BIGINT NOT NULL,
    created_at DATETIME(6) NOT NULL,
    -- The key under which the row was asked for, and a digest of what was asked.
    idempotency_key VARCHAR(255) NULL,
    fingerprint BINARY(16) NULL,
    -- An import finds what it imported before.
    CONSTRAINT performances_catalogue_key UNIQUE (catalogue_key),
    -- A repeated request finds what it made.
    CONSTRAINT performances_idempotency UNIQUE (publisher_id, idempotency_key)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
