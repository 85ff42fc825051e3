CREATE TABLE event_readers (
    -- The empty name is that of who gives the positions.
    name TEXT NOT NULL PRIMARY KEY,
    -- The position of the last batch that it has had, or of the last one that was given.
    position BIGINT NOT NULL,
    -- Since when it reads: events before are not for it.
    starts_at TIMESTAMP NOT NULL
) WITHOUT ROWID;
