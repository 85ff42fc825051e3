CREATE TABLE venues (
    id BLOB NOT NULL PRIMARY KEY,
    -- The promoter's own name for it, from an import.
    catalogue_key TEXT NULL,
    publisher_id BLOB NULL,
    name TEXT NOT NULL,
    location TEXT NOT NULL,
    capacity BIGINT NOT NULL,
    -- JSON: the sections with their rows and numbers of seats. Read and written whole.
    sections TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    -- The key under which the row was asked for, and a digest of what was asked.
    idempotency_key TEXT NULL,
    fingerprint BLOB NULL,
    -- An import finds what it imported before.
    CONSTRAINT venues_catalogue_key UNIQUE (catalogue_key),
    -- A repeated request finds what it made.
    CONSTRAINT venues_idempotency UNIQUE (publisher_id, idempotency_key)
) WITHOUT ROWID;
