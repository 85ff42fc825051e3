CREATE TABLE password_resets (
    -- SHA-256 of the token. Completing a reset finds it.
    token_hash BINARY(32) NOT NULL PRIMARY KEY,
    account_id BINARY(16) NOT NULL,
    expires_at DATETIME(6) NOT NULL,
    -- When it was completed, or made void by another one; null: neither.
    used_at DATETIME(6) NULL,
    -- How many were begun for an account; completing one makes the others void.
    INDEX password_resets_by_account (account_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
