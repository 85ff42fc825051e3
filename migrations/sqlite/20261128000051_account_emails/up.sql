CREATE TABLE account_emails (
    -- Mail to an account finds its address.
    account_id BLOB NOT NULL PRIMARY KEY,
    -- The verified one; null: none.
    address TEXT NULL,
    verified_at TIMESTAMP NULL,
    -- The tag of the language of its mail; null: it was not chosen.
    language TEXT NULL,
    changed_at TIMESTAMP NOT NULL
) WITHOUT ROWID;
