ALTER TABLE outbox_batches DROP INDEX outbox_batches_position, DROP COLUMN position;
