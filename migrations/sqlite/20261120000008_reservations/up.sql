CREATE TABLE reservations (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL,
    performance_id BLOB NOT NULL,
    concert_id BLOB NOT NULL,
    -- held, confirmed, cancelled or expired. A held one whose time is over is shown as expired.
    status TEXT NOT NULL,
    seats_count BIGINT NOT NULL,
    total_amount BIGINT NOT NULL,
    held_until TIMESTAMP NOT NULL,
    payment_id BLOB NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    idempotency_key TEXT NULL,
    fingerprint BLOB NULL,
    cancel_key TEXT NULL,
    cancel_fingerprint BLOB NULL,
    -- A repeated request finds what it made.
    CONSTRAINT reservations_idempotency UNIQUE (account_id, idempotency_key)
) WITHOUT ROWID;
