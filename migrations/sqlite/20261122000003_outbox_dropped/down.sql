CREATE TABLE outbox (
    -- The reservation or the charge that the event is about.
    subject_id BLOB NOT NULL,
    kind TEXT NOT NULL,
    -- The batch of writes that wrote the event: tells, after a commit whose answer was lost, whether the
    -- batch is there.
    batch_id BLOB NOT NULL,
    -- JSON.
    payload TEXT NOT NULL,
    occurred_at TIMESTAMP NOT NULL,
    -- A subject has one event of a kind; the batch is looked up by its first event.
    CONSTRAINT outbox_primary PRIMARY KEY (subject_id, kind)
) WITHOUT ROWID;
