CREATE TABLE leases (
    -- The job that one instance runs at a time, such as `expiry`.
    work TEXT NOT NULL PRIMARY KEY,
    -- The instance: a number that it made up when it started.
    holder BLOB NOT NULL,
    held_until TIMESTAMP NOT NULL
) WITHOUT ROWID;
