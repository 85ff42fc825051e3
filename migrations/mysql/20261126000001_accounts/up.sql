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
    -- Signing in finds the account by its login id; no two accounts share one.
    CONSTRAINT accounts_login_id UNIQUE (login_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
