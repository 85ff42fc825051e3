DROP INDEX accounts_demo;
ALTER TABLE accounts DROP COLUMN is_demo;
