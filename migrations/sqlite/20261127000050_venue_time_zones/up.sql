-- The name of a zone of the IANA database.
ALTER TABLE venues ADD COLUMN time_zone TEXT NOT NULL DEFAULT 'Asia/Seoul';
