CREATE TABLE event_readers (
    -- The empty name is that of who gives the positions.
    name VARCHAR(32) NOT NULL PRIMARY KEY,
    -- The position of the last batch that it has had, or of the last one that was given.
    position BIGINT NOT NULL,
    -- Since when it reads: events before are not for it.
    starts_at DATETIME(6) NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
