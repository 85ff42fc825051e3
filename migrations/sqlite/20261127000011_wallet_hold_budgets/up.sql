-- Whether the account has rows in `hold_budgets`: most have none, and a hold that has locked the wallet need not look.
ALTER TABLE wallets ADD COLUMN has_hold_budgets BOOLEAN NOT NULL DEFAULT FALSE;
