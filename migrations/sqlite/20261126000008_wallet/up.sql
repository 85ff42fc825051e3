CREATE TABLE wallets (
    -- Every batch locks the wallets of its accounts first: that orders all writes of an account.
    account_id BLOB NOT NULL PRIMARY KEY,
    balance BIGINT NOT NULL,
    -- What the charges in progress will add.
    pending BIGINT NOT NULL,
    entries_count BIGINT NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    -- Counts the batches that locked the wallet, where the nodes of a database detect conflicts between changed rows
    -- at commit and do not see each other's locks: there a lock alone keeps no other node away.
    changes_count BIGINT NOT NULL DEFAULT 0,
    -- Whether the account has rows in `hold_budgets`: most have none, and a hold that has locked the wallet need not look.
    has_hold_budgets BOOLEAN NOT NULL DEFAULT FALSE,
    CONSTRAINT wallets_balance CHECK (balance >= 0),
    CONSTRAINT wallets_pending CHECK (pending >= 0)
) WITHOUT ROWID;
