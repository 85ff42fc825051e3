-- The reservations of an account, newest first, page by page.
CREATE INDEX reservations_by_account ON reservations (account_id, id);
