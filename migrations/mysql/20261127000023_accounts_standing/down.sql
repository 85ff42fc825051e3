ALTER TABLE accounts
    DROP COLUMN erased_at,
    DROP COLUMN locked_at;
