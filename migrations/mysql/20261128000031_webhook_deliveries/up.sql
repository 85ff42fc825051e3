CREATE TABLE webhook_deliveries (
    -- Begins with the time of the event, so that rows are added at the end and removed at the beginning.
    id BINARY(16) NOT NULL PRIMARY KEY,
    webhook_id BINARY(16) NOT NULL,
    event_id BINARY(16) NOT NULL,
    kind VARCHAR(255) NOT NULL,
    subject BINARY(16) NOT NULL,
    concert_id BINARY(16) NULL,
    occurred_at DATETIME(6) NOT NULL,
    -- What is sent, byte for byte.
    document MEDIUMTEXT NOT NULL,
    -- pending, delivered or given_up.
    status VARCHAR(16) NOT NULL,
    next_attempt_at DATETIME(6) NULL,
    attempts_count BIGINT NOT NULL,
    -- The last attempt: the status that the endpoint answered with and the beginning of its answer, or why there was none.
    attempted_at DATETIME(6) NULL,
    answer_status BIGINT NULL,
    answer TEXT NULL,
    failure VARCHAR(32) NULL,
    milliseconds BIGINT NULL,
    -- What is due, the longest first; and those of a status, newest first, since the others have no next attempt.
    INDEX webhook_deliveries_due (webhook_id, status, next_attempt_at, id),
    -- Those of a webhook, newest first, and those of a span.
    INDEX webhook_deliveries_by_webhook (webhook_id, id)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
