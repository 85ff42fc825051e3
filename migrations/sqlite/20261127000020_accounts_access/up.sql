-- Counts the changes that make access tokens void which were issued before.
ALTER TABLE accounts ADD COLUMN access_version BIGINT NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN access_changed_at TIMESTAMP NULL;
-- Counts the sessions that were opened: changing the row keeps a change of the account away, also on another node.
ALTER TABLE accounts ADD COLUMN sessions_count BIGINT NOT NULL DEFAULT 0;

-- Instances read at their start which access tokens became void lately.
CREATE INDEX accounts_access_changed ON accounts (access_changed_at);
