//! The audit finds what it is there to find: the database is damaged behind everybody's back, and the invariant that
//! was broken is named.

use boxoffice_contracts::storage::{PRICE_A, charge_request};
use boxoffice_domain::fixtures;

use crate::home::{Backend, Home, settings};

crate::on_every_backend! {
    each_damage_is_found_by_its_invariant
    a_breach_tells_which_row_it_is
}

/// A damage, the invariant that names it, and what mends it. `reservations` has one held (`status = 'held'`), one
/// confirmed and one cancelled after its payment; each of the three accounts has one.
const DAMAGES: [(&str, &str, &str); 29] = [
    (
        "balance_is_the_sum_of_the_entries",
        "UPDATE wallets SET balance = balance + 1 WHERE entries_count > 1",
        "UPDATE wallets SET balance = balance - 1 WHERE entries_count > 1",
    ),
    (
        "balance_is_the_sum_of_the_entries",
        "UPDATE wallets SET entries_count = entries_count + 1 WHERE entries_count > 1",
        "UPDATE wallets SET entries_count = entries_count - 1 WHERE entries_count > 1",
    ),
    (
        "entries_run_without_gaps",
        "UPDATE wallet_entries SET balance_after = balance_after + 1 WHERE kind = 'payment'",
        "UPDATE wallet_entries SET balance_after = balance_after - 1 WHERE kind = 'payment'",
    ),
    (
        "entries_run_without_gaps",
        "UPDATE wallet_entries SET sequence = sequence + 5 WHERE kind = 'refund'",
        "UPDATE wallet_entries SET sequence = sequence - 5 WHERE kind = 'refund'",
    ),
    (
        "pending_is_the_sum_of_the_pending_charges",
        "UPDATE wallets SET pending = pending + 1 WHERE pending > 0",
        "UPDATE wallets SET pending = pending - 1 WHERE pending > 0",
    ),
    (
        "completed_charge_is_credited_once",
        "UPDATE charges SET status = 'completed' WHERE status = 'pending'",
        "UPDATE charges SET status = 'pending' WHERE amount = 77",
    ),
    (
        "completed_charge_is_credited_once",
        "UPDATE charges SET amount = amount + 1 WHERE status = 'completed'",
        "UPDATE charges SET amount = amount - 1 WHERE status = 'completed'",
    ),
    (
        "live_reservation_has_its_seats",
        "UPDATE seats SET reservation_id = NULL WHERE reservation_id IS NOT NULL AND held_until IS NULL",
        "UPDATE seats SET reservation_id = (SELECT id FROM reservations WHERE status = 'confirmed') \
            WHERE label = 'A-1-2'",
    ),
    (
        "live_reservation_has_its_seats",
        "UPDATE seats SET reservation_id = NULL, held_until = NULL WHERE held_until IS NOT NULL",
        "UPDATE seats SET reservation_id = (SELECT id FROM reservations WHERE status = 'held'), \
            held_until = (SELECT held_until FROM reservations WHERE status = 'held') WHERE label = 'A-1-1'",
    ),
    (
        "sold_seat_has_confirmed_reservation",
        "UPDATE seats SET reservation_id = (SELECT id FROM reservations WHERE status = 'cancelled') \
            WHERE label = 'A-2-1'",
        "UPDATE seats SET reservation_id = NULL WHERE label = 'A-2-1'",
    ),
    (
        "sold_seat_has_confirmed_reservation",
        "UPDATE seats SET reservation_id = (SELECT id FROM reservations WHERE status = 'confirmed') \
            WHERE label = 'A-2-1'",
        "UPDATE seats SET reservation_id = NULL WHERE label = 'A-2-1'",
    ),
    (
        "held_seat_has_held_reservation",
        "UPDATE seats SET held_until = (SELECT created_at FROM reservations WHERE status = 'held') \
            WHERE label = 'A-1-1'",
        "UPDATE seats SET held_until = (SELECT held_until FROM reservations WHERE status = 'held') \
            WHERE label = 'A-1-1'",
    ),
    (
        "seat_in_one_live_reservation",
        "UPDATE reservations SET seats = REPLACE(seats, 'A-1-1', 'A-1-2') WHERE status = 'held'",
        "UPDATE reservations SET seats = REPLACE(seats, 'A-1-2', 'A-1-1') WHERE status = 'held'",
    ),
    (
        "live_reservation_has_its_seats",
        "UPDATE reservations SET seats = REPLACE(seats, 'A-1-1', 'A-2-1') WHERE status = 'held'",
        "UPDATE reservations SET seats = REPLACE(seats, 'A-2-1', 'A-1-1') WHERE status = 'held'",
    ),
    (
        "reservation_total_is_the_sum_of_its_seats",
        "UPDATE reservations SET seats = REPLACE(seats, '}', '') WHERE status = 'cancelled'",
        "UPDATE reservations SET seats = REPLACE(seats, ']', '}]') WHERE status = 'cancelled'",
    ),
    (
        "reservation_total_is_the_sum_of_its_seats",
        "UPDATE reservations SET total_amount = total_amount + 1 WHERE status = 'held'",
        "UPDATE reservations SET total_amount = total_amount - 1 WHERE status = 'held'",
    ),
    (
        "reservation_total_is_the_sum_of_its_seats",
        "UPDATE reservations SET seats_count = 2 WHERE status = 'held'",
        "UPDATE reservations SET seats_count = 1 WHERE status = 'held'",
    ),
    (
        "confirmed_reservation_has_one_completed_payment",
        "UPDATE payments SET amount = amount + 1 WHERE refunded_at IS NULL",
        "UPDATE payments SET amount = amount - 1 WHERE refunded_at IS NULL",
    ),
    (
        "completed_payment_has_confirmed_reservation",
        "UPDATE reservations SET status = 'expired' WHERE status = 'confirmed'",
        "UPDATE reservations SET status = 'confirmed' WHERE status = 'expired'",
    ),
    (
        "unpaid_reservation_names_no_payment",
        "UPDATE reservations SET payment_id = id WHERE status = 'held'",
        "UPDATE reservations SET payment_id = NULL WHERE status = 'held'",
    ),
    (
        "payment_is_debited_once_and_refunded_at_most_once",
        "UPDATE wallet_entries SET kind = 'charge' WHERE kind = 'refund'",
        "UPDATE wallet_entries SET kind = 'refund' WHERE reservation_id IS NOT NULL AND amount > 0",
    ),
    (
        "account_within_its_seat_limit",
        "UPDATE concerts SET max_seats_per_account = 0",
        "UPDATE concerts SET max_seats_per_account = 4",
    ),
    (
        "performance_has_all_its_seats",
        "UPDATE performances SET seats_total = seats_total + 1",
        "UPDATE performances SET seats_total = seats_total - 1",
    ),
    (
        "event_has_its_cause",
        // A held reservation has not been confirmed.
        "UPDATE outbox_batches SET events = REPLACE(events, 'reservation_held', 'reservation_confirmed')",
        "UPDATE outbox_batches SET events = REPLACE(events, 'reservation_confirmed', 'reservation_held') \
            WHERE events LIKE '%held_until%'",
    ),
    (
        "event_has_its_cause",
        // An event of nothing that is there.
        "INSERT INTO outbox_batches (id, events, occurred_at) SELECT id, '[{\"kind\": \"charge_requested\", \
            \"charge_id\": \"01900000-0000-7000-8000-000000000000\"}]', created_at FROM accounts",
        "DELETE FROM outbox_batches WHERE events LIKE '%01900000-0000-7000-8000-000000000000%'",
    ),
    (
        "event_has_its_cause",
        // An event of nothing.
        "UPDATE outbox_batches SET events = REPLACE(events, 'charge_id', 'ticket_id')",
        "UPDATE outbox_batches SET events = REPLACE(events, 'ticket_id', 'charge_id')",
    ),
    (
        "event_has_its_cause",
        // An event of something else.
        "UPDATE outbox_batches SET events = REPLACE(events, 'charge_requested', 'ticket_printed')",
        "UPDATE outbox_batches SET events = REPLACE(events, 'ticket_printed', 'charge_requested')",
    ),
    (
        "change_has_its_event",
        "UPDATE outbox_batches SET events = REPLACE(events, 'reservation_cancelled', 'reservation_held')",
        "UPDATE outbox_batches SET events = REPLACE(events, 'reservation_held', 'reservation_cancelled') \
            WHERE events LIKE '%refunded%'",
    ),
    (
        "change_has_its_event",
        "UPDATE outbox_batches SET events = REPLACE(events, '}]', '') WHERE events LIKE '%refunded%'",
        "UPDATE outbox_batches SET events = CONCAT(events, '}]') WHERE events LIKE '%refunded%'",
    ),
];

