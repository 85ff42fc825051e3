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

-- breaks: hold_budget_counts_what_ended_unpaid
INSERT INTO hold_budgets (concert_id, account_id, unpaid_count, last_unpaid_at)
    SELECT concert_id, account_id, 1, created_at FROM reservations WHERE status = 'held';
DELETE FROM hold_budgets;

-- breaks: hold_budget_counts_what_ended_unpaid
INSERT INTO hold_budgets (concert_id, account_id, unpaid_count, last_unpaid_at)
    SELECT concert_id, account_id, 0, created_at FROM reservations WHERE status = 'held';
DELETE FROM hold_budgets;

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

-- breaks: reserved_seat_is_of_the_performance
UPDATE reservations SET seats = REPLACE(seats, 'A-1-3', 'A-9-9') WHERE status = 'cancelled';
UPDATE reservations SET seats = REPLACE(seats, 'A-9-9', 'A-1-3') WHERE status = 'cancelled';

-- breaks: confirmed_reservation_has_one_completed_payment
UPDATE reservations SET payment_id = id WHERE status = 'cancelled';
UPDATE reservations SET payment_id = (SELECT id FROM payments WHERE refunded_at IS NOT NULL) WHERE status = 'cancelled';

-- breaks: completed_payment_has_confirmed_reservation
UPDATE payments SET amount = amount + 1 WHERE refunded_at IS NOT NULL;
UPDATE payments SET amount = amount - 1 WHERE refunded_at IS NOT NULL;

-- breaks: reservation_changed_when_its_status_did
UPDATE reservations SET updated_at = '2000-01-01 00:00:00' WHERE status = 'held';
UPDATE reservations SET updated_at = created_at;

-- breaks: reservation_changed_when_its_status_did
UPDATE reservations SET updated_at = '2000-01-01 00:00:00' WHERE status = 'confirmed';
UPDATE reservations SET updated_at = created_at;

-- breaks: reservation_changed_when_its_status_did
UPDATE reservations SET updated_at = '2000-01-01 00:00:00' WHERE status = 'cancelled';
UPDATE reservations SET updated_at = created_at;

-- breaks: entry_has_its_cause
UPDATE wallet_entries SET charge_id = account_id WHERE kind = 'charge';
UPDATE wallet_entries SET charge_id = (SELECT id FROM charges
    WHERE charges.account_id = wallet_entries.account_id AND status = 'completed') WHERE kind = 'charge';

-- breaks: entry_has_its_cause
UPDATE wallet_entries SET payment_id = account_id WHERE kind = 'charge';
UPDATE wallet_entries SET payment_id = NULL WHERE kind = 'charge';

-- breaks: entry_has_its_cause
UPDATE wallet_entries SET payment_id = NULL WHERE kind = 'payment';
UPDATE wallet_entries SET payment_id = (SELECT id FROM payments
    WHERE payments.reservation_id = wallet_entries.reservation_id) WHERE kind = 'payment';

-- breaks: entry_has_its_cause
UPDATE wallet_entries SET payment_id = account_id WHERE kind = 'refund';
UPDATE wallet_entries SET payment_id = NULL WHERE kind = 'refund';

-- breaks: entry_has_its_cause
UPDATE wallet_entries SET created_at = '2000-01-01 00:00:00' WHERE kind = 'charge';
UPDATE wallet_entries SET created_at = (SELECT created_at FROM accounts WHERE id = account_id);

-- breaks: entry_has_its_cause
UPDATE wallet_entries SET created_at = '2000-01-01 00:00:00' WHERE kind = 'payment';
UPDATE wallet_entries SET created_at = (SELECT created_at FROM accounts WHERE id = account_id);

-- breaks: entry_has_its_cause
UPDATE wallet_entries SET created_at = '2000-01-01 00:00:00' WHERE kind = 'refund';
UPDATE wallet_entries SET created_at = (SELECT created_at FROM accounts WHERE id = account_id);

