-- From which, with the secret before, the next refresh secret follows; null if an earlier version opened the session.
ALTER TABLE sessions ADD COLUMN chain_key BLOB NULL;
-- SHA-256 of the refresh secret before; null if the session was never refreshed.
ALTER TABLE sessions ADD COLUMN former_hash BLOB NULL;
-- When it was refreshed last; null if it never was.
ALTER TABLE sessions ADD COLUMN refreshed_at TIMESTAMP NULL;
-- What the client called itself that signed in.
ALTER TABLE sessions ADD COLUMN client TEXT NULL;
