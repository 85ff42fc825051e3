CREATE TABLE wallet_entries (
    account_id BINARY(16) NOT NULL,
    -- From 1 without gaps.
    sequence BIGINT NOT NULL,
    kind VARCHAR(16) NOT NULL,
    amount BIGINT NOT NULL,
    balance_after BIGINT NOT NULL,
    reservation_id BINARY(16) NULL,
    payment_id BINARY(16) NULL,
    charge_id BINARY(16) NULL,
    created_at DATETIME(6) NOT NULL,
    -- The history of a wallet, newest first, page by page.
    CONSTRAINT wallet_entries_primary PRIMARY KEY (account_id, sequence),
    CONSTRAINT wallet_entries_balance CHECK (balance_after >= 0)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
