ALTER TABLE sessions
    -- From which, with the secret before, the next refresh secret follows; null if an earlier version opened the session.
    ADD COLUMN chain_key BINARY(32) NULL,
    -- SHA-256 of the refresh secret before; null if the session was never refreshed.
    ADD COLUMN former_hash BINARY(32) NULL,
    -- When it was refreshed last; null if it never was.
    ADD COLUMN refreshed_at DATETIME(6) NULL,
    -- What the client called itself that signed in.
    ADD COLUMN client VARCHAR(200) NULL;
