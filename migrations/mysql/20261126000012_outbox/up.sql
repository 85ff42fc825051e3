CREATE TABLE outbox_batches (
    -- The batch, found again after a commit whose answer was lost. UUIDv7, so rows are stored in the order in which
    -- the batches began.
    id BINARY(16) NOT NULL PRIMARY KEY,
    -- JSON: the events of the batch, in the order in which they were decided. Written once and read whole.
    events MEDIUMTEXT NOT NULL,
    occurred_at DATETIME(6) NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
