ALTER TABLE accounts
    -- Since when nobody signs in; null: not locked.
    ADD COLUMN locked_at DATETIME(6) NULL,
    -- When its holder had it erased; null: it was not.
    ADD COLUMN erased_at DATETIME(6) NULL;
