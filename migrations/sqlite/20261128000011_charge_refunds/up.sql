CREATE TABLE charge_refunds (
    id BLOB NOT NULL PRIMARY KEY,
    charge_id BLOB NOT NULL,
    account_id BLOB NOT NULL,
    amount BIGINT NOT NULL,
    -- pending, completed or refused.
    status TEXT NOT NULL,
    ended_at TIMESTAMP NULL,
    created_at TIMESTAMP NOT NULL,
    idempotency_key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    -- A repeated request finds the refund that the first one made.
    CONSTRAINT charge_refunds_idempotency UNIQUE (account_id, idempotency_key),
    CONSTRAINT charge_refunds_amount CHECK (amount > 0)
) WITHOUT ROWID;

-- The refunds without a verdict, the oldest first: a worker asks the gateway about them again.
CREATE INDEX charge_refunds_pending ON charge_refunds (status, created_at);

-- The refunds of a charge.
CREATE INDEX charge_refunds_charge ON charge_refunds (charge_id);
