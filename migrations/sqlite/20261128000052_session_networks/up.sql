-- From which network the client signed in; null for a session that an older version opened.
ALTER TABLE sessions ADD COLUMN network TEXT NULL;
