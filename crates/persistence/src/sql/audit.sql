-- The invariants, each as a query for the rows that break it, with a key and a detail of each. Besides the tables there
-- are `reservation_seats`, the seats that each reservation lists, and `events`, those of all batches. `:now` is the present
-- instant. What concerns the plans of venues is not here but in `audit/halls.rs`: a query that joins venues to seats reads
-- a plan for each seat.

-- invariant: seat_in_one_live_reservation
SELECT reservations.performance_id, reservation_seats.label FROM reservation_seats
JOIN reservations ON reservations.id = reservation_seats.reservation_id
WHERE reservations.status = 'confirmed' OR (reservations.status = 'held' AND reservations.held_until > :now)
GROUP BY reservations.performance_id, reservation_seats.label
HAVING COUNT(*) > 1;

-- invariant: sold_seat_has_confirmed_reservation
SELECT seats.performance_id, seats.label FROM seats
LEFT JOIN reservations ON reservations.id = seats.reservation_id
    AND reservations.performance_id = seats.performance_id AND reservations.status = 'confirmed'
LEFT JOIN reservation_seats ON reservation_seats.reservation_id = seats.reservation_id
    AND reservation_seats.label = seats.label
WHERE seats.reservation_id IS NOT NULL AND seats.held_until IS NULL
    AND (reservations.id IS NULL OR reservation_seats.label IS NULL);

-- invariant: held_seat_has_held_reservation
SELECT seats.performance_id, seats.label FROM seats
LEFT JOIN reservations ON reservations.id = seats.reservation_id
    AND reservations.performance_id = seats.performance_id
    AND reservations.held_until = seats.held_until AND reservations.status = 'held'
LEFT JOIN reservation_seats ON reservation_seats.reservation_id = seats.reservation_id
    AND reservation_seats.label = seats.label
WHERE seats.held_until IS NOT NULL
    AND (reservations.id IS NULL OR reservation_seats.label IS NULL);

-- invariant: live_reservation_has_its_seats
SELECT reservation_seats.reservation_id, reservation_seats.label FROM reservation_seats
JOIN reservations ON reservations.id = reservation_seats.reservation_id
LEFT JOIN seats ON seats.performance_id = reservations.performance_id
    AND seats.label = reservation_seats.label
    AND seats.reservation_id = reservations.id
    AND (CASE WHEN seats.held_until IS NULL THEN 'confirmed' ELSE 'held' END) = reservations.status
WHERE seats.label IS NULL AND (reservations.status = 'confirmed'
    OR (reservations.status = 'held' AND reservations.held_until > :now));

-- invariant: reserved_seat_is_of_the_performance
SELECT reservation_seats.reservation_id, reservation_seats.label FROM reservation_seats
JOIN reservations ON reservations.id = reservation_seats.reservation_id
LEFT JOIN seats ON seats.performance_id = reservations.performance_id AND seats.label = reservation_seats.label
WHERE seats.label IS NULL;

-- invariant: hold_budget_counts_what_ended_unpaid
-- A version that does not count may have run beside this one, so there may be more.
SELECT hold_budgets.account_id, CONCAT('unpaid ', hold_budgets.unpaid_count) FROM hold_budgets
LEFT JOIN wallets ON wallets.account_id = hold_budgets.account_id AND wallets.has_hold_budgets
LEFT JOIN reservations ON reservations.account_id = hold_budgets.account_id
    AND reservations.concert_id = hold_budgets.concert_id
    AND reservations.status IN ('cancelled', 'expired') AND reservations.payment_id IS NULL
    AND (hold_budgets.paid_at IS NULL OR reservations.updated_at > hold_budgets.paid_at)
GROUP BY hold_budgets.account_id, hold_budgets.concert_id, hold_budgets.unpaid_count, hold_budgets.last_unpaid_at
HAVING COUNT(reservations.id) < hold_budgets.unpaid_count
    OR MAX(reservations.updated_at) < hold_budgets.last_unpaid_at
    OR (hold_budgets.unpaid_count = 0) <> (hold_budgets.last_unpaid_at IS NULL)
    OR COUNT(wallets.account_id) = 0;

