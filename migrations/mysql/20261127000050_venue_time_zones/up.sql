-- The name of a zone of the IANA database.
ALTER TABLE venues ADD COLUMN time_zone VARCHAR(64) NOT NULL DEFAULT 'Asia/Seoul';
