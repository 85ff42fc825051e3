CREATE TABLE leases (
    -- What is done by one process at a time, such as `expiry`.
    work VARCHAR(64) NOT NULL PRIMARY KEY,
    -- The process: a number that it made up when it began.
    holder BINARY(16) NOT NULL,
    held_until DATETIME(6) NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
