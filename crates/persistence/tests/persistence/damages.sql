-- Damages: the invariant that names each, the damage, and what mends it; the last ones are not mended. `reservations` has
-- one held, one confirmed and one cancelled after its payment; each of the three accounts has one.

-- breaks: balance_is_the_sum_of_the_entries
UPDATE wallets SET balance = balance + 1 WHERE entries_count > 1;
UPDATE wallets SET balance = balance - 1 WHERE entries_count > 1;

-- breaks: balance_is_the_sum_of_the_entries
UPDATE wallets SET entries_count = entries_count + 1 WHERE entries_count > 1;
UPDATE wallets SET entries_count = entries_count - 1 WHERE entries_count > 1;

-- breaks: entries_run_without_gaps
UPDATE wallet_entries SET balance_after = balance_after + 1 WHERE kind = 'payment';
UPDATE wallet_entries SET balance_after = balance_after - 1 WHERE kind = 'payment';

-- breaks: entries_run_without_gaps
UPDATE wallet_entries SET sequence = sequence + 5 WHERE kind = 'refund';
UPDATE wallet_entries SET sequence = sequence - 5 WHERE kind = 'refund';

-- breaks: pending_is_the_sum_of_the_pending_charges
UPDATE wallets SET pending = pending + 1 WHERE pending > 0;
UPDATE wallets SET pending = pending - 1 WHERE pending > 0;

-- breaks: completed_charge_is_credited_once
UPDATE charges SET status = 'completed' WHERE status = 'pending';
UPDATE charges SET status = 'pending' WHERE amount = 77;

-- breaks: completed_charge_is_credited_once
UPDATE charges SET amount = amount + 1 WHERE status = 'completed';
UPDATE charges SET amount = amount - 1 WHERE status = 'completed';

-- breaks: live_reservation_has_its_seats
UPDATE seats SET reservation_id = NULL WHERE reservation_id IS NOT NULL AND held_until IS NULL;
UPDATE seats SET reservation_id = (SELECT id FROM reservations WHERE status = 'confirmed')
    WHERE label = 'A-1-2';

-- breaks: live_reservation_has_its_seats
UPDATE seats SET reservation_id = NULL, held_until = NULL WHERE held_until IS NOT NULL;
UPDATE seats SET reservation_id = (SELECT id FROM reservations WHERE status = 'held'),
    held_until = (SELECT held_until FROM reservations WHERE status = 'held') WHERE label = 'A-1-1';

-- breaks: sold_seat_has_confirmed_reservation
UPDATE seats SET reservation_id = (SELECT id FROM reservations WHERE status = 'cancelled')
    WHERE label = 'A-2-1';
UPDATE seats SET reservation_id = NULL WHERE label = 'A-2-1';

-- breaks: sold_seat_has_confirmed_reservation
UPDATE seats SET reservation_id = (SELECT id FROM reservations WHERE status = 'confirmed')
    WHERE label = 'A-2-1';
UPDATE seats SET reservation_id = NULL WHERE label = 'A-2-1';

-- breaks: held_seat_has_held_reservation
UPDATE seats SET held_until = (SELECT created_at FROM reservations WHERE status = 'held')
    WHERE label = 'A-1-1';
UPDATE seats SET held_until = (SELECT held_until FROM reservations WHERE status = 'held')
    WHERE label = 'A-1-1';

-- breaks: seat_in_one_live_reservation
UPDATE reservations SET seats = REPLACE(seats, 'A-1-1', 'A-1-2') WHERE status = 'held';
UPDATE reservations SET seats = REPLACE(seats, 'A-1-2', 'A-1-1') WHERE status = 'held';

-- breaks: live_reservation_has_its_seats
UPDATE reservations SET seats = REPLACE(seats, 'A-1-1', 'A-2-1') WHERE status = 'held';
UPDATE reservations SET seats = REPLACE(seats, 'A-2-1', 'A-1-1') WHERE status = 'held';

-- breaks: reservation_total_is_the_sum_of_its_seats
UPDATE reservations SET seats = REPLACE(seats, '}', '') WHERE status = 'cancelled';
UPDATE reservations SET seats = REPLACE(seats, ']', '}]') WHERE status = 'cancelled';

-- breaks: reservation_total_is_the_sum_of_its_seats
UPDATE reservations SET total_amount = total_amount + 1 WHERE status = 'held';
UPDATE reservations SET total_amount = total_amount - 1 WHERE status = 'held';

-- breaks: reservation_total_is_the_sum_of_its_seats
UPDATE reservations SET seats_count = 2 WHERE status = 'held';
UPDATE reservations SET seats_count = 1 WHERE status = 'held';

-- breaks: confirmed_reservation_has_one_completed_payment
UPDATE payments SET amount = amount + 1 WHERE refunded_at IS NULL;
UPDATE payments SET amount = amount - 1 WHERE refunded_at IS NULL;

-- breaks: completed_payment_has_confirmed_reservation
UPDATE reservations SET status = 'expired' WHERE status = 'confirmed';
UPDATE reservations SET status = 'confirmed' WHERE status = 'expired';

-- breaks: unpaid_reservation_names_no_payment
UPDATE reservations SET payment_id = id WHERE status = 'held';
UPDATE reservations SET payment_id = NULL WHERE status = 'held';

-- breaks: payment_is_debited_once_and_refunded_at_most_once
UPDATE wallet_entries SET kind = 'charge' WHERE kind = 'refund';
UPDATE wallet_entries SET kind = 'refund' WHERE reservation_id IS NOT NULL AND amount > 0;