/// Damages that are not mended: each is done last.
const LASTING: [(&str, &str); 2] = [
    ("account_has_a_wallet", "DELETE FROM wallets WHERE entries_count = 0 AND pending = 0"),
    ("confirmed_reservation_has_one_completed_payment", "DELETE FROM payments WHERE refunded_at IS NULL"),
];

/// A database in which everything is, and all is well.
async fn furnished(backend: Backend) -> Home {
    let home = Home::open(backend, settings()).await;
    let stage = home.stage();
    let show = stage.show().await;
    let holder = stage.account_with(PRICE_A).await;
    stage.holds(&show, holder, &["A-1-1"]).await;
    stage.begin_charge(charge_request(holder, 77)).await.unwrap();
    let owner = stage.account_with(2 * PRICE_A).await;
    let owned = stage.holds(&show, owner, &["A-1-2"]).await;
    stage.pays(&owned).await;
    let quitter = stage.account_with(2 * PRICE_A).await;
    let quit = stage.holds(&show, quitter, &["A-1-3"]).await;
    stage.pays(&quit).await;
    stage.cancel(fixtures::cancel_request(&quit)).await.unwrap();
    stage.assert_sound().await;
    home
}

async fn each_damage_is_found_by_its_invariant(backend: Backend) {
    let home = furnished(backend).await;
    for (invariant, damage, mending) in DAMAGES {
        home.place.execute(damage).await;
        let breaches = home.stage().storage.audit.breaches().await.unwrap();
        assert!(breaches.iter().any(|breach| breach.invariant == invariant), "{damage}: {breaches:?}");
        home.place.execute(mending).await;
        assert_eq!(home.stage().storage.audit.breaches().await.unwrap(), vec![], "after {mending}");
    }
    for (invariant, damage) in LASTING {
        home.place.execute(damage).await;
        let breaches = home.stage().storage.audit.breaches().await.unwrap();
        assert!(breaches.iter().any(|breach| breach.invariant == invariant), "{damage}: {breaches:?}");
    }
    home.close().await;
}

async fn a_breach_tells_which_row_it_is(backend: Backend) {
    let home = furnished(backend).await;
    home.place.execute("UPDATE concerts SET max_seats_per_account = 0").await;
    let stage = home.stage();
    let breaches = stage.storage.audit.breaches().await.unwrap();
    assert_eq!(breaches.len(), 2, "{breaches:?}");
    let mut wrong = Vec::new();
    for breach in &breaches {
        let account_id = breach.detail.split(':').next().and_then(|id| id.parse().ok()).expect("the id of an account");
        wrong.push(stage.storage.accounts.find(account_id).await.unwrap().is_some());
    }
    assert_eq!(wrong, [true, true]);
    home.close().await;
}
