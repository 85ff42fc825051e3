CREATE TABLE accounts (
    id BLOB NOT NULL PRIMARY KEY,
    login_id TEXT NOT NULL,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    -- PHC string format: $argon2id$...
    password_hash TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    -- The key under which the row was asked for, and a digest of what was asked.
    idempotency_key TEXT NULL,
    fingerprint BLOB NULL,
    -- Signing in finds the account by its login id, and no login id is given twice.
    CONSTRAINT accounts_login_id UNIQUE (login_id)
) WITHOUT ROWID;
