-- The sales that have opened lately.
CREATE INDEX concerts_opening ON concerts (sales_open_at);
