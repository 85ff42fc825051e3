//! Acts that meet, and the instant at which a hold ends.

use boxoffice_domain::{
    AccountId,
    catalog::ConcertChange,
    fixtures,
    payments::PayRefusal,
    reservations::{CancelRefusal, HoldRefusal, HoldRequest, Reservation, ReservationState, ReservationStatus},
    seats::SeatStatus,
};
use chrono::TimeDelta;

use super::{
    Dice, PRICE_A, Show, Stage, at_once, label, points,
    show::{count, succeeded},
    unavailable,
};

/// How often acts are let go together, so that each order comes about.
const ROUNDS: usize = 12;

/// A hold can be paid until the microsecond before its end, and not from its end on.
pub async fn a_payment_is_in_time_until_the_last_microsecond(stage: &Stage) {
    let show = stage.show().await;
    let account_id = stage.account_with(5_000).await;
    let in_time = stage.holds(&show, account_id, &["A-1-1"]).await;
    let late = stage.holds(&show, account_id, &["A-1-2"]).await;
    stage.clock.set(in_time.held_until - TimeDelta::microseconds(1));
    let paid = stage.pays(&in_time).await;
    assert_eq!(paid.payment.payment.paid_at, stage.now());
    stage.clock.set(late.held_until);
    assert_eq!(stage.pay(stage.pay_request(&late)).await, Err(PayRefusal::HoldExpired));
    assert_eq!(stage.status(&late).await, ReservationStatus::Expired);
    stage.assert_balance(account_id, 5_000 - PRICE_A).await;
    // A paid reservation does not expire.
    stage.clock.advance_seconds(86_400);
    stage.expire_due(100).await;
    assert_eq!(stage.status(&in_time).await, ReservationStatus::Confirmed);
    assert_eq!(stage.seat(&show, "A-1-1").await, SeatStatus::Sold);
}

/// A payment and the sweep that meet judge the hold alike: it lasts, or it has ended.
pub async fn a_payment_and_a_sweep_at_the_end_of_the_hold_agree(stage: &Stage) {
    let show = stage.show().await;
    let account_id = stage.account_with(1_000_000).await;
    for round in 0..ROUNDS {
        let lasts = round % 2 == 0;
        let held = stage.holds(&show, account_id, &["A-1-1"]).await;
        stage.clock.set(if lasts { held.held_until - TimeDelta::microseconds(1) } else { held.held_until });
        let (paid, swept) = meet(stage.pay(stage.pay_request(&held)), stage.expire_due(10)).await;
        if lasts {
            assert_eq!((paid.map(drop), swept), (Ok(()), 0));
            stage.cancels(&held).await;
        } else {
            assert_eq!((paid.map(drop), swept), (Err(PayRefusal::HoldExpired), 1));
        }
    }
    stage.assert_balance(account_id, 1_000_000).await;
}

/// Lets two acts go together.
async fn meet<A, B>(
    one: impl Future<Output = A> + Send + 'static,
    other: impl Future<Output = B> + Send + 'static,
) -> (A, B)
where
    A: Send + 'static,
    B: Send + 'static,
{
    let (one, other) = (tokio::spawn(one), tokio::spawn(other));
    (one.await.expect("a task does not panic"), other.await.expect("a task does not panic"))
}

fn swapped<A, B>((one, other): (A, B)) -> (B, A) {
    (other, one)
}

