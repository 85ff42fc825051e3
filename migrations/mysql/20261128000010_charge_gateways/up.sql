ALTER TABLE charges
    -- How much was given back for money, or is about to be.
    ADD COLUMN refunded BIGINT NOT NULL DEFAULT 0,
    -- How the buyer pays, as the gateway calls it.
    ADD COLUMN payment_method VARCHAR(255) NULL,
    -- The gateway's name for the payment.
    ADD COLUMN reference VARCHAR(255) NULL,
    -- Why it was declined; a version that did not know why left it out.
    ADD COLUMN decline_reason VARCHAR(32) NULL;
