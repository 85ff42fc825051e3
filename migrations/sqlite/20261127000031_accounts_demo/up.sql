-- Whether the demonstration made the account, with a public password.
ALTER TABLE accounts ADD COLUMN is_demo BOOLEAN NOT NULL DEFAULT FALSE;
-- How many there are is said at each start.
CREATE INDEX accounts_demo ON accounts (is_demo);