-- breaks: entry_has_its_cause
UPDATE wallet_entries SET kind = 'gift' WHERE kind = 'refund';
UPDATE wallet_entries SET kind = 'refund' WHERE kind = 'gift';

-- breaks: wallet_changed_with_its_last_entry
UPDATE wallets SET updated_at = '2000-01-01 00:00:00' WHERE entries_count = 0;
UPDATE wallets SET updated_at = (SELECT created_at FROM accounts WHERE id = account_id);

-- breaks: wallet_changed_with_its_last_entry
UPDATE wallets SET updated_at = '2000-01-01 00:00:00' WHERE entries_count > 1;
UPDATE wallets SET updated_at = (SELECT created_at FROM accounts WHERE id = account_id);

-- breaks: charge_ended_as_its_status_says
UPDATE charges SET ended_at = NULL WHERE status = 'completed';
UPDATE charges SET ended_at = created_at WHERE status = 'completed';

-- breaks: charge_ended_as_its_status_says
UPDATE charges SET balance_after = NULL WHERE status = 'completed';
UPDATE charges SET balance_after = amount WHERE status = 'completed';

-- breaks: charge_ended_as_its_status_says
UPDATE charges SET ended_at = created_at WHERE status = 'pending';
UPDATE charges SET ended_at = NULL WHERE status = 'pending';

-- breaks: charge_ended_as_its_status_says
UPDATE charges SET balance_after = 0 WHERE status = 'pending';
UPDATE charges SET balance_after = NULL WHERE status = 'pending';

-- breaks: balance_after_is_that_of_the_entry
UPDATE charges SET balance_after = NULL WHERE status = 'completed';
UPDATE charges SET balance_after = amount WHERE status = 'completed';

-- breaks: balance_after_is_that_of_the_entry
UPDATE payments SET balance_after = NULL;
UPDATE payments SET balance_after = (SELECT balance_after FROM wallet_entries WHERE payment_id = payments.id);

-- breaks: performance_has_all_its_seats
UPDATE seats SET ordinal = 9 - ordinal WHERE ordinal IN (4, 5);
UPDATE seats SET ordinal = 9 - ordinal WHERE ordinal IN (4, 5);

-- breaks: performance_has_all_its_seats
UPDATE seats SET label = 'A-1-99' WHERE label = 'A-1-9';
UPDATE seats SET label = 'A-1-9' WHERE label = 'A-1-99';

-- breaks: performance_has_all_its_seats
UPDATE venues SET sections = REPLACE(sections, '"name":"A"', '"name":"Z"');
UPDATE venues SET sections = REPLACE(sections, '"name":"Z"', '"name":"A"');

-- breaks: section_has_one_price
UPDATE seats SET price = 600 WHERE label = 'A-1-9';
UPDATE seats SET price = 1000 WHERE label = 'A-1-9';

-- breaks: move_has_both_its_times
UPDATE performances SET moved_at = created_at;
UPDATE performances SET moved_at = NULL;

-- breaks: move_has_both_its_times
UPDATE performances SET cancel_until = created_at;
UPDATE performances SET cancel_until = NULL;

-- breaks: sale_closes_after_it_opens
UPDATE concerts SET emptied_at = sales_close_at, sales_close_at = sales_open_at;
UPDATE concerts SET sales_close_at = emptied_at, emptied_at = NULL;

-- breaks: performance_starts_after_its_sale_opens
UPDATE concerts SET emptied_at = sales_open_at, sales_open_at = (SELECT starts_at FROM performances);
UPDATE concerts SET sales_open_at = emptied_at, emptied_at = NULL;

-- breaks: key_has_its_fingerprint
UPDATE accounts SET fingerprint = id;
UPDATE accounts SET fingerprint = NULL;

-- breaks: key_has_its_fingerprint
UPDATE venues SET fingerprint = id;
UPDATE venues SET fingerprint = NULL;

-- breaks: key_has_its_fingerprint
UPDATE concerts SET fingerprint = id;
UPDATE concerts SET fingerprint = NULL;

