//! Paying: once, and by the owner.

use std::num::NonZeroU32;

use boxoffice_domain::{
    ConcertId, EntropySource, ReservationId,
    fixtures::{TestEntropy, idempotency, instant},
    idempotency::KeyReused,
    page::PageRequest,
    payments::{PayRefusal, PayRequest, PaymentMethod, PaymentSource, PaymentStatus},
    reservations::{HoldRequest, ReservationState, ReservationStatus},
    seats::SeatStatus,
    waiting_room::PlaceNumber,
};

use super::{
    PRICE_A, Show, Stage, at_once, other_request, points,
    show::{assert_first_of_all, count, succeeded},
};

/// However often a payment is sent under one key, it is made once and answered each time alike.
pub async fn fifty_identical_payments_debit_once(stage: &Stage) {
    let show = stage.show().await;
    let account_id = stage.account_with(5_000).await;
    let held = stage.holds(&show, account_id, &["A-1-1", "A-1-2"]).await;
    let request = stage.pay_request(&held);
    let answers = at_once((0..50).map(|_| request.clone()), |request| stage.pay(request)).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_first_of_all(&answers);
    let payment = &answers[0].value.payment.payment;
    let balance_after = stage.keeps_points.then(|| points(5_000 - 2 * PRICE_A));
    assert_eq!((payment.amount.get(), payment.balance_after()), (2 * PRICE_A, balance_after));
    assert_eq!(payment.status(), PaymentStatus::Completed);
    stage.assert_balance(account_id, 5_000 - 2 * PRICE_A).await;
    assert_eq!(stage.seat(&show, "A-1-1").await, SeatStatus::Sold);
}

/// However many keys a reservation is paid under, it is paid once.
pub async fn fifty_payments_of_one_reservation_debit_once(stage: &Stage) {
    let show = stage.show().await;
    let account_id = stage.account_with(1_000_000).await;
    let held = stage.holds(&show, account_id, &["A-1-1"]).await;
    let outcomes = at_once((0..50).map(|_| stage.pay_request(&held)), |request| stage.pay(request)).await;
    assert_eq!((succeeded(&outcomes), count(&outcomes, &Err(PayRefusal::AlreadyPaid))), (1, 49));
    stage.assert_balance(account_id, 1_000_000 - PRICE_A).await;
}

/// Each rule has its own refusal.
pub async fn each_refusal_of_a_payment_has_its_cause(stage: &Stage) {
    let show = stage.show().await;
    let (one, other) = (stage.account_with(10_000).await, stage.account_with(10_000).await);
    let held = stage.holds(&show, one, &["A-1-1"]).await;
    let of_another = PayRequest { account_id: other, ..stage.pay_request(&held) };
    assert_eq!(stage.pay(of_another).await, Err(PayRefusal::ReservationNotFound));
    let unknown = PayRequest { reservation_id: ReservationId::new(TestEntropy.uuid()), ..stage.pay_request(&held) };
    assert_eq!(stage.pay(unknown).await, Err(PayRefusal::ReservationNotFound));
    let elsewhere = PayRequest { concert_id: ConcertId::new(TestEntropy.uuid()), ..stage.pay_request(&held) };
    assert_eq!(stage.pay(elsewhere).await, Err(PayRefusal::WrongConcert));
    let cancelled = stage.holds(&show, one, &["A-1-2"]).await;
    stage.cancels(&cancelled).await;
    assert_eq!(stage.pay(stage.pay_request(&cancelled)).await, Err(PayRefusal::Cancelled));
    let soon = stage.another_performance(&show, instant(60)).await;
    let started = stage.holds(&soon, one, &["A-1-1"]).await;
    let paid = stage.pay_request(&held);
    stage.pay(paid.clone()).await.unwrap();
    assert_eq!(stage.pay(stage.pay_request(&held)).await, Err(PayRefusal::AlreadyPaid));
    let reused = PayRequest { idempotency: other_request(&paid.idempotency), ..stage.pay_request(&started) };
    assert_eq!(stage.pay(reused).await, Err(KeyReused.into()));
    stage.clock.set(soon.starts_at);
    assert_eq!(stage.pay(stage.pay_request(&started)).await, Err(PayRefusal::PerformanceStarted));
    stage.clock.set(started.held_until);
    assert_eq!(stage.pay(stage.pay_request(&started)).await, Err(PayRefusal::HoldExpired));
    stage.assert_balance(one, 10_000 - PRICE_A).await;
    stage.assert_balance(other, 10_000).await;
}