/// Whichever of the two comes first, the seats are free and all points are there: either the reservation was cancelled
/// unpaid, or it was paid and refunded.
pub async fn a_payment_and_a_cancellation_at_once_leave_no_point_behind(stage: &Stage) {
    let show = stage.show().await;
    for round in 0..ROUNDS {
        let account_id = stage.account_with(PRICE_A).await;
        let held = stage.holds(&show, account_id, &["A-1-1"]).await;
        let pay = stage.pay(stage.pay_request(&held));
        let cancel = stage.cancel(fixtures::cancel_request(&held));
        let (paid, cancelled) = if round % 2 == 0 { meet(pay, cancel).await } else { swapped(meet(cancel, pay).await) };
        let payment_id = match (paid, cancelled) {
            (Ok(paid), Ok(_)) => Some(paid.value.payment.payment.id),
            (Err(PayRefusal::Cancelled), Ok(_)) => None,
            other => panic!("neither order explains {other:?}"),
        };
        assert_eq!(stage.reservation(&held).await.state, ReservationState::Cancelled { payment_id, idempotency: None });
        stage.assert_balance(account_id, PRICE_A).await;
        assert_eq!(stage.seat(&show, "A-1-1").await, SeatStatus::Available);
    }
}

/// However many cancellations come at once, one succeeds, and the points come back once.
pub async fn one_of_twenty_cancellations_at_once_refunds(stage: &Stage) {
    let show = stage.show().await;
    let account_id = stage.account_with(5_000).await;
    let paid = stage.holds(&show, account_id, &["A-1-1"]).await;
    stage.pays(&paid).await;
    let held = stage.holds(&show, account_id, &["A-1-2"]).await;
    for reservation in [&paid, &held] {
        let requests = (0..20).map(|_| fixtures::cancel_request(reservation));
        let outcomes = at_once(requests, |request| stage.cancel(request)).await;
        assert_eq!((succeeded(&outcomes), count(&outcomes, &Err(CancelRefusal::AlreadyCancelled))), (1, 19));
    }
    stage.assert_balance(account_id, 5_000).await;
}

/// Whether the sweep comes before, after or together with the next hold: the seat is the next one's.
pub async fn a_hold_and_the_sweep_of_the_former_one_agree(stage: &Stage) {
    let show = stage.show().await;
    let accounts = stage.accounts(ROUNDS + 1).await;
    let mut former = stage.holds(&show, accounts[0], &["A-1-1"]).await;
    for (round, account_id) in accounts.into_iter().skip(1).enumerate() {
        stage.clock.set(former.held_until);
        let request = show.hold_request(account_id, &["A-1-1"]);
        let (hold, sweep) = (stage.hold(request), stage.expire_due(10));
        let (held, swept) = match round % 4 {
            0 => (hold.await, sweep.await),
            1 => swapped((sweep.await, hold.await)),
            2 => meet(hold, sweep).await,
            _ => swapped(meet(sweep, hold).await),
        };
        assert_eq!(swept, 1);
        let held = held.unwrap().value.reservation;
        assert_eq!(stage.reservation(&former).await.state, ReservationState::Expired);
        assert_eq!(stage.reservation(&held).await, held);
        assert_eq!(stage.seat(&show, "A-1-1").await, SeatStatus::Held);
        former = held;
    }
}

/// A lapsed hold neither keeps its seats nor counts against the limit of its account.
pub async fn a_lapsed_seat_sells_again_without_a_sweep(stage: &Stage) {
    let show = stage.show().await;
    let (one, other) = (stage.account_with(5_000).await, stage.account_with(5_000).await);
    let lapsed = stage.holds(&show, one, &["A-1-1", "A-1-2", "A-1-3", "A-1-4"]).await;
    stage.clock.set(lapsed.held_until - TimeDelta::microseconds(1));
    let refused = stage.hold(show.hold_request(other, &["A-1-2"])).await;
    assert_eq!(unavailable(&refused), Some(vec![label("A-1-2")]));
    stage.clock.set(lapsed.held_until);
    let again = stage.holds(&show, other, &["A-1-2"]).await;
    stage.pays(&again).await;
    stage.holds(&show, one, &["A-1-1", "A-1-3", "A-1-4", "A-1-5"]).await;
    assert_eq!(stage.expire_due(10).await, 1);
    assert_eq!(stage.seat(&show, "A-1-2").await, SeatStatus::Sold);
    assert_eq!(stage.seat(&show, "A-1-3").await, SeatStatus::Held);
}

