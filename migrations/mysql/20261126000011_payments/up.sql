CREATE TABLE payments (
    id BINARY(16) NOT NULL PRIMARY KEY,
    account_id BINARY(16) NOT NULL,
    concert_id BINARY(16) NOT NULL,
    reservation_id BINARY(16) NOT NULL,
    amount BIGINT NOT NULL,
    -- The balance of the wallet; null if the reservation was paid outside the wallet.
    balance_after BIGINT NULL,
    paid_at DATETIME(6) NOT NULL,
    refunded_at DATETIME(6) NULL,
    -- The queue place that the payment spent.
    queue_place BIGINT NULL,
    idempotency_key VARCHAR(255) NOT NULL,
    fingerprint BINARY(16) NOT NULL,
    -- A reservation is paid once; a cancellation finds the payment.
    CONSTRAINT payments_reservation UNIQUE (reservation_id),
    -- A repeated request finds the payment that the first one made.
    CONSTRAINT payments_idempotency UNIQUE (account_id, idempotency_key),
    CONSTRAINT payments_amount CHECK (amount >= 0),
    -- The payments of an account, newest first, page by page; whether one of them spent a queue place.
    INDEX payments_by_account (account_id, id)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
