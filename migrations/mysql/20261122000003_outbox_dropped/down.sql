CREATE TABLE outbox (
    -- The reservation or the charge that the event is about.
    subject_id BINARY(16) NOT NULL,
    kind VARCHAR(32) NOT NULL,
    -- The batch of writes that wrote the event: tells, after a commit whose answer was lost, whether the
    -- batch is there.
    batch_id BINARY(16) NOT NULL,
    -- JSON.
    payload TEXT NOT NULL,
    occurred_at DATETIME(6) NOT NULL,
    -- A subject has one event of a kind; the batch is looked up by its first event.
    CONSTRAINT outbox_primary PRIMARY KEY (subject_id, kind)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