-- invariant: reservation_total_is_the_sum_of_its_seats
SELECT reservations.id, CONCAT('total ', reservations.total_amount) FROM reservations
LEFT JOIN reservation_seats ON reservation_seats.reservation_id = reservations.id
GROUP BY reservations.id, reservations.total_amount, reservations.seats_count
HAVING COUNT(reservation_seats.label) <> reservations.seats_count
    OR COALESCE(SUM(reservation_seats.price), 0) <> reservations.total_amount;

-- invariant: confirmed_reservation_has_one_completed_payment
-- A cancelled one that names a payment has it, and it is refunded.
SELECT reservations.id, CONCAT(reservations.status, ', total ', reservations.total_amount) FROM reservations
LEFT JOIN payments ON payments.reservation_id = reservations.id
    AND payments.id = reservations.payment_id AND payments.amount = reservations.total_amount
    AND payments.account_id = reservations.account_id
    AND (CASE WHEN payments.refunded_at IS NULL THEN 'confirmed' ELSE 'cancelled' END) = reservations.status
WHERE payments.id IS NULL AND (reservations.status = 'confirmed'
    OR (reservations.status = 'cancelled' AND reservations.payment_id IS NOT NULL));

-- invariant: completed_payment_has_confirmed_reservation
SELECT payments.id, CONCAT('amount ', payments.amount) FROM payments
LEFT JOIN reservations ON reservations.id = payments.reservation_id
    AND reservations.payment_id = payments.id AND reservations.total_amount = payments.amount
    AND reservations.status = (CASE WHEN payments.refunded_at IS NULL
        THEN 'confirmed' ELSE 'cancelled' END)
WHERE reservations.id IS NULL;

-- invariant: unpaid_reservation_names_no_payment
SELECT reservations.id, reservations.status FROM reservations
WHERE reservations.status IN ('held', 'expired') AND reservations.payment_id IS NOT NULL;

-- invariant: reservation_changed_when_its_status_did
-- When one was cancelled that had not been paid, is stored nowhere else.
SELECT reservations.id, CONCAT(reservations.status, ', changed at ', reservations.updated_at) FROM reservations
LEFT JOIN payments ON payments.reservation_id = reservations.id
WHERE reservations.updated_at <> (CASE reservations.status
    WHEN 'held' THEN reservations.created_at
    WHEN 'confirmed' THEN payments.paid_at
    WHEN 'expired' THEN reservations.held_until
    WHEN 'cancelled' THEN payments.refunded_at END);

-- invariant: account_within_its_seat_limit
-- Only for concerts that were never changed: a promoter may lower the limit below what accounts own already.
SELECT reservations.account_id, CONCAT(COUNT(*), ' reservations of one concert') FROM reservations
JOIN concerts ON concerts.id = reservations.concert_id AND concerts.version = 1
WHERE reservations.status = 'confirmed' OR (reservations.status = 'held' AND reservations.held_until > :now)
GROUP BY reservations.account_id, reservations.concert_id
HAVING SUM(reservations.seats_count) > MAX(concerts.max_seats_per_account);

-- invariant: balance_is_the_sum_of_the_entries
SELECT wallets.account_id, CONCAT('balance ', wallets.balance) FROM wallets
LEFT JOIN wallet_entries ON wallet_entries.account_id = wallets.account_id
GROUP BY wallets.account_id, wallets.balance, wallets.entries_count
HAVING COALESCE(SUM(wallet_entries.amount), 0) <> wallets.balance
    OR COUNT(wallet_entries.sequence) <> wallets.entries_count
    OR COALESCE(MAX(wallet_entries.sequence), 0) <> wallets.entries_count;

-- invariant: entries_run_without_gaps
SELECT later.account_id, CONCAT('entry ', later.sequence) FROM wallet_entries AS later
LEFT JOIN wallet_entries AS earlier ON earlier.account_id = later.account_id
    AND earlier.sequence = later.sequence - 1
