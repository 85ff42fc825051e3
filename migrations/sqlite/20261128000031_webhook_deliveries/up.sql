CREATE TABLE webhook_deliveries (
    -- Begins with the time of the event, so that rows are added at the end and removed at the beginning.
    id BLOB NOT NULL PRIMARY KEY,
    webhook_id BLOB NOT NULL,
    event_id BLOB NOT NULL,
    kind TEXT NOT NULL,
    subject BLOB NOT NULL,
    concert_id BLOB NULL,
    occurred_at TIMESTAMP NOT NULL,
    -- What is sent, byte for byte.
    document TEXT NOT NULL,
    -- pending, delivered or given_up.
    status TEXT NOT NULL,
    next_attempt_at TIMESTAMP NULL,
    attempts_count BIGINT NOT NULL,
    -- The last attempt: the status that the endpoint answered with and the beginning of its answer, or why there was none.
    attempted_at TIMESTAMP NULL,
    answer_status BIGINT NULL,
    answer TEXT NULL,
    failure TEXT NULL,
    milliseconds BIGINT NULL
) WITHOUT ROWID;

-- What is due, the longest first; and those of a status, newest first, since the others have no next attempt.
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_id, status, next_attempt_at, id);

-- Those of a webhook, newest first, and those of a span.
CREATE INDEX webhook_deliveries_by_webhook ON webhook_deliveries (webhook_id, id);