/// A hold that lapsed cannot be paid once its seat was taken, even if the clock of an instance is slow.
pub async fn a_lapsed_hold_whose_seat_was_taken_is_not_paid(stage: &Stage) {
    let show = stage.show().await;
    let (one, other) = (stage.account_with(5_000).await, stage.account_with(5_000).await);
    let lapsed = stage.holds(&show, one, &["A-1-1", "A-1-2"]).await;
    stage.clock.set(lapsed.held_until);
    let taken = stage.holds(&show, other, &["A-1-2"]).await;
    assert_eq!(stage.pay(stage.pay_request(&lapsed)).await, Err(PayRefusal::HoldExpired));
    stage.clock.set(lapsed.held_until - TimeDelta::seconds(1));
    assert_eq!(stage.pay(stage.pay_request(&lapsed)).await, Err(PayRefusal::HoldExpired));
    stage.clock.set(lapsed.held_until);
    stage.pays(&taken).await;
    stage.assert_balance(one, 5_000).await;
    stage.assert_balance(other, 5_000 - PRICE_A).await;
}

/// Holds that end unpaid make an account wait, longer each time, until it pays one.
pub async fn holds_that_end_unpaid_make_the_account_wait(stage: &Stage) {
    let (show, elsewhere) = (stage.show().await, stage.show().await);
    let (account_id, other) = (stage.account_with(10 * PRICE_A).await, stage.account().await);
    let hold = |label| stage.hold(HoldRequest { unpaid_holds_free: 2, ..show.hold_request(account_id, &[label]) });
    let holds = async |label| hold(label).await.unwrap().value.reservation;
    let wait = |seconds_left| Err(HoldRefusal::Cooldown { seconds_left });
    for label in ["A-1-1", "A-1-2"] {
        let held = holds(label).await;
        stage.cancels(&held).await;
    }
    let (cancelled, lapsing) = (holds("A-1-3").await, holds("A-1-4").await);
    stage.cancels(&cancelled).await;
    assert_eq!(hold("A-1-5").await, wait(60));
    let strict =
        |show: &Show, account_id| HoldRequest { unpaid_holds_free: 0, ..show.hold_request(account_id, &["A-1-5"]) };
    for request in [strict(&show, other), strict(&elsewhere, account_id)] {
        let held = stage.hold(request).await.unwrap().value.reservation;
        stage.cancels(&held).await;
    }
    stage.clock.set(lapsing.held_until);
    assert_eq!(hold("A-1-5").await, wait(120));
    assert_eq!(stage.expire_due(10).await, 1);
    assert_eq!(hold("A-1-5").await, wait(120));
    stage.clock.advance_seconds(120);
    stage.pays(&holds("A-1-5").await).await;
    stage.clock.advance_seconds(1);
    for label in ["A-1-1", "A-1-2", "A-1-3"] {
        let held = holds(label).await;
        stage.cancels(&held).await;
    }
    assert_eq!(hold("A-1-1").await, wait(60));
}

/// However holds and sweeps meet, each lapsed hold counts, and counts once.
pub async fn holds_and_sweeps_at_once_count_each_lapsed_hold_once(stage: &Stage) {
    let show = stage.show().await;
    let accounts = stage.accounts(5).await;
    let labels = show.labels();
    for (account_id, labels) in accounts.iter().zip(labels.chunks(4)) {
        for label in labels {
            stage.hold(show.hold_request_for(*account_id, vec![label.clone()])).await.unwrap();
        }
    }
    stage.clock.advance_seconds(300);
    let ask = |account_id: AccountId| HoldRequest {
        unpaid_holds_free: 0,
        ..show.hold_request_for(account_id, vec![labels[0].clone()])
    };
    let sweeps = at_once(0..20, |_| stage.expire_due(3));
    let holds = at_once((0..50).map(|number| ask(accounts[number % 5])), |request| stage.hold(request));
    let (outcomes, swept) = futures::join!(holds, sweeps);
    let wait = Err(HoldRefusal::Cooldown { seconds_left: 480 });
    assert_eq!(count(&outcomes, &wait), 50, "{outcomes:?}");
    assert_eq!(swept.into_iter().sum::<u32>() + stage.expire_due(100).await, 20);
    for account_id in accounts {
        assert_eq!(stage.hold(ask(account_id)).await, wait);
    }
}