-- breaks: key_has_its_fingerprint
UPDATE performances SET fingerprint = id;
UPDATE performances SET fingerprint = NULL;

-- breaks: key_has_its_fingerprint
UPDATE reservations SET fingerprint = id;
UPDATE reservations SET fingerprint = NULL;

-- breaks: key_has_its_fingerprint
UPDATE reservations SET cancel_fingerprint = id WHERE status = 'cancelled';
UPDATE reservations SET cancel_fingerprint = NULL;

-- breaks: key_has_its_fingerprint
UPDATE reservations SET cancel_key = 'key', cancel_fingerprint = id WHERE status = 'held';
UPDATE reservations SET cancel_key = NULL, cancel_fingerprint = NULL;

-- breaks: erased_account_says_nothing_of_its_holder
UPDATE accounts SET erased_at = created_at;
UPDATE accounts SET erased_at = NULL;

-- breaks: second_factor_is_that_of_the_account
UPDATE accounts SET second_factor_at = created_at;
UPDATE accounts SET second_factor_at = NULL;

-- breaks: second_factor_is_that_of_the_account
INSERT INTO second_factors (account_id, secret, created_at, confirmed_at, last_step, attempts_count, recovery_hashes)
    SELECT account_id, X'0102030405060708091011121314151617181920', updated_at, updated_at, 0, 0, '[]' FROM wallets;
DELETE FROM second_factors;

-- breaks: what_is_referred_to_is_there
INSERT INTO sessions (id, account_id, refresh_hash, created_at, expires_at)
    SELECT id, id, id, created_at, created_at FROM venues;
DELETE FROM sessions;

-- breaks: what_is_referred_to_is_there
UPDATE venues SET publisher_id = id;
UPDATE venues SET publisher_id = owner_id;

-- breaks: what_is_referred_to_is_there
UPDATE concerts SET promoter_id = id;
UPDATE concerts SET promoter_id = owner_id;

-- breaks: what_is_referred_to_is_there
UPDATE performances SET publisher_id = id;
UPDATE performances SET publisher_id = owner_id;

-- breaks: what_is_referred_to_is_there
UPDATE performances SET concert_id = id;
UPDATE performances SET concert_id = (SELECT id FROM concerts);

-- breaks: what_is_referred_to_is_there
INSERT INTO seats (performance_id, label, ordinal, price) SELECT id, 'A-1-1', 0, 0 FROM venues;
DELETE FROM seats WHERE performance_id = (SELECT id FROM venues);

-- breaks: what_is_referred_to_is_there
INSERT INTO wallets (account_id, balance, pending, entries_count, updated_at)
    SELECT id, 0, 0, 0, created_at FROM venues;
DELETE FROM wallets WHERE account_id = (SELECT id FROM venues);

-- breaks: what_is_referred_to_is_there
INSERT INTO wallet_entries (account_id, sequence, kind, amount, balance_after, created_at)
    SELECT id, 1, 'charge', 0, 0, created_at FROM venues;
DELETE FROM wallet_entries WHERE account_id = (SELECT id FROM venues);

-- breaks: what_is_referred_to_is_there
INSERT INTO charges (id, account_id, amount, status, created_at, idempotency_key, fingerprint)
    SELECT id, id, 1, 'pending', created_at, 'key', id FROM venues;
DELETE FROM charges WHERE account_id = (SELECT id FROM venues);

-- breaks: what_is_referred_to_is_there
UPDATE reservations SET account_id = id WHERE status = 'held';
UPDATE reservations SET account_id = (SELECT account_id FROM charges WHERE status = 'pending') WHERE status = 'held';

-- breaks: event_has_its_cause
UPDATE outbox_batches SET events = REPLACE(events, '"account_id":"0', '"account_id":"f')
    WHERE events LIKE '%reservation_held%';
UPDATE outbox_batches SET events = REPLACE(events, '"account_id":"f', '"account_id":"0');

