ALTER TABLE accounts
    DROP INDEX accounts_access_changed,
    DROP COLUMN sessions_count,
    DROP COLUMN access_changed_at,
    DROP COLUMN access_version;
