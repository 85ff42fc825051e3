ALTER TABLE concerts DROP COLUMN requires_verified_email;
