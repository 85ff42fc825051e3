CREATE TABLE accounts (
    id BLOB NOT NULL PRIMARY KEY,
    login_id TEXT NOT NULL,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    -- PHC string format: $argon2id$...
    password_hash TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    -- The key of the request that made the row, and a digest of what it asked for.
    idempotency_key TEXT NULL,
    fingerprint BLOB NULL,
    -- Signing in finds the account by its login id; no two accounts share one.
    CONSTRAINT accounts_login_id UNIQUE (login_id)
) WITHOUT ROWID;
