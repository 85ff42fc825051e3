-- How much was given back for money, or is about to be.
ALTER TABLE charges ADD COLUMN refunded BIGINT NOT NULL DEFAULT 0;
-- How the buyer pays, as the gateway calls it.
ALTER TABLE charges ADD COLUMN payment_method TEXT NULL;
-- The gateway's name for the payment.
ALTER TABLE charges ADD COLUMN reference TEXT NULL;
-- Why it was declined; a version that did not know why left it out.
ALTER TABLE charges ADD COLUMN decline_reason TEXT NULL;
