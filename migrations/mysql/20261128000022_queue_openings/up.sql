CREATE TABLE queue_openings (
    concert_id BINARY(16) NOT NULL PRIMARY KEY,
    -- The opening of the sale for which an event was written.
    opened_at DATETIME(6) NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
