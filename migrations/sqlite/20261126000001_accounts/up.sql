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
    -- Counts the changes that make access tokens void which were issued before.
    access_version BIGINT NOT NULL DEFAULT 0,
    access_changed_at TIMESTAMP NULL,
    -- Counts the sessions that were opened: changing the row keeps a change of the account away, also on another node.
    sessions_count BIGINT NOT NULL DEFAULT 0,
    -- Since when nobody signs in; null: not locked.
    locked_at TIMESTAMP NULL,
    -- When its holder had it erased; null: it was not.
    erased_at TIMESTAMP NULL,
    -- Since when signing in asks for a second factor; null: it does not.
    second_factor_at TIMESTAMP NULL,
    -- Whether the demonstration made the account, with a public password.
    is_demo BOOLEAN NOT NULL DEFAULT FALSE,
    -- Signing in finds the account by its login id; no two accounts share one.
    CONSTRAINT accounts_login_id UNIQUE (login_id)
) WITHOUT ROWID;

-- Instances read at their start which access tokens became void lately.
CREATE INDEX accounts_access_changed ON accounts (access_changed_at);
-- How many accounts of the demonstration there are is said at each start.
CREATE INDEX accounts_demo ON accounts (is_demo);
