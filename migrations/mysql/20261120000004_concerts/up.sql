CREATE TABLE concerts (
    -- The list of concerts goes by this key.
    id BINARY(16) NOT NULL PRIMARY KEY,
    catalogue_key VARCHAR(255) NULL,
    promoter_id BINARY(16) NULL,
    title VARCHAR(255) NOT NULL,
    artist VARCHAR(255) NOT NULL,
    description TEXT NOT NULL,
    sales_open_at DATETIME(6) NOT NULL,
    sales_close_at DATETIME(6) NOT NULL,
    max_seats_per_account BIGINT NOT NULL,
    max_active BIGINT NOT NULL,
    version BIGINT NOT NULL,
    created_at DATETIME(6) NOT NULL,
    -- The key under which the row was asked for, and a digest of what was asked.
    idempotency_key VARCHAR(255) NULL,
    fingerprint BINARY(16) NULL,
    -- An import finds what it imported before.
    CONSTRAINT concerts_catalogue_key UNIQUE (catalogue_key),
    -- A repeated request finds what it made.
    CONSTRAINT concerts_idempotency UNIQUE (promoter_id, idempotency_key)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
