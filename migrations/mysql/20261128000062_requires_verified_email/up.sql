-- Whether an account needs a verified e-mail address to join the queue.
ALTER TABLE concerts ADD COLUMN requires_verified_email BOOLEAN NOT NULL DEFAULT FALSE;
