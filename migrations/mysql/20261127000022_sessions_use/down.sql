ALTER TABLE sessions
    DROP COLUMN client,
    DROP COLUMN refreshed_at,
    DROP COLUMN former_hash,
    DROP COLUMN chain_key;