WHERE later.balance_after <> COALESCE(earlier.balance_after, 0) + later.amount
    OR (later.sequence > 1 AND earlier.sequence IS NULL) OR later.sequence < 1;

-- invariant: entry_has_its_cause
SELECT wallet_entries.account_id, CONCAT('entry ', wallet_entries.sequence, ', ', wallet_entries.kind)
FROM wallet_entries
LEFT JOIN charges ON charges.id = wallet_entries.charge_id AND charges.account_id = wallet_entries.account_id
    AND charges.ended_at = wallet_entries.created_at
LEFT JOIN payments ON payments.reservation_id = wallet_entries.reservation_id
    AND payments.account_id = wallet_entries.account_id AND payments.balance_after IS NOT NULL
WHERE NOT COALESCE((CASE wallet_entries.kind
    WHEN 'charge_refund' THEN wallet_entries.reservation_id IS NULL AND wallet_entries.payment_id IS NULL
        AND EXISTS (SELECT 1 FROM charge_refunds WHERE charge_refunds.charge_id = wallet_entries.charge_id
            AND charge_refunds.account_id = wallet_entries.account_id
            AND ((0 - charge_refunds.amount = wallet_entries.amount
                    AND charge_refunds.created_at = wallet_entries.created_at)
                OR (charge_refunds.amount = wallet_entries.amount AND charge_refunds.status = 'refused'
                    AND charge_refunds.ended_at = wallet_entries.created_at)))
    WHEN 'charge' THEN charges.status = 'completed' AND charges.amount = wallet_entries.amount
        AND wallet_entries.reservation_id IS NULL AND wallet_entries.payment_id IS NULL
    WHEN 'payment' THEN payments.id = wallet_entries.payment_id AND 0 - payments.amount = wallet_entries.amount
        AND payments.paid_at = wallet_entries.created_at AND wallet_entries.charge_id IS NULL
    WHEN 'refund' THEN payments.refunded_at = wallet_entries.created_at AND payments.amount = wallet_entries.amount
        AND wallet_entries.payment_id IS NULL AND wallet_entries.charge_id IS NULL END), FALSE);

-- invariant: wallet_changed_with_its_last_entry
SELECT wallets.account_id, CONCAT('changed at ', wallets.updated_at) FROM wallets
JOIN accounts ON accounts.id = wallets.account_id
LEFT JOIN wallet_entries ON wallet_entries.account_id = wallets.account_id
    AND wallet_entries.sequence = wallets.entries_count
WHERE wallets.updated_at <> COALESCE(wallet_entries.created_at, accounts.created_at);

-- invariant: nothing_is_negative
SELECT account_id, CONCAT('balance ', balance, ', pending ', pending) FROM wallets
WHERE balance < 0 OR pending < 0;

-- invariant: pending_is_the_sum_of_the_pending_charges
SELECT wallets.account_id, CONCAT('pending ', wallets.pending) FROM wallets
LEFT JOIN charges ON charges.account_id = wallets.account_id AND charges.status IN ('pending', 'requires_action')
GROUP BY wallets.account_id, wallets.pending
HAVING COALESCE(SUM(charges.amount), 0) <> wallets.pending;

-- invariant: completed_charge_is_credited_once
SELECT charges.id, charges.status FROM charges
LEFT JOIN wallet_entries ON wallet_entries.account_id = charges.account_id
    AND wallet_entries.charge_id = charges.id AND wallet_entries.kind <> 'charge_refund'
GROUP BY charges.id, charges.status, charges.amount
HAVING COUNT(wallet_entries.sequence) <> (CASE WHEN charges.status = 'completed' THEN 1 ELSE 0 END)
    OR (charges.status = 'completed' AND SUM(wallet_entries.amount) <> charges.amount);

-- invariant: charge_ended_as_its_status_says
SELECT charges.id, charges.status FROM charges
WHERE (charges.ended_at IS NOT NULL) <> (charges.status IN ('completed', 'declined'))
    OR (charges.balance_after IS NOT NULL) <> (charges.status = 'completed');

