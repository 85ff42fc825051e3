CREATE TABLE leases (
    -- What is done by one process at a time, such as `expiry`.
    work TEXT NOT NULL PRIMARY KEY,
    -- The process: a number that it made up when it began.
    holder BLOB NOT NULL,
    held_until TIMESTAMP NOT NULL
) WITHOUT ROWID;
