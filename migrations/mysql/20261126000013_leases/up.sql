CREATE TABLE leases (
    -- The job that one instance runs at a time, such as `expiry`.
    work VARCHAR(64) NOT NULL PRIMARY KEY,
    -- The instance: a number that it made up when it started.
    holder BINARY(16) NOT NULL,
    held_until DATETIME(6) NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