-- invariant: charge_is_refunded_as_its_refunds_say
-- Each takes points out of the wallet once, and puts them back if it was refused.
SELECT charges.id, CONCAT('refunded ', charges.refunded) FROM charges
LEFT JOIN (SELECT charge_id, account_id, SUM(CASE WHEN status = 'refused' THEN 0 ELSE amount END) AS amount,
        SUM(CASE WHEN status = 'refused' THEN 2 ELSE 1 END) AS moves
    FROM charge_refunds GROUP BY charge_id, account_id) AS refunds
    ON refunds.charge_id = charges.id AND refunds.account_id = charges.account_id
LEFT JOIN (SELECT charge_id, account_id, 0 - SUM(amount) AS amount, COUNT(*) AS moves
    FROM wallet_entries WHERE kind = 'charge_refund' GROUP BY charge_id, account_id) AS entries
    ON entries.charge_id = charges.id AND entries.account_id = charges.account_id
WHERE charges.refunded <> COALESCE(refunds.amount, 0) OR charges.refunded <> COALESCE(entries.amount, 0)
    OR COALESCE(refunds.moves, 0) <> COALESCE(entries.moves, 0) OR charges.refunded > charges.amount
    OR (charges.refunded <> 0 AND charges.status <> 'completed')
UNION ALL SELECT charge_refunds.id, 'its charge' FROM charge_refunds
LEFT JOIN charges ON charges.id = charge_refunds.charge_id AND charges.account_id = charge_refunds.account_id
WHERE charges.id IS NULL
UNION ALL SELECT charge_refunds.id, charge_refunds.status FROM charge_refunds
WHERE (charge_refunds.ended_at IS NOT NULL) <> (charge_refunds.status IN ('completed', 'refused'));

-- invariant: payment_is_debited_once_and_refunded_at_most_once
SELECT payments.id, CONCAT('amount ', payments.amount) FROM payments
LEFT JOIN wallet_entries ON wallet_entries.account_id = payments.account_id
    AND wallet_entries.reservation_id = payments.reservation_id
WHERE payments.balance_after IS NOT NULL
GROUP BY payments.id, payments.amount, payments.refunded_at
HAVING SUM(CASE WHEN wallet_entries.kind = 'payment' THEN 1 ELSE 0 END) <> 1
    OR SUM(CASE WHEN wallet_entries.kind = 'refund' THEN 1 ELSE 0 END)
        <> (CASE WHEN payments.refunded_at IS NULL THEN 0 ELSE 1 END)
    OR SUM(wallet_entries.amount)
        <> (CASE WHEN payments.refunded_at IS NULL THEN 0 - payments.amount ELSE 0 END);

-- invariant: account_has_a_wallet
SELECT accounts.id, accounts.login_id FROM accounts
LEFT JOIN wallets ON wallets.account_id = accounts.id WHERE wallets.account_id IS NULL;

-- invariant: venue_has_one_performance_at_a_time
-- One that is taken from sale counts while seats of it are sold.
SELECT one.id, CONCAT('overlaps with another of venue ', venues.name) FROM performances AS one
JOIN venues ON venues.id = one.venue_id AND NOT venues.overlaps_allowed
JOIN performances AS other ON other.venue_id = one.venue_id AND other.id <> one.id
    AND other.starts_at < one.ends_at AND one.starts_at < other.ends_at
WHERE (one.withdrawn_at IS NULL OR EXISTS (SELECT 1 FROM seats WHERE seats.performance_id = one.id
        AND seats.reservation_id IS NOT NULL AND seats.held_until IS NULL))
    AND (other.withdrawn_at IS NULL OR EXISTS (SELECT 1 FROM seats WHERE seats.performance_id = other.id
        AND seats.reservation_id IS NOT NULL AND seats.held_until IS NULL));

-- invariant: performance_ends_after_it_starts
SELECT performances.id, 'ends before it starts' FROM performances WHERE performances.ends_at <= performances.starts_at;

-- invariant: move_has_both_its_times
SELECT performances.id, 'only one of moved_at and cancel_until is known' FROM performances
WHERE (performances.moved_at IS NULL) <> (performances.cancel_until IS NULL);

