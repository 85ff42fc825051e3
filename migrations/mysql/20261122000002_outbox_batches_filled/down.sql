INSERT INTO outbox (subject_id, kind, batch_id, payload, occurred_at)
    SELECT UNHEX(REPLACE(COALESCE(event.reservation_id, event.charge_id), '-', '')), event.kind, outbox_batches.id,
        event.payload, outbox_batches.occurred_at
    FROM outbox_batches JOIN JSON_TABLE(outbox_batches.events, '$[*]' COLUMNS (
        reservation_id CHAR(36) PATH '$.reservation_id',
        charge_id CHAR(36) PATH '$.charge_id',
        kind VARCHAR(32) PATH '$.kind',
        payload JSON PATH '$')) AS event;
