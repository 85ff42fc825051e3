ALTER TABLE sessions DROP COLUMN client;
ALTER TABLE sessions DROP COLUMN refreshed_at;
ALTER TABLE sessions DROP COLUMN former_hash;
ALTER TABLE sessions DROP COLUMN chain_key;
