CREATE TABLE reservations (
    id BINARY(16) NOT NULL PRIMARY KEY,
    account_id BINARY(16) NOT NULL,
    performance_id BINARY(16) NOT NULL,
    concert_id BINARY(16) NOT NULL,
    -- held, confirmed, cancelled or expired. A held one whose time is over is shown as expired.
    status VARCHAR(16) NOT NULL,
    seats_count BIGINT NOT NULL,
    total_amount BIGINT NOT NULL,
    held_until DATETIME(6) NOT NULL,
    payment_id BINARY(16) NULL,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    idempotency_key VARCHAR(255) NULL,
    fingerprint BINARY(16) NULL,
    cancel_key VARCHAR(255) NULL,
    cancel_fingerprint BINARY(16) NULL,
    -- A repeated request finds what it made.
    CONSTRAINT reservations_idempotency UNIQUE (account_id, idempotency_key)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
