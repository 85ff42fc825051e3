-- `DISTINCT` makes a temporary table of them with a key, so that they are not all read for each subject.
SELECT DISTINCT
    COALESCE(UNHEX(REPLACE(COALESCE(event.reservation_id, event.charge_id), '-', '')), outbox_batches.id) AS subject_id,
    event.kind
FROM outbox_batches
JOIN JSON_TABLE(CASE WHEN JSON_VALID(outbox_batches.events) THEN outbox_batches.events ELSE '[]' END,
    '$[*]' COLUMNS (reservation_id CHAR(36) PATH '$.reservation_id', charge_id CHAR(36) PATH '$.charge_id',
        kind VARCHAR(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$.kind')) AS event
