CREATE TABLE charge_refunds (
    id BINARY(16) NOT NULL PRIMARY KEY,
    charge_id BINARY(16) NOT NULL,
    account_id BINARY(16) NOT NULL,
    amount BIGINT NOT NULL,
    -- pending, completed or refused.
    status VARCHAR(16) NOT NULL,
    ended_at DATETIME(6) NULL,
    created_at DATETIME(6) NOT NULL,
    idempotency_key VARCHAR(255) NOT NULL,
    fingerprint BINARY(16) NOT NULL,
    -- A repeated request finds the refund that the first one made.
    CONSTRAINT charge_refunds_idempotency UNIQUE (account_id, idempotency_key),
    CONSTRAINT charge_refunds_amount CHECK (amount > 0),
    -- The refunds without a verdict, the oldest first: a worker asks the gateway about them again.
    INDEX charge_refunds_pending (status, created_at),
    -- The refunds of a charge.
    INDEX charge_refunds_charge (charge_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
