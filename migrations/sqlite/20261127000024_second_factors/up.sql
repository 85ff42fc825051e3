CREATE TABLE second_factors (
    -- Signing in finds the factor of its account.
    account_id BLOB NOT NULL PRIMARY KEY,
    -- The key of RFC 6238 that the holder's device has too.
    secret BLOB NOT NULL,
    created_at TIMESTAMP NOT NULL,
    -- When the holder showed that the device knows the key; null: signing in does not ask for it yet.
    confirmed_at TIMESTAMP NULL,
    -- The time step of the last code that was taken: none of it or before is taken again.
    last_step BIGINT NOT NULL,
    -- How many codes were tried since the last right one, and when the last one was.
    attempts_count BIGINT NOT NULL,
    attempted_at TIMESTAMP NULL,
    -- JSON: SHA-256 of each recovery code that was not used, in hexadecimal.
    recovery_hashes TEXT NOT NULL
) WITHOUT ROWID;
