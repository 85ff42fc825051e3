CREATE TABLE sessions (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL,
    -- SHA-256 of the one refresh secret that is valid now.
    refresh_hash BLOB NOT NULL,
    created_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    ended_at TIMESTAMP NULL,
    -- From which, with the secret before, the next refresh secret follows; null: it is made at the next refresh.
    chain_key BLOB NULL,
    -- SHA-256 of the refresh secret before; null if the session was never refreshed.
    former_hash BLOB NULL,
    -- When it was refreshed last; null if it never was.
    refreshed_at TIMESTAMP NULL,
    -- What the client called itself that signed in.
    client TEXT NULL
) WITHOUT ROWID;

-- Another password ends the sessions of its account.
CREATE INDEX sessions_by_account ON sessions (account_id);
-- Instances read at their start which sessions ended lately.
CREATE INDEX sessions_ended ON sessions (ended_at);