/// Where holds need a balance, an account holds what its wallet covers, however many concerts it asks at once.
pub async fn what_an_account_holds_at_once_is_covered_by_its_wallet(stage: &Stage) {
    if !stage.keeps_points {
        return;
    }
    let mut shows = [stage.show().await, stage.show().await];
    for show in &mut shows {
        let change = ConcertChange { holds_need_balance: Some(true), ..ConcertChange::default() };
        show.concert = change.apply(&show.concert, stage.now()).unwrap();
        stage.storage.catalog.update_concert(show.concert.clone(), fixtures::staff_act()).await.unwrap();
    }
    let account_id = stage.account_with(3 * PRICE_A).await;
    let labels = ["A-1-1", "A-1-2", "A-1-3", "A-1-4"];
    let requests = labels.iter().flat_map(|label| shows.each_ref().map(|show| show.hold_request(account_id, &[label])));
    let outcomes = at_once(requests, |request| stage.hold(request)).await;
    let (balance, required) = (points(3 * PRICE_A), points(4 * PRICE_A));
    let refused = Err(HoldRefusal::InsufficientPoints { balance, required });
    assert_eq!((succeeded(&outcomes), count(&outcomes, &refused)), (3, 5), "{outcomes:?}");
    // A lapsed hold is no longer to be paid, marked or not.
    stage.clock.advance_seconds(300);
    stage.holds(&shows[0], account_id, &["A-1-5", "A-1-6", "A-1-7"]).await;
    assert_eq!(stage.hold(shows[1].hold_request(account_id, &["A-1-5"])).await, refused);
}

/// Holds, payments, cancellations, charges and sweeps of many accounts over few seats, while time goes on: whatever
/// order they come in, what was answered is true and the points add up.
pub async fn everything_at_once_breaks_nothing(stage: &Stage) {
    let show = stage.show().await;
    let accounts = stage.accounts(60).await;
    for round in 0..3 {
        let acts = accounts.iter().enumerate();
        let ends = at_once(acts, |(number, account_id)| {
            let seed = (round * accounts.len() + number + 1) as u64;
            buyer(stage.clone(), show.clone(), *account_id, Dice::new(seed * 7_919))
        })
        .await;
        for end in ends.into_iter().flatten() {
            let found = stage.reservation(&end).await;
            if matches!(end.state, ReservationState::Confirmed { .. } | ReservationState::Cancelled { .. }) {
                assert_eq!(found.state, end.state);
            }
        }
        stage.assert_sound().await;
        stage.clock.advance_seconds(301);
    }
    if stage.keeps_points {
        let mut points = stage.sales(&show).await.revenue.get();
        for account_id in &accounts {
            points += stage.balance(*account_id).await;
        }
        assert_eq!(points, 3 * 60 * 2 * PRICE_A);
    }
}

/// One buyer's round: returns the reservation as it was last answered, if there was one.
async fn buyer(stage: Stage, show: Show, account_id: AccountId, mut dice: Dice) -> Option<Reservation> {
    if stage.keeps_points {
        stage.charge(account_id, 2 * PRICE_A).await;
    }
    let wanted = dice.pick(&show.labels()[..12], 2);
    let Ok(held) = stage.hold(show.hold_request_for(account_id, wanted)).await else {
        stage.expire_due(3).await;
        return None;
    };
    let held = held.value.reservation;
    let act = dice.below(4);
    if act == 0 {
        return Some(held);
    }
    if act > 1 {
        let paid = stage.pays(&held).await.payment.reservation.reservation;
        if act == 2 {
            return Some(paid);
        }
    }
    Some(stage.cancels(&held).await)
}
