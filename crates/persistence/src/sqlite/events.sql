SELECT DISTINCT
    coalesce(unhex(replace(coalesce(event.value ->> 'reservation_id', event.value ->> 'charge_id'), '-', '')),
        outbox_batches.id) AS subject_id,
    event.value ->> 'kind' AS kind
FROM outbox_batches
JOIN json_each(CASE WHEN json_valid(outbox_batches.events) THEN outbox_batches.events ELSE '[]' END) AS event
