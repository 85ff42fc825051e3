CREATE TABLE email_codes (
    -- The code of its account is checked.
    account_id BINARY(16) NOT NULL PRIMARY KEY,
    -- The address that is to be verified; null: none.
    address VARCHAR(254) NULL,
    -- SHA-256 of the account id and the code; null: no code is good.
    code_hash BINARY(32) NULL,
    expires_at DATETIME(6) NULL,
    -- How many codes were tried in the hour since then, and how many mails were sent.
    attempts_count BIGINT NOT NULL,
    attempts_since DATETIME(6) NOT NULL,
    mails_count BIGINT NOT NULL,
    mails_since DATETIME(6) NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