-- invariant: sale_closes_after_it_opens
SELECT concerts.id, CONCAT('opens at ', concerts.sales_open_at) FROM concerts
WHERE concerts.sales_close_at <= concerts.sales_open_at;

-- invariant: performance_starts_after_its_sale_opens
-- The opening may be moved behind a performance that has been, or that is taken from sale.
SELECT performances.id, CONCAT('starts at ', performances.starts_at) FROM performances
JOIN concerts ON concerts.id = performances.concert_id
WHERE performances.withdrawn_at IS NULL AND performances.starts_at > :now
    AND performances.starts_at <= concerts.sales_open_at;

-- invariant: key_belongs_to_the_owner
SELECT id, 'venue' FROM venues
WHERE owner_id <> COALESCE(publisher_id, X'00000000000000000000000000000000')
UNION ALL SELECT id, 'concert' FROM concerts
WHERE owner_id <> COALESCE(promoter_id, X'00000000000000000000000000000000')
UNION ALL SELECT id, 'performance' FROM performances
WHERE owner_id <> COALESCE(publisher_id, X'00000000000000000000000000000000');

-- invariant: key_has_its_fingerprint
SELECT id, 'account' FROM accounts WHERE (idempotency_key IS NULL) <> (fingerprint IS NULL)
UNION ALL SELECT id, 'venue' FROM venues WHERE (idempotency_key IS NULL) <> (fingerprint IS NULL)
UNION ALL SELECT id, 'concert' FROM concerts WHERE (idempotency_key IS NULL) <> (fingerprint IS NULL)
UNION ALL SELECT id, 'performance' FROM performances WHERE (idempotency_key IS NULL) <> (fingerprint IS NULL)
UNION ALL SELECT id, 'reservation' FROM reservations
WHERE (idempotency_key IS NULL) <> (fingerprint IS NULL) OR (cancel_key IS NULL) <> (cancel_fingerprint IS NULL)
    OR (cancel_key IS NOT NULL AND status <> 'cancelled');

-- invariant: erased_account_says_nothing_of_its_holder
SELECT accounts.id, accounts.login_id FROM accounts
WHERE accounts.erased_at IS NOT NULL AND (accounts.password_hash <> '' OR accounts.name <> 'erased'
    OR accounts.idempotency_key IS NOT NULL OR accounts.login_id NOT LIKE 'erased-%')
UNION ALL SELECT sessions.account_id, 'a session' FROM sessions
JOIN accounts ON accounts.id = sessions.account_id WHERE accounts.erased_at IS NOT NULL
UNION ALL SELECT account_emails.account_id, 'an e-mail address' FROM account_emails
JOIN accounts ON accounts.id = account_emails.account_id WHERE accounts.erased_at IS NOT NULL
UNION ALL SELECT email_codes.account_id, 'a code' FROM email_codes
JOIN accounts ON accounts.id = email_codes.account_id WHERE accounts.erased_at IS NOT NULL
UNION ALL SELECT password_resets.account_id, 'a reset of the password' FROM password_resets
JOIN accounts ON accounts.id = password_resets.account_id WHERE accounts.erased_at IS NOT NULL;

-- invariant: second_factor_is_that_of_the_account
SELECT accounts.id, accounts.login_id FROM accounts
LEFT JOIN second_factors ON second_factors.account_id = accounts.id
WHERE accounts.second_factor_at IS NOT NULL AND second_factors.confirmed_at IS NULL
UNION ALL SELECT second_factors.account_id, 'confirmed' FROM second_factors
LEFT JOIN accounts ON accounts.id = second_factors.account_id AND accounts.second_factor_at IS NOT NULL
WHERE second_factors.confirmed_at IS NOT NULL AND accounts.id IS NULL;

