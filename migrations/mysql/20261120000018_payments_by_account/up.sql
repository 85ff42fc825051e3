-- The payments of an account, newest first, page by page; whether one of them spent a place in a line.
CREATE INDEX payments_by_account ON payments (account_id, id);