-- breaks: event_has_its_cause
UPDATE outbox_batches SET events = REPLACE(events, '"performance_id":"0', '"performance_id":"f')
    WHERE events LIKE '%reservation_held%';
UPDATE outbox_batches SET events = REPLACE(events, '"performance_id":"f', '"performance_id":"0');

-- breaks: event_has_its_cause
UPDATE outbox_batches SET events = REPLACE(events, '"payment_id":"0', '"payment_id":"f');
UPDATE outbox_batches SET events = REPLACE(events, '"payment_id":"f', '"payment_id":"0');

-- breaks: event_has_its_cause
UPDATE outbox_batches SET events = REPLACE(events, '"amount":77', '"amount":78');
UPDATE outbox_batches SET events = REPLACE(events, '"amount":78', '"amount":77');

-- breaks: event_has_its_cause
UPDATE outbox_batches SET events = REPLACE(events, '"amount":1000', '"amount":1001');
UPDATE outbox_batches SET events = REPLACE(events, '"amount":1001', '"amount":1000');

-- breaks: event_has_its_cause
UPDATE outbox_batches SET events = REPLACE(events, '"refunded":1000', '"refunded":0');
UPDATE outbox_batches SET events = REPLACE(events, '"refunded":0', '"refunded":1000');

-- breaks: event_has_its_cause
UPDATE outbox_batches SET events = REPLACE(events, '"balance":1000', '"balance":1001');
UPDATE outbox_batches SET events = REPLACE(events, '"balance":1001', '"balance":1000');

-- breaks: event_has_its_cause
UPDATE outbox_batches SET occurred_at = '2000-01-01 00:00:00' WHERE events LIKE '%reservation_held%';
UPDATE outbox_batches SET occurred_at = (SELECT MAX(created_at) FROM accounts);

-- breaks: event_has_its_cause
UPDATE outbox_batches SET occurred_at = '2000-01-01 00:00:00' WHERE events LIKE '%reservation_cancelled%';
UPDATE outbox_batches SET occurred_at = (SELECT MAX(created_at) FROM accounts);

-- breaks: event_has_its_cause
UPDATE outbox_batches SET occurred_at = '2000-01-01 00:00:00' WHERE events LIKE '%charge_requested%';
UPDATE outbox_batches SET occurred_at = (SELECT MAX(created_at) FROM accounts);

-- breaks: event_has_its_cause
UPDATE outbox_batches SET occurred_at = '2000-01-01 00:00:00' WHERE events LIKE '%charge_completed%';
UPDATE outbox_batches SET occurred_at = (SELECT MAX(created_at) FROM accounts);

-- breaks: change_has_its_event
UPDATE outbox_batches SET events = REPLACE(events, 'charge_completed', 'charge_requested');
UPDATE outbox_batches SET events = REPLACE(events, 'charge_requested', 'charge_completed')
    WHERE events LIKE '%balance%';

-- breaks: change_has_its_event
UPDATE outbox_batches SET events = REPLACE(events, 'charge_requested', 'charge_completed') WHERE events LIKE '%77%';
UPDATE outbox_batches SET events = REPLACE(events, 'charge_completed', 'charge_requested')
    WHERE events NOT LIKE '%balance%';

-- breaks: change_has_its_event
UPDATE outbox_batches SET events = REPLACE(events, 'reservation_confirmed', 'reservation_held');
UPDATE outbox_batches SET events = REPLACE(events, 'reservation_held', 'reservation_confirmed')
    WHERE events LIKE '%payment_id%';

-- breaks: change_has_its_event
UPDATE outbox_batches SET events = REPLACE(events, 'reservation_held', 'reservation_expired');
UPDATE outbox_batches SET events = REPLACE(events, 'reservation_expired', 'reservation_held');

-- breaks: account_has_a_wallet
DELETE FROM wallets WHERE entries_count = 0 AND pending = 0;

-- breaks: confirmed_reservation_has_one_completed_payment
DELETE FROM payments WHERE refunded_at IS NULL;
