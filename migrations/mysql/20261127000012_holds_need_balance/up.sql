-- Whether seats are held only for points that are in the wallet.
ALTER TABLE concerts ADD COLUMN holds_need_balance BOOLEAN NOT NULL DEFAULT FALSE;
