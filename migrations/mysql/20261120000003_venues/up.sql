CREATE TABLE venues (
    id BINARY(16) NOT NULL PRIMARY KEY,
    -- The promoter's own name for it, from an import.
    catalogue_key VARCHAR(255) NULL,
    publisher_id BINARY(16) NULL,
    name VARCHAR(255) NOT NULL,
    location VARCHAR(255) NOT NULL,
    capacity BIGINT NOT NULL,
    -- JSON: the sections with their rows and numbers of seats. Read and written whole.
    sections MEDIUMTEXT NOT NULL,
    created_at DATETIME(6) NOT NULL,
    -- The key under which the row was asked for, and a digest of what was asked.
    idempotency_key VARCHAR(255) NULL,
    fingerprint BINARY(16) NULL,
    -- An import finds what it imported before.
    CONSTRAINT venues_catalogue_key UNIQUE (catalogue_key),
    -- A repeated request finds what it made.
    CONSTRAINT venues_idempotency UNIQUE (publisher_id, idempotency_key)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