/// The answer to a key of an account is that of its first request, also after the refund.
pub async fn a_repeated_payment_gets_the_first_answer(stage: &Stage) {
    let show = stage.show().await;
    let account_id = stage.account_with(5_000).await;
    let held = stage.holds(&show, account_id, &["A-1-1"]).await;
    let request = stage.pay_request(&held);
    let first = stage.pay(request.clone()).await.unwrap();
    assert!(!first.replayed);
    let ReservationState::Confirmed { payment_id } = first.value.payment.reservation.reservation.state else {
        panic!("a paid reservation is confirmed");
    };
    assert_eq!(payment_id, request.payment_id);
    stage.clock.advance_seconds(1_000);
    if stage.keeps_points {
        stage.charge(account_id, 1).await;
    }
    stage.cancels(&held).await;
    let payment_id = stage.pay_request(&held).payment_id;
    let again = stage.pay(PayRequest { payment_id, ..request.clone() }).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.value.payment, first.value.payment);
    // Another account may use the same key.
    let other = stage.account_with(5_000).await;
    let held = stage.holds(&show, other, &["A-1-2"]).await;
    let of_another = PayRequest { idempotency: request.idempotency, ..stage.pay_request(&held) };
    let made = stage.pay(of_another).await.unwrap();
    assert_eq!((made.replayed, made.value.payment.payment.reservation_id), (false, held.id));
}

/// Payments are listed newest first, and other accounts do not find them.
pub async fn payments_are_found_by_their_owner_alone(stage: &Stage) {
    let show = stage.show().await;
    let (account_id, other) = (stage.account_with(5_000).await, stage.account().await);
    let mut views = Vec::new();
    for label in ["A-1-1", "A-1-2", "A-1-3"] {
        let held = stage.holds(&show, account_id, &[label]).await;
        views.insert(0, stage.pays(&held).await.payment);
    }
    let port = &stage.storage.payments;
    let first = port.list(account_id, PageRequest::first(2)).await.unwrap();
    assert_eq!((first.items.as_slice(), first.next), (&views[..2], Some(views[1].payment.id)));
    let second = port.list(account_id, PageRequest { limit: 2, after: first.next }).await.unwrap();
    assert_eq!((second.items.as_slice(), second.next), (&views[2..], None));
    assert_eq!(port.list(other, PageRequest::first(2)).await.unwrap().items, vec![]);
    let payment = &views[0].payment;
    assert_eq!(port.find(account_id, payment.id).await.unwrap().as_ref(), Some(&views[0]));
    assert_eq!(port.find(other, payment.id).await.unwrap(), None);
    let key = &payment.idempotency.key;
    assert_eq!(port.find_by_key(account_id, key).await.unwrap().as_ref(), Some(&views[0]));
    assert_eq!(port.find_by_key(other, key).await.unwrap(), None);
    assert_eq!(port.find_by_key(account_id, &idempotency().key).await.unwrap(), None);
}

