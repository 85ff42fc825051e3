ALTER TABLE accounts
    DROP INDEX accounts_demo,
    DROP COLUMN is_demo;
