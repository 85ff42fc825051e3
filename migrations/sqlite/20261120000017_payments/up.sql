CREATE TABLE payments (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL,
    concert_id BLOB NOT NULL,
    reservation_id BLOB NOT NULL,
    amount BIGINT NOT NULL,
    balance_after BIGINT,
    paid_at TIMESTAMP NOT NULL,
    refunded_at TIMESTAMP NULL,
    -- The place in the line that the payment spent.
    queue_place BIGINT NULL,
    idempotency_key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    -- A reservation is paid once; a cancellation finds the payment.
    CONSTRAINT payments_reservation UNIQUE (reservation_id),
    -- A repeated request finds what it made.
    CONSTRAINT payments_idempotency UNIQUE (account_id, idempotency_key),
    CONSTRAINT payments_amount CHECK (amount >= 0)
) WITHOUT ROWID;
