CREATE TABLE catalog_changes (
    -- A process that has written to the catalog: a number that it made up when it started. Each changes its own row, so
    -- that none waits for another.
    process BLOB NOT NULL PRIMARY KEY,
    -- How many changes it has made.
    number BIGINT NOT NULL,
    -- JSON: which concerts and which prices the last of them concern, the newest at the end. Read and written whole.
    recent TEXT NOT NULL,
    -- When it made the last one. The row is removed some time after that.
    changed_at TIMESTAMP NOT NULL
) WITHOUT ROWID;
