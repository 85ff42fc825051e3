CREATE TABLE venues (
    id BLOB NOT NULL PRIMARY KEY,
    -- The name of the venue in an imported file.
    catalog_key TEXT NULL,
    publisher_id BLOB NULL,
    -- The owner of the key: the publisher, or 16 zero bytes for the operator. In contrast to a null, they are compared.
    owner_id BLOB NOT NULL,
    name TEXT NOT NULL,
    location TEXT NOT NULL,
    capacity BIGINT NOT NULL,
    -- JSON: the sections with their rows and numbers of seats. Read and written whole.
    sections TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    -- The key of the request that made the row, and a digest of what it asked for.
    idempotency_key TEXT NULL,
    fingerprint BLOB NULL,
    -- Whether its performances may overlap.
    overlaps_allowed BOOLEAN NOT NULL DEFAULT FALSE,
    -- Counts the publications at the venue: a transaction that adds or moves a performance changes the row first, which
    -- keeps others away, also where the nodes of a database do not see each other's locks.
    changes_count BIGINT NOT NULL DEFAULT 0,
    -- An import finds the venue that an earlier import of the same owner made, and whether others have the key.
    CONSTRAINT venues_catalog_key UNIQUE (catalog_key, owner_id),
    -- A repeated request finds the venue that the first one made.
    CONSTRAINT venues_idempotency UNIQUE (publisher_id, idempotency_key)
) WITHOUT ROWID;
