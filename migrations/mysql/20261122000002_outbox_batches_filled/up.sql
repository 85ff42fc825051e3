-- MySQL would cut a longer text off.
SET SESSION group_concat_max_len = 16777215;
INSERT INTO outbox_batches (id, events, occurred_at)
    SELECT batch_id, CONCAT('[', GROUP_CONCAT(payload), ']'), MAX(occurred_at) FROM outbox GROUP BY batch_id;
