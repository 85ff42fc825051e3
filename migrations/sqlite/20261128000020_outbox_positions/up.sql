-- In which order readers get the batches, given some time after the commit; null: not yet.
ALTER TABLE outbox_batches ADD COLUMN position BIGINT NULL;

-- What follows a position, and what has none, in the order of the ids.
CREATE UNIQUE INDEX outbox_batches_position ON outbox_batches (position);
