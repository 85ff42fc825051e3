ALTER TABLE concerts DROP COLUMN holds_need_balance;
