DROP INDEX outbox_batches_position;
ALTER TABLE outbox_batches DROP COLUMN position;
