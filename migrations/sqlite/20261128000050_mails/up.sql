CREATE TABLE mails (
    -- That of the mail; it follows from the event that the mail is about, so that an event has one mail.
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL,
    -- Null: the verified address of the account when the mail is sent.
    address TEXT NULL,
    -- JSON: what the mail is about, perhaps with a code; null once the mail has ended.
    notice TEXT NULL,
    created_at TIMESTAMP NOT NULL,
    -- Null: it has ended.
    next_attempt_at TIMESTAMP NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    ended_at TIMESTAMP NULL,
    -- sent, refused, given_up or dropped; null while it waits.
    outcome TEXT NULL
) WITHOUT ROWID;

-- Those that are due, the oldest first.
CREATE INDEX mails_due ON mails (next_attempt_at);
-- The mail of an account, as long as it is kept.
CREATE INDEX mails_by_account ON mails (account_id);
