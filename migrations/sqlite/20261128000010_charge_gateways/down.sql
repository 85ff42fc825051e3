ALTER TABLE charges DROP COLUMN refunded;
ALTER TABLE charges DROP COLUMN payment_method;
ALTER TABLE charges DROP COLUMN reference;
ALTER TABLE charges DROP COLUMN decline_reason;
