CREATE TABLE venues (
    id BLOB NOT NULL PRIMARY KEY,
    -- The name of the venue in an imported file.
    catalog_key TEXT NULL,
    publisher_id BLOB NULL,
    name TEXT NOT NULL,
    location TEXT NOT NULL,
    capacity BIGINT NOT NULL,
    -- JSON: the sections with their rows and numbers of seats. Read and written whole.
    sections TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    -- The key of the request that made the row, and a digest of what it asked for.
    idempotency_key TEXT NULL,
    fingerprint BLOB NULL,
    -- An import finds the venue that an earlier import made.
    CONSTRAINT venues_catalog_key UNIQUE (catalog_key),
    -- A repeated request finds the venue that the first one made.
    CONSTRAINT venues_idempotency UNIQUE (publisher_id, idempotency_key)
) WITHOUT ROWID;
