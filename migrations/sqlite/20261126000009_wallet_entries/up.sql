CREATE TABLE wallet_entries (
    account_id BLOB NOT NULL,
    -- From 1 without gaps.
    sequence BIGINT NOT NULL,
    kind TEXT NOT NULL,
    amount BIGINT NOT NULL,
    balance_after BIGINT NOT NULL,
    reservation_id BLOB NULL,
    payment_id BLOB NULL,
    charge_id BLOB NULL,
    created_at TIMESTAMP NOT NULL,
    -- The history of a wallet, newest first, page by page.
    CONSTRAINT wallet_entries_primary PRIMARY KEY (account_id, sequence),
    CONSTRAINT wallet_entries_balance CHECK (balance_after >= 0)
) WITHOUT ROWID;
