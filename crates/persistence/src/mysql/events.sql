-- `DISTINCT` makes a temporary table of them with a key, so that they are not all read for each subject.
SELECT DISTINCT
    COALESCE(UNHEX(REPLACE(COALESCE(event.reservation_id, event.refund_id, event.charge_id, event.act_id), '-', '')), outbox_batches.id) AS subject_id,
    event.kind,
    UNHEX(REPLACE(event.account_id, '-', '')) AS account_id,
    UNHEX(REPLACE(event.performance_id, '-', '')) AS performance_id,
    UNHEX(REPLACE(event.payment_id, '-', '')) AS payment_id,
    COALESCE(event.amount, event.refunded) AS amount,
    event.balance,
    outbox_batches.occurred_at
FROM outbox_batches
JOIN JSON_TABLE(CASE WHEN JSON_VALID(outbox_batches.events) THEN outbox_batches.events ELSE '[]' END,
    '$[*]' COLUMNS (reservation_id CHAR(36) PATH '$.reservation_id', charge_id CHAR(36) PATH '$.charge_id',
        refund_id CHAR(36) PATH '$.refund_id', act_id CHAR(36) PATH '$.act.id',
        kind VARCHAR(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$.kind',
        account_id CHAR(36) PATH '$.account_id', performance_id CHAR(36) PATH '$.performance_id',
        payment_id CHAR(36) PATH '$.payment_id', amount BIGINT PATH '$.amount', refunded BIGINT PATH '$.refunded',
        balance BIGINT PATH '$.balance')) AS event
