DROP INDEX accounts_access_changed;
ALTER TABLE accounts DROP COLUMN sessions_count;
ALTER TABLE accounts DROP COLUMN access_changed_at;
ALTER TABLE accounts DROP COLUMN access_version;
