CREATE TABLE accounts (
    id BINARY(16) NOT NULL PRIMARY KEY,
    login_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    role VARCHAR(16) NOT NULL,
    -- PHC string format: $argon2id$...
    password_hash VARCHAR(255) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    -- The key of the request that made the row, and a digest of what it asked for.
    idempotency_key VARCHAR(255) NULL,
    fingerprint BINARY(16) NULL,
    -- Counts the changes that make access tokens void which were issued before.
    access_version BIGINT NOT NULL DEFAULT 0,
    access_changed_at DATETIME(6) NULL,
    -- Counts the sessions that were opened: changing the row keeps a change of the account away, also on another node.
    sessions_count BIGINT NOT NULL DEFAULT 0,
    -- Since when nobody signs in; null: not locked.
    locked_at DATETIME(6) NULL,
    -- When its holder had it erased; null: it was not.
    erased_at DATETIME(6) NULL,
    -- Since when signing in asks for a second factor; null: it does not.
    second_factor_at DATETIME(6) NULL,
    -- Whether the demonstration made the account, with a public password.
    is_demo BOOLEAN NOT NULL DEFAULT FALSE,
    -- Instances read at their start which access tokens became void lately.
    INDEX accounts_access_changed (access_changed_at),
    -- How many accounts of the demonstration there are is said at each start.
    INDEX accounts_demo (is_demo),
    -- Signing in finds the account by its login id; no two accounts share one.
    CONSTRAINT accounts_login_id UNIQUE (login_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
