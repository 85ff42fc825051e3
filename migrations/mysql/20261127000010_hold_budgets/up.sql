CREATE TABLE hold_budgets (
    concert_id BINARY(16) NOT NULL,
    account_id BINARY(16) NOT NULL,
    -- How many holds ended unpaid since the account last paid one.
    unpaid_count BIGINT NOT NULL,
    last_unpaid_at DATETIME(6) NULL,
    -- When the count was set to 0. A hold that lapsed by then is not counted.
    paid_at DATETIME(6) NULL,
    -- A hold reads that of its account, if the wallet says that there is one.
    PRIMARY KEY (concert_id, account_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;
