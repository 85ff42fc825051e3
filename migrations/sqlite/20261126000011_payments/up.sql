CREATE TABLE payments (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL,
    concert_id BLOB NOT NULL,
    reservation_id BLOB NOT NULL,
    amount BIGINT NOT NULL,
    -- The balance of the wallet; null if the reservation was paid outside the wallet.
    balance_after BIGINT NULL,
    paid_at TIMESTAMP NOT NULL,
    refunded_at TIMESTAMP NULL,
    -- The queue place that the payment spent.
    queue_place BIGINT NULL,
    idempotency_key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    -- A reservation is paid once; a cancellation finds the payment.
    CONSTRAINT payments_reservation UNIQUE (reservation_id),
    -- A repeated request finds the payment that the first one made.
    CONSTRAINT payments_idempotency UNIQUE (account_id, idempotency_key),
    CONSTRAINT payments_amount CHECK (amount >= 0)
) WITHOUT ROWID;

-- The payments of an account, newest first, page by page; whether one of them spent a queue place.
CREATE INDEX payments_by_account ON payments (account_id, id);
