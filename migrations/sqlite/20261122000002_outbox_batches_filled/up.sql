INSERT INTO outbox_batches (id, events, occurred_at)
    SELECT batch_id, '[' || group_concat(payload, ',') || ']', MAX(occurred_at) FROM outbox GROUP BY batch_id;
