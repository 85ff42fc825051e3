-- Since when signing in asks for a second factor; null: it does not.
ALTER TABLE accounts ADD COLUMN second_factor_at TIMESTAMP NULL;
