-- Counts the batches that locked the wallet, where databases agree at commit about rows that were changed, and know
-- nothing of each other's locks: then a lock alone would keep nobody away.
ALTER TABLE wallets ADD COLUMN turns BIGINT NOT NULL DEFAULT 0;
