CREATE TABLE charges (
    id BLOB NOT NULL PRIMARY KEY,
    account_id BLOB NOT NULL,
    amount BIGINT NOT NULL,
    -- pending, completed or declined.
    status TEXT NOT NULL,
    balance_after BIGINT NULL,
    ended_at TIMESTAMP NULL,
    created_at TIMESTAMP NOT NULL,
    idempotency_key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    -- A repeated request finds the charge that the first one made.
    CONSTRAINT charges_idempotency UNIQUE (account_id, idempotency_key),
    CONSTRAINT charges_amount CHECK (amount > 0)
) WITHOUT ROWID;

-- The charges without a verdict, the oldest first: a worker asks the gateway about them again.
CREATE INDEX charges_pending ON charges (status, created_at);
