ALTER TABLE wallets DROP COLUMN has_hold_budgets;
