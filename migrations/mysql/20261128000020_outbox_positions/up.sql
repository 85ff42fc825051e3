ALTER TABLE outbox_batches
    -- In which order readers get the batches, given some time after the commit; null: not yet.
    ADD COLUMN position BIGINT NULL,
    -- What follows a position, and what has none, in the order of the ids.
    ADD UNIQUE INDEX outbox_batches_position (position);