-- breaks: account_within_its_seat_limit
UPDATE concerts SET max_seats_per_account = 0;
UPDATE concerts SET max_seats_per_account = 4;

-- breaks: performance_has_all_its_seats
UPDATE performances SET seats_total = seats_total + 1;
UPDATE performances SET seats_total = seats_total - 1;

-- breaks: performance_has_all_its_seats
UPDATE seats SET ordinal = 5000 WHERE ordinal = 0;
UPDATE seats SET ordinal = 0 WHERE ordinal = 5000;

-- breaks: performance_has_all_its_seats
UPDATE seats SET ordinal = 1 WHERE ordinal = 2;
UPDATE seats SET ordinal = 2 WHERE label = 'A-1-3';

-- breaks: performance_has_all_its_seats
UPDATE performances SET venue_id = id;
UPDATE performances SET venue_id = (SELECT id FROM venues);

-- breaks: price_range_is_that_of_the_seats
UPDATE performances SET price_min = price_min - 1;
UPDATE performances SET price_min = price_min + 1;

-- breaks: price_range_is_that_of_the_seats
UPDATE performances SET price_max = price_max + 1;
UPDATE performances SET price_max = price_max - 1;

-- breaks: price_range_is_that_of_the_seats
UPDATE seats SET price = 5000 WHERE label = 'A-1-9';
UPDATE seats SET price = 1000 WHERE label = 'A-1-9';

-- breaks: venue_has_the_seats_of_its_plan
UPDATE venues SET capacity = capacity + 1;
UPDATE venues SET capacity = capacity - 1;

-- breaks: venue_has_the_seats_of_its_plan
UPDATE venues SET sections = CONCAT(sections, 'x');
UPDATE venues SET sections = REPLACE(sections, 'x', '');

-- breaks: venue_has_one_performance_at_a_time
INSERT INTO performances
    (id, owner_id, concert_id, venue_id, starts_at, ends_at, seats_total, price_min, price_max, created_at)
    SELECT concert_id, owner_id, concert_id, venue_id, starts_at, ends_at, seats_total, price_min, price_max, created_at
    FROM performances;
DELETE FROM performances WHERE id = concert_id;

-- breaks: performance_ends_after_it_starts
UPDATE performances SET cancel_until = ends_at, ends_at = starts_at;
UPDATE performances SET ends_at = cancel_until, cancel_until = NULL;

-- breaks: key_belongs_to_the_owner
UPDATE venues SET owner_id = id;
UPDATE venues SET owner_id = publisher_id;

-- breaks: key_belongs_to_the_owner
UPDATE concerts SET owner_id = id;
UPDATE concerts SET owner_id = promoter_id;

-- breaks: key_belongs_to_the_owner
UPDATE performances SET publisher_id = NULL;
UPDATE performances SET publisher_id = owner_id;

-- breaks: concert_is_that_of_the_performance
UPDATE reservations SET concert_id = id WHERE status = 'cancelled';
UPDATE reservations SET concert_id = (SELECT id FROM concerts) WHERE status = 'cancelled';

-- breaks: concert_is_that_of_the_performance
UPDATE payments SET concert_id = id;
UPDATE payments SET concert_id = (SELECT id FROM concerts);

-- breaks: balance_after_is_that_of_the_entry
UPDATE payments SET balance_after = balance_after + 1;
UPDATE payments SET balance_after = balance_after - 1;

-- breaks: balance_after_is_that_of_the_entry
UPDATE charges SET balance_after = balance_after + 1;
UPDATE charges SET balance_after = balance_after - 1;

-- breaks: event_has_its_cause
-- A held reservation has not been confirmed.
UPDATE outbox_batches SET events = REPLACE(events, 'reservation_held', 'reservation_confirmed');
UPDATE outbox_batches SET events = REPLACE(events, 'reservation_confirmed', 'reservation_held')
    WHERE events LIKE '%held_until%';

-- breaks: event_has_its_cause
-- An event of nothing that is there.
INSERT INTO outbox_batches (id, events, occurred_at) SELECT id, '[{"kind": "charge_requested",
    "charge_id": "01900000-0000-7000-8000-000000000000"}]', created_at FROM accounts;
DELETE FROM outbox_batches WHERE events LIKE '%01900000-0000-7000-8000-000000000000%';

-- breaks: event_has_its_cause
-- An event of nothing.
UPDATE outbox_batches SET events = REPLACE(events, 'charge_id', 'ticket_id');
UPDATE outbox_batches SET events = REPLACE(events, 'ticket_id', 'charge_id');

-- breaks: event_has_its_cause
-- An event of something else.
UPDATE outbox_batches SET events = REPLACE(events, 'charge_requested', 'ticket_printed');
UPDATE outbox_batches SET events = REPLACE(events, 'ticket_printed', 'charge_requested');

-- breaks: change_has_its_event
UPDATE outbox_batches SET events = REPLACE(events, 'reservation_cancelled', 'reservation_held');
UPDATE outbox_batches SET events = REPLACE(events, 'reservation_held', 'reservation_cancelled')
    WHERE events LIKE '%refunded%';

-- breaks: change_has_its_event
UPDATE outbox_batches SET events = REPLACE(events, '}]', '') WHERE events LIKE '%refunded%';
UPDATE outbox_batches SET events = CONCAT(events, '}]') WHERE events LIKE '%refunded%';

-- breaks: account_has_a_wallet
DELETE FROM wallets WHERE entries_count = 0 AND pending = 0;

-- breaks: confirmed_reservation_has_one_completed_payment
DELETE FROM payments WHERE refunded_at IS NULL;
