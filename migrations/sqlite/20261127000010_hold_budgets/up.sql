CREATE TABLE hold_budgets (
    concert_id BLOB NOT NULL,
    account_id BLOB NOT NULL,
    -- How many holds ended unpaid since the account last paid one.
    unpaid_count BIGINT NOT NULL,
    last_unpaid_at TIMESTAMP NULL,
    -- When the count was set to 0. A hold that lapsed by then is not counted.
    paid_at TIMESTAMP NULL,
    -- A hold reads that of its account, if the wallet says that there is one.
    PRIMARY KEY (concert_id, account_id)
) WITHOUT ROWID;