-- invariant: what_is_referred_to_is_there
-- The other references are those of the invariants about their rows.
SELECT sessions.id, 'the account of a session' FROM sessions
LEFT JOIN accounts ON accounts.id = sessions.account_id WHERE accounts.id IS NULL
UNION ALL SELECT venues.id, 'the publisher of a venue' FROM venues
LEFT JOIN accounts ON accounts.id = venues.publisher_id
WHERE accounts.id IS NULL AND venues.publisher_id IS NOT NULL
UNION ALL SELECT concerts.id, 'the promoter of a concert' FROM concerts
LEFT JOIN accounts ON accounts.id = concerts.promoter_id
WHERE accounts.id IS NULL AND concerts.promoter_id IS NOT NULL
UNION ALL SELECT performances.id, 'the publisher of a performance' FROM performances
LEFT JOIN accounts ON accounts.id = performances.publisher_id
WHERE accounts.id IS NULL AND performances.publisher_id IS NOT NULL
UNION ALL SELECT performances.id, 'the concert of a performance' FROM performances
LEFT JOIN concerts ON concerts.id = performances.concert_id WHERE concerts.id IS NULL
UNION ALL SELECT seats_of.performance_id, 'the performance of seats'
FROM (SELECT DISTINCT performance_id FROM seats) AS seats_of
LEFT JOIN performances ON performances.id = seats_of.performance_id WHERE performances.id IS NULL
UNION ALL SELECT reservations.id, 'the account of a reservation' FROM reservations
LEFT JOIN accounts ON accounts.id = reservations.account_id WHERE accounts.id IS NULL
UNION ALL SELECT wallets.account_id, 'the account of a wallet' FROM wallets
LEFT JOIN accounts ON accounts.id = wallets.account_id WHERE accounts.id IS NULL
UNION ALL SELECT wallet_entries.account_id, 'the wallet of an entry' FROM wallet_entries
LEFT JOIN wallets ON wallets.account_id = wallet_entries.account_id WHERE wallets.account_id IS NULL
UNION ALL SELECT charges.id, 'the wallet of a charge' FROM charges
LEFT JOIN wallets ON wallets.account_id = charges.account_id WHERE wallets.account_id IS NULL;

-- invariant: concert_is_that_of_the_performance
SELECT reservations.id, 'reservation' FROM reservations
LEFT JOIN performances ON performances.id = reservations.performance_id
    AND performances.concert_id = reservations.concert_id
WHERE performances.id IS NULL
UNION ALL SELECT payments.id, 'payment' FROM payments
LEFT JOIN reservations ON reservations.id = payments.reservation_id
    AND reservations.concert_id = payments.concert_id AND reservations.account_id = payments.account_id
WHERE reservations.id IS NULL;

-- invariant: balance_after_is_that_of_the_entry
SELECT payments.id, CONCAT('balance after ', COALESCE(payments.balance_after, 'null')) FROM payments
JOIN wallet_entries ON wallet_entries.account_id = payments.account_id
    AND wallet_entries.payment_id = payments.id AND wallet_entries.kind = 'payment'
WHERE COALESCE(payments.balance_after, -1) <> wallet_entries.balance_after
UNION ALL SELECT charges.id, CONCAT('balance after ', COALESCE(charges.balance_after, 'null')) FROM charges
JOIN wallet_entries ON wallet_entries.account_id = charges.account_id AND wallet_entries.charge_id = charges.id
    AND wallet_entries.kind <> 'charge_refund'
WHERE COALESCE(charges.balance_after, -1) <> wallet_entries.balance_after;

-- invariant: event_has_its_cause
-- What it says is what is stored; `amount` is also what a cancellation refunds. Reservations that were never paid are removed
-- when they are old. An old lapsed hold may have been marked later than that: its first event is old.
SELECT events.subject_id, events.kind FROM events
LEFT JOIN reservations ON reservations.id = events.subject_id
    AND reservations.account_id = events.account_id AND reservations.performance_id = events.performance_id
LEFT JOIN charges ON charges.id = events.subject_id
    AND charges.account_id = events.account_id AND charges.amount = events.amount
LEFT JOIN charge_refunds ON charge_refunds.id = events.subject_id
    AND charge_refunds.account_id = events.account_id AND charge_refunds.amount = events.amount
