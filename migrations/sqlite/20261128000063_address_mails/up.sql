CREATE TABLE address_mails (
    -- SHA-256 of the address. A mail with a code counts for its address, whichever account asked for it.
    address_hash BLOB NOT NULL PRIMARY KEY,
    -- How many were sent in the hour since then.
    mails_count BIGINT NOT NULL,
    mails_since TIMESTAMP NOT NULL
) WITHOUT ROWID;

-- Those that do not count any more are removed.
CREATE INDEX address_mails_by_age ON address_mails (mails_since);
