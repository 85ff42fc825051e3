CREATE TABLE payments (
    id BINARY(16) NOT NULL PRIMARY KEY,
    account_id BINARY(16) NOT NULL,
    concert_id BINARY(16) NOT NULL,
    reservation_id BINARY(16) NOT NULL,
    amount BIGINT NOT NULL,
    balance_after BIGINT,
    paid_at DATETIME(6) NOT NULL,
    refunded_at DATETIME(6) NULL,
    -- The place in the line that the payment spent.
    queue_place BIGINT NULL,
    idempotency_key VARCHAR(255) NOT NULL,
    fingerprint BINARY(16) NOT NULL,
    -- A reservation is paid once; a cancellation finds the payment.
    CONSTRAINT payments_reservation UNIQUE (reservation_id),
    -- A repeated request finds what it made.
    CONSTRAINT payments_idempotency UNIQUE (account_id, idempotency_key),
    CONSTRAINT payments_amount CHECK (amount >= 0)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
