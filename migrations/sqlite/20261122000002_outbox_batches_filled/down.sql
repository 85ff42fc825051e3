INSERT INTO outbox (subject_id, kind, batch_id, payload, occurred_at)
    SELECT unhex(replace(coalesce(event.value ->> 'reservation_id', event.value ->> 'charge_id'), '-', '')),
        event.value ->> 'kind', outbox_batches.id, event.value, outbox_batches.occurred_at
    FROM outbox_batches JOIN json_each(outbox_batches.events) AS event;