LEFT JOIN staff_acts ON staff_acts.id = events.subject_id
WHERE NOT COALESCE((CASE events.kind
    WHEN 'reservation_held' THEN reservations.created_at = events.occurred_at
    WHEN 'reservation_confirmed' THEN reservations.payment_id = events.payment_id
        AND reservations.total_amount = events.amount
    WHEN 'reservation_cancelled' THEN reservations.status = 'cancelled' AND reservations.updated_at = events.occurred_at
        AND events.amount = (CASE WHEN reservations.payment_id IS NULL THEN 0 ELSE reservations.total_amount END)
    WHEN 'reservation_expired' THEN reservations.status = 'expired'
    WHEN 'charge_requested' THEN charges.created_at = events.occurred_at
    WHEN 'charge_requires_action' THEN charges.created_at <= events.occurred_at
    WHEN 'charge_refund_requested' THEN charge_refunds.created_at = events.occurred_at
    WHEN 'charge_refunded' THEN charge_refunds.status = 'refused'
        OR (charge_refunds.status = 'completed' AND charge_refunds.ended_at = events.occurred_at)
    WHEN 'charge_refund_refused' THEN charge_refunds.status = 'refused'
        AND charge_refunds.ended_at = events.occurred_at
    WHEN 'charge_completed' THEN charges.status = 'completed' AND charges.ended_at = events.occurred_at
        AND charges.balance_after = events.balance
    WHEN 'charge_declined' THEN charges.status = 'declined' AND charges.ended_at = events.occurred_at
    WHEN 'staff_acted' THEN staff_acts.concert_id IS NOT NULL
    -- Of these nothing else is kept for long.
    WHEN 'queue_opened' THEN TRUE
    WHEN 'password_changed' THEN TRUE
    WHEN 'signed_in_elsewhere' THEN TRUE END), FALSE)
AND NOT (events.kind IN ('reservation_held', 'reservation_cancelled', 'reservation_expired')
    AND COALESCE(events.amount, 0) = 0
    AND EXISTS (SELECT 1 FROM removals WHERE removals.kind = 'reservations'
        AND (events.kind = 'reservation_expired' OR events.occurred_at <= removals.removed_until))
    AND NOT EXISTS (SELECT 1 FROM reservations AS present WHERE present.id = events.subject_id));

-- invariant: change_has_its_event
-- Old events are removed. A lapsed hold may have been marked later than it changed, never earlier.
SELECT changes.id, changes.kind FROM (
    SELECT reservations.id, CONCAT('reservation_', reservations.status) AS kind, reservations.updated_at AS changed_at
    FROM reservations
    UNION ALL SELECT reservations.id, 'reservation_held', reservations.created_at
    FROM reservations WHERE reservations.status <> 'held'
    UNION ALL SELECT reservations.id, 'reservation_confirmed', COALESCE(payments.paid_at, reservations.updated_at)
    FROM reservations LEFT JOIN payments ON payments.reservation_id = reservations.id
    WHERE reservations.status <> 'confirmed' AND reservations.payment_id IS NOT NULL
    UNION ALL SELECT charges.id, 'charge_requested', charges.created_at FROM charges
    UNION ALL SELECT charges.id, CONCAT('charge_', charges.status), COALESCE(charges.ended_at, charges.created_at)
    FROM charges WHERE charges.status <> 'pending'
    UNION ALL SELECT charge_refunds.id, 'charge_refund_requested', charge_refunds.created_at FROM charge_refunds
    UNION ALL SELECT charge_refunds.id,
        CASE WHEN charge_refunds.status = 'completed' THEN 'charge_refunded' ELSE 'charge_refund_refused' END,
        COALESCE(charge_refunds.ended_at, charge_refunds.created_at)
    FROM charge_refunds WHERE charge_refunds.status <> 'pending'
) AS changes
LEFT JOIN events ON events.subject_id = changes.id AND events.kind = changes.kind
WHERE events.kind IS NULL AND NOT EXISTS (SELECT 1 FROM removals
    WHERE removals.kind = 'outbox_batches' AND changes.changed_at <= removals.removed_until);
