-- Damages of refunds of charges, as in damages.sql. There is one account with a charge of 100 points, of which one refund of
-- 30 was completed and one of 20 refused, and another account with a charge that waits for its buyer.

-- breaks: pending_is_the_sum_of_the_pending_charges
UPDATE charges SET status = 'declined', ended_at = created_at WHERE status = 'requires_action';
UPDATE charges SET status = 'requires_action', ended_at = NULL WHERE status = 'declined';

-- breaks: charge_is_refunded_as_its_refunds_say
UPDATE charges SET refunded = 31 WHERE refunded = 30;
UPDATE charges SET refunded = 30 WHERE refunded = 31;

-- breaks: charge_is_refunded_as_its_refunds_say
UPDATE charge_refunds SET amount = 31 WHERE amount = 30;
UPDATE charge_refunds SET amount = 30 WHERE amount = 31;

-- breaks: charge_is_refunded_as_its_refunds_say
UPDATE charge_refunds SET status = 'pending', ended_at = NULL WHERE status = 'refused';
UPDATE charge_refunds SET status = 'refused', ended_at = created_at WHERE status = 'pending';

-- breaks: charge_is_refunded_as_its_refunds_say
UPDATE charge_refunds SET ended_at = NULL WHERE status = 'completed';
UPDATE charge_refunds SET ended_at = created_at WHERE status = 'completed';

-- breaks: charge_is_refunded_as_its_refunds_say
UPDATE charge_refunds SET charge_id = id WHERE status = 'refused';
UPDATE charge_refunds SET charge_id = (SELECT id FROM charges WHERE amount = 100) WHERE status = 'refused';

-- breaks: entry_has_its_cause
UPDATE wallet_entries SET created_at = '2000-01-01 00:00:00' WHERE kind = 'charge_refund' AND amount = 20;
UPDATE wallet_entries SET created_at = (SELECT MAX(created_at) FROM charge_refunds) WHERE amount = 20;

-- breaks: entry_has_its_cause
UPDATE wallet_entries SET reservation_id = account_id WHERE kind = 'charge_refund';
UPDATE wallet_entries SET reservation_id = NULL WHERE kind = 'charge_refund';

-- breaks: event_has_its_cause
UPDATE outbox_batches SET events = REPLACE(events, '"amount":30', '"amount":29');
UPDATE outbox_batches SET events = REPLACE(events, '"amount":29', '"amount":30');

-- breaks: change_has_its_event
UPDATE outbox_batches SET events = REPLACE(events, 'charge_refund_requested', 'charge_refunded');
UPDATE outbox_batches SET events = REPLACE(events, 'charge_refunded', 'charge_refund_requested')
    WHERE events LIKE '%balance%';

-- breaks: change_has_its_event
UPDATE outbox_batches SET events = REPLACE(events, 'charge_refund_refused', 'charge_refunded');
UPDATE outbox_batches SET events = REPLACE(events, 'charge_refunded', 'charge_refund_refused')
    WHERE events LIKE '%balance%';

-- breaks: change_has_its_event
DELETE FROM outbox_batches WHERE events LIKE '%charge_requires_action%';
