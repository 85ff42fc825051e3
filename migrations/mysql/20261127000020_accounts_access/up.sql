ALTER TABLE accounts
    -- Counts the changes that make access tokens void which were issued before.
    ADD COLUMN access_version BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN access_changed_at DATETIME(6) NULL,
    -- Counts the sessions that were opened: changing the row keeps a change of the account away, also on another node.
    ADD COLUMN sessions_count BIGINT NOT NULL DEFAULT 0,
    -- Instances read at their start which access tokens became void lately.
    ADD INDEX accounts_access_changed (access_changed_at);