/// While other seats of the concert are held, the place in its queue is still needed.
pub async fn a_place_is_spent_by_the_payment_of_the_last_hold(stage: &Stage) {
    let (show, other_show) = (stage.show().await, stage.show().await);
    let account_id = stage.account_with(10_000).await;
    let (place, concert_id) = (PlaceNumber(7), show.concert.id);
    let spent = async |place| stage.storage.payments.has_spent(account_id, concert_id, place).await.unwrap();
    let hold_for = async |show: &Show, hold_seconds, label| {
        let hold_seconds = NonZeroU32::new(hold_seconds).unwrap();
        let request = HoldRequest { hold_seconds, ..show.hold_request(account_id, &[label]) };
        stage.hold(request).await.unwrap().value.reservation
    };
    // What is held of another concert counts there alone, however long.
    let elsewhere = hold_for(&other_show, 1_000, "A-1-1").await;
    let first = stage.holds(&show, account_id, &["A-1-1"]).await;
    let second = hold_for(&show, 500, "A-1-2").await;
    let third = stage.holds(&show, account_id, &["A-1-3"]).await;
    let pay = async |reservation| {
        let request = PayRequest { queue_place: Some(place), ..stage.pay_request(reservation) };
        stage.pay(request).await.unwrap().value
    };
    assert!(!spent(place).await);
    let held_until =
        async |account_id, concert_id| stage.storage.reservations.held_until(account_id, concert_id).await.unwrap();
    assert_eq!(held_until(account_id, concert_id).await, Some(second.held_until), "the last of its holds");
    assert_eq!(held_until(stage.account_with(1).await, concert_id).await, None);
    let paid = pay(&first).await;
    assert_eq!(paid.other_held_until, Some(second.held_until));
    assert_eq!(paid.payment.payment.queue_place, Some(place));
    assert!(!spent(place).await);
    // The third one is never paid: once it has lapsed, it is no reason to keep the place.
    stage.clock.set(third.held_until);
    assert_eq!(stage.status(&third).await, ReservationStatus::Expired);
    let paid = pay(&second).await;
    assert_eq!(paid.other_held_until, None);
    assert!(spent(place).await);
    assert_eq!(held_until(account_id, concert_id).await, None, "paid, or lapsed");
    assert_eq!(held_until(account_id, other_show.concert.id).await, Some(elsewhere.held_until));
    assert!(!spent(PlaceNumber(8)).await);
    let port = &stage.storage.payments;
    assert!(!port.has_spent(account_id, other_show.concert.id, place).await.unwrap());
}

/// A repeated payment gets its first answer, and with it until when other seats are held at the time of the repetition.
pub async fn a_replayed_receipt_says_what_is_held_now(stage: &Stage) {
    let show = stage.show().await;
    let account_id = stage.account_with(5_000).await;
    let held = stage.holds(&show, account_id, &["A-1-1"]).await;
    let request = stage.pay_request(&held);
    assert_eq!(stage.pay(request.clone()).await.unwrap().value.other_held_until, None);
    let other = stage.holds(&show, account_id, &["A-1-2"]).await;
    let again = stage.pay(request.clone()).await.unwrap();
    assert_eq!((again.replayed, again.value.other_held_until), (true, Some(other.held_until)));
    stage.clock.set(other.held_until);
    assert_eq!(stage.pay(request).await.unwrap().value.other_held_until, None);
}

/// A product may take the money elsewhere: then neither the payment nor the cancellation changes the wallet.
pub async fn what_was_paid_outside_moves_no_points(stage: &Stage) {
    let show = stage.show().await;
    let account_id = stage.account_with(7).await;
    let held = stage.holds(&show, account_id, &["A-1-1"]).await;
    let request = PayRequest { method: PaymentMethod::Outside, ..stage.pay_request(&held) };
    let made = stage.pay(request.clone()).await.unwrap();
    let payment = &made.value.payment.payment;
    assert_eq!((payment.amount.get(), payment.source), (PRICE_A, PaymentSource::Outside));
    assert_eq!(stage.pay(request).await.unwrap().value.payment, made.value.payment);
    stage.assert_balance(account_id, 7).await;
    let cancelled = stage.cancels(&held).await;
    assert_eq!(cancelled.payment_id(), Some(payment.id));
    stage.assert_balance(account_id, 7).await;
    let found = stage.storage.payments.find(account_id, payment.id).await.unwrap().expect("a payment").payment;
    assert_eq!((found.status(), found.source), (PaymentStatus::Refunded, PaymentSource::Outside));
}
