CREATE TABLE email_codes (
    -- The code of its account is checked.
    account_id BLOB NOT NULL PRIMARY KEY,
    -- The address that is to be verified; null: none.
    address TEXT NULL,
    -- SHA-256 of the account id and the code; null: no code is good.
    code_hash BLOB NULL,
    expires_at TIMESTAMP NULL,
    -- How many codes were tried in the hour since then, and how many mails were sent.
    attempts_count BIGINT NOT NULL,
    attempts_since TIMESTAMP NOT NULL,
    mails_count BIGINT NOT NULL,
    mails_since TIMESTAMP NOT NULL
) WITHOUT ROWID;
