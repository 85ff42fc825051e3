CREATE TABLE outbox_batches (
    -- The batch, found again after a commit whose answer was lost. UUIDv7, so rows are stored in the order in which
    -- the batches began.
    id BLOB NOT NULL PRIMARY KEY,
    -- JSON: the events of the batch, in the order in which they were decided. Written once and read whole.
    events TEXT NOT NULL,
    occurred_at TIMESTAMP NOT NULL
) WITHOUT ROWID;
