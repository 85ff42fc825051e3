CREATE TABLE removals (
    -- What was removed: outbox_batches or reservations. The audit reads the row, and each removal changes it.
    kind TEXT NOT NULL PRIMARY KEY,
    -- Nothing later was removed.
    removed_until TIMESTAMP NOT NULL
) WITHOUT ROWID;
