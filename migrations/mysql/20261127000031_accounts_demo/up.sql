ALTER TABLE accounts
    -- Whether the demonstration made the account, with a public password.
    ADD COLUMN is_demo BOOLEAN NOT NULL DEFAULT FALSE,
    -- How many there are is said at each start.
    ADD INDEX accounts_demo (is_demo);
