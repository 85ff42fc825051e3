CREATE TABLE mails (
    -- That of the mail; it follows from the event that the mail is about, so that an event has one mail.
    id BINARY(16) NOT NULL PRIMARY KEY,
    account_id BINARY(16) NOT NULL,
    -- Null: the verified address of the account when the mail is sent.
    address VARCHAR(254) NULL,
    -- JSON: what the mail is about, perhaps with a code; null once the mail has ended.
    notice TEXT NULL,
    created_at DATETIME(6) NOT NULL,
    -- Null: it has ended.
    next_attempt_at DATETIME(6) NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    ended_at DATETIME(6) NULL,
    -- sent, refused, given_up or dropped; null while it waits.
    outcome VARCHAR(16) NULL,
    -- Those that are due, the oldest first.
    INDEX mails_due (next_attempt_at),
    -- The mail of an account, as long as it is kept.
    INDEX mails_by_account (account_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
