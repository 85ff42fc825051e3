-- The invariants, each as a query for the rows that break it, with a key and a detail of each. Besides the tables there
-- are `reservation_seats`, the seats that each reservation lists, `planned_seats`, those that each row of a venue's plan has,
-- and `events`, those of all batches. `:now` is the present instant.

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

-- invariant: reservation_total_is_the_sum_of_its_seats
SELECT reservations.id, CONCAT('total ', reservations.total_amount) FROM reservations
LEFT JOIN reservation_seats ON reservation_seats.reservation_id = reservations.id
GROUP BY reservations.id, reservations.total_amount, reservations.seats_count
HAVING COUNT(reservation_seats.label) <> reservations.seats_count
    OR COALESCE(SUM(reservation_seats.price), 0) <> reservations.total_amount;

-- invariant: confirmed_reservation_has_one_completed_payment
SELECT reservations.id, CONCAT('total ', reservations.total_amount) FROM reservations
LEFT JOIN payments ON payments.reservation_id = reservations.id
    AND payments.id = reservations.payment_id AND payments.amount = reservations.total_amount
    AND payments.account_id = reservations.account_id AND payments.refunded_at IS NULL
WHERE reservations.status = 'confirmed' AND payments.id IS NULL;

-- invariant: completed_payment_has_confirmed_reservation
SELECT payments.id, CONCAT('amount ', payments.amount) FROM payments
LEFT JOIN reservations ON reservations.id = payments.reservation_id
    AND reservations.payment_id = payments.id
    AND reservations.status = (CASE WHEN payments.refunded_at IS NULL
        THEN 'confirmed' ELSE 'cancelled' END)
WHERE reservations.id IS NULL;

-- invariant: unpaid_reservation_names_no_payment
SELECT reservations.id, reservations.status FROM reservations
WHERE reservations.status IN ('held', 'expired') AND reservations.payment_id IS NOT NULL;

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

-- invariant: nothing_is_negative
SELECT account_id, CONCAT('balance ', balance, ', pending ', pending) FROM wallets
WHERE balance < 0 OR pending < 0;

-- invariant: pending_is_the_sum_of_the_pending_charges
SELECT wallets.account_id, CONCAT('pending ', wallets.pending) FROM wallets
LEFT JOIN charges ON charges.account_id = wallets.account_id AND charges.status = 'pending'
GROUP BY wallets.account_id, wallets.pending
HAVING COALESCE(SUM(charges.amount), 0) <> wallets.pending;

-- invariant: completed_charge_is_credited_once
SELECT charges.id, charges.status FROM charges
LEFT JOIN wallet_entries ON wallet_entries.account_id = charges.account_id
    AND wallet_entries.charge_id = charges.id
GROUP BY charges.id, charges.status, charges.amount
HAVING COUNT(wallet_entries.sequence) <> (CASE WHEN charges.status = 'completed' THEN 1 ELSE 0 END)
    OR (charges.status = 'completed' AND SUM(wallet_entries.amount) <> charges.amount);

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

-- invariant: performance_has_all_its_seats
SELECT performances.id, CONCAT('seats ', performances.seats_total) FROM performances
LEFT JOIN seats ON seats.performance_id = performances.id
LEFT JOIN venues ON venues.id = performances.venue_id
GROUP BY performances.id, performances.seats_total, venues.capacity
HAVING COUNT(seats.label) <> performances.seats_total OR performances.seats_total <> COALESCE(venues.capacity, 0)
    OR COUNT(DISTINCT seats.ordinal) <> performances.seats_total
    OR MIN(seats.ordinal) <> 0 OR MAX(seats.ordinal) <> performances.seats_total - 1;

-- invariant: price_range_is_that_of_the_seats
SELECT performances.id, CONCAT('prices ', performances.price_min, ' to ', performances.price_max) FROM performances
JOIN seats ON seats.performance_id = performances.id
GROUP BY performances.id, performances.price_min, performances.price_max
HAVING MIN(seats.price) <> performances.price_min OR MAX(seats.price) <> performances.price_max;

-- invariant: venue_has_the_seats_of_its_plan
SELECT venues.id, CONCAT('capacity ', venues.capacity) FROM venues
LEFT JOIN planned_seats ON planned_seats.venue_id = venues.id
GROUP BY venues.id, venues.capacity HAVING COALESCE(SUM(planned_seats.seats), 0) <> venues.capacity;

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

-- invariant: key_belongs_to_the_owner
SELECT id, 'venue' FROM venues
WHERE owner_id <> COALESCE(publisher_id, X'00000000000000000000000000000000')
UNION ALL SELECT id, 'concert' FROM concerts
WHERE owner_id <> COALESCE(promoter_id, X'00000000000000000000000000000000')
UNION ALL SELECT id, 'performance' FROM performances
WHERE owner_id <> COALESCE(publisher_id, X'00000000000000000000000000000000');

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
SELECT payments.id, CONCAT('balance after ', payments.balance_after) FROM payments
JOIN wallet_entries ON wallet_entries.account_id = payments.account_id
    AND wallet_entries.payment_id = payments.id AND wallet_entries.kind = 'payment'
WHERE payments.balance_after <> wallet_entries.balance_after
UNION ALL SELECT charges.id, CONCAT('balance after ', charges.balance_after) FROM charges
JOIN wallet_entries ON wallet_entries.account_id = charges.account_id AND wallet_entries.charge_id = charges.id
WHERE charges.balance_after <> wallet_entries.balance_after;

-- invariant: event_has_its_cause
SELECT events.subject_id, events.kind FROM events
LEFT JOIN reservations ON reservations.id = events.subject_id
LEFT JOIN charges ON charges.id = events.subject_id
WHERE NOT COALESCE((CASE events.kind
    WHEN 'reservation_held' THEN reservations.id IS NOT NULL
    WHEN 'reservation_confirmed' THEN reservations.payment_id IS NOT NULL
    WHEN 'reservation_cancelled' THEN reservations.status = 'cancelled'
    WHEN 'reservation_expired' THEN reservations.status = 'expired'
    WHEN 'charge_requested' THEN charges.id IS NOT NULL
    WHEN 'charge_completed' THEN charges.status = 'completed'
    WHEN 'charge_declined' THEN charges.status = 'declined' END), FALSE);

-- invariant: change_has_its_event
SELECT reservations.id, reservations.status FROM reservations
LEFT JOIN events ON events.subject_id = reservations.id
    AND events.kind = CONCAT('reservation_', reservations.status)
WHERE events.kind IS NULL;
