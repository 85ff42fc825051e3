CREATE TABLE catalog_changes (
    -- A process that has written to the catalog: a number that it made up when it started. Each changes its own row, so
    -- that none waits for another.
    process BINARY(16) NOT NULL PRIMARY KEY,
    -- How many changes it has made.
    number BIGINT NOT NULL,
    -- JSON: which concerts and which prices the last of them concern, the newest at the end. Read and written whole.
    recent MEDIUMTEXT NOT NULL,
    -- When it made the last one. The row is removed some time after that.
    changed_at DATETIME(6) NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
