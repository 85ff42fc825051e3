SELECT DISTINCT
    coalesce(unhex(replace(coalesce(event.value ->> 'reservation_id', event.value ->> 'refund_id',
        event.value ->> 'charge_id', event.value ->> '$.act.id'), '-', '')), outbox_batches.id) AS subject_id,
    event.value ->> 'kind' AS kind,
    unhex(replace(event.value ->> 'account_id', '-', '')) AS account_id,
    unhex(replace(event.value ->> 'performance_id', '-', '')) AS performance_id,
    unhex(replace(event.value ->> 'payment_id', '-', '')) AS payment_id,
    coalesce(event.value ->> 'amount', event.value ->> 'refunded') AS amount,
    event.value ->> 'balance' AS balance,
    outbox_batches.occurred_at
FROM outbox_batches
JOIN json_each(CASE WHEN json_valid(outbox_batches.events) THEN outbox_batches.events ELSE '[]' END) AS event
