CREATE TABLE address_mails (
    -- SHA-256 of the address. A mail with a code counts for its address, whichever account asked for it.
    address_hash BINARY(32) NOT NULL PRIMARY KEY,
    -- How many were sent in the hour since then.
    mails_count BIGINT NOT NULL,
    mails_since DATETIME(6) NOT NULL,
    -- Those that do not count any more are removed.
    INDEX address_mails_by_age (mails_since)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
