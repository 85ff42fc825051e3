CREATE TABLE removals (
    -- What was removed: outbox_batches or reservations. The audit reads the row, and each removal changes it.
    kind VARCHAR(32) NOT NULL PRIMARY KEY,
    -- Nothing later was removed.
    removed_until DATETIME(6) NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
