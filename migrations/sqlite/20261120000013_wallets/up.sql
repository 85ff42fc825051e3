CREATE TABLE wallets (
    -- Every batch of writes locks the wallets of its accounts first: that orders all writes of an account.
    account_id BLOB NOT NULL PRIMARY KEY,
    balance BIGINT NOT NULL,
    -- What charges in progress will add.
    pending BIGINT NOT NULL,
    entries_count BIGINT NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    CONSTRAINT wallets_balance CHECK (balance >= 0),
    CONSTRAINT wallets_pending CHECK (pending >= 0)
) WITHOUT ROWID;
