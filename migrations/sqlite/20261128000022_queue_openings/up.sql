CREATE TABLE queue_openings (
    concert_id BLOB NOT NULL PRIMARY KEY,
    -- The opening of the sale for which an event was written.
    opened_at TIMESTAMP NOT NULL
) WITHOUT ROWID;
