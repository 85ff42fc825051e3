CREATE TABLE charges (
    id BINARY(16) NOT NULL PRIMARY KEY,
    account_id BINARY(16) NOT NULL,
    amount BIGINT NOT NULL,
    -- pending, completed or declined.
    status VARCHAR(16) NOT NULL,
    balance_after BIGINT NULL,
    ended_at DATETIME(6) NULL,
    created_at DATETIME(6) NOT NULL,
    idempotency_key VARCHAR(255) NOT NULL,
    fingerprint BINARY(16) NOT NULL,
    -- A repeated request finds the charge that the first one made.
    CONSTRAINT charges_idempotency UNIQUE (account_id, idempotency_key),
    CONSTRAINT charges_amount CHECK (amount > 0),
    -- The charges without a verdict, the oldest first: a worker asks the gateway about them again.
    INDEX charges_pending (status, created_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
