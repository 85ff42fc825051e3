CREATE TABLE password_resets (
    -- SHA-256 of the token. Completing a reset finds it.
    token_hash BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    -- When it was completed, or made void by another one; null: neither.
    used_at TIMESTAMP NULL
) WITHOUT ROWID;

-- How many were begun for an account; completing one makes the others void.
CREATE INDEX password_resets_by_account ON password_resets (account_id);
