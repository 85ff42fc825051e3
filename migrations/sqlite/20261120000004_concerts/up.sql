CREATE TABLE concerts (
    -- The list of concerts goes by this key.
    id BLOB NOT NULL PRIMARY KEY,
    catalogue_key TEXT NULL,
    promoter_id BLOB NULL,
    title TEXT NOT NULL,
    artist TEXT NOT NULL,
    description TEXT NOT NULL,
    sales_open_at TIMESTAMP NOT NULL,
    sales_close_at TIMESTAMP NOT NULL,
    max_seats_per_account BIGINT NOT NULL,
    max_active BIGINT NOT NULL,
    version BIGINT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    -- The key under which the row was asked for, and a digest of what was asked.
    idempotency_key TEXT NULL,
    fingerprint BLOB NULL,
    -- An import finds what it imported before.
    CONSTRAINT concerts_catalogue_key UNIQUE (catalogue_key),
    -- A repeated request finds what it made.
    CONSTRAINT concerts_idempotency UNIQUE (promoter_id, idempotency_key)
) WITHOUT ROWID;
