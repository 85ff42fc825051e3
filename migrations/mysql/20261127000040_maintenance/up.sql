CREATE TABLE maintenance (
    -- What is under maintenance: `sale`, all that changes something.
    work VARCHAR(64) NOT NULL PRIMARY KEY,
    -- What buyers are told.
    message VARCHAR(255) NOT NULL,
    began_at DATETIME(6) NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
