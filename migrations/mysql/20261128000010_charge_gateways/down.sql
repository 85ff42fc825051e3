ALTER TABLE charges DROP COLUMN refunded, DROP COLUMN payment_method, DROP COLUMN reference, DROP COLUMN decline_reason;
