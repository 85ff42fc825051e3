CREATE TABLE sessions (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL,
    -- SHA-256 of the one refresh secret that is valid now.
    refresh_hash BLOB NOT NULL,
    created_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    ended_at TIMESTAMP NULL
) WITHOUT ROWID;

-- Another password ends the sessions of its account.
CREATE INDEX sessions_by_account ON sessions (account_id);
