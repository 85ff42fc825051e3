-- Since when nobody signs in; null: not locked.
ALTER TABLE accounts ADD COLUMN locked_at TIMESTAMP NULL;
-- When its holder had it erased; null: it was not.
ALTER TABLE accounts ADD COLUMN erased_at TIMESTAMP NULL;
