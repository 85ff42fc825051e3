//! Holding seats, cancelling, and marking lapsed holds.

use std::collections::BTreeSet;

use boxoffice_domain::{
    AccountId, ConcertId, EntropySource, PerformanceId, ReservationId,
    catalog::NotOnSale,
    fixtures::{self, TestEntropy, idempotency, instant},
    idempotency::KeyReused,
    page::PageRequest,
    reservations::{CancelRefusal, CancelRequest, HoldRefusal, HoldRequest, ReservationState, ReservationStatus},
    seats::{SeatLabel, SeatStatus},
};
use chrono::TimeDelta;

use super::{
    Dice, Held, PRICE_A, PRICE_B, SHOW_SEATS, Show, Stage, at_once, label, other_request,
    show::{assert_first_of_all, count, succeeded},
    unavailable,
};

/// What was made and what was asked for agree, and finding it gives the same.
pub async fn a_hold_has_its_seats_its_sum_and_its_end(stage: &Stage) {
    let show = stage.show().await;
    let account_id = stage.account().await;
    let request = show.hold_request(account_id, &["B-1-3", "A-1-10", "A-1-2"]);
    let made = stage.hold(request.clone()).await.unwrap();
    assert!(!made.replayed);
    let reservation = &made.value.reservation;
    let seats: Vec<_> = reservation.seats.iter().map(|seat| (seat.label.as_str(), seat.price.get())).collect();
    assert_eq!(seats, [("B-1-3", PRICE_B), ("A-1-10", PRICE_A), ("A-1-2", PRICE_A)]);
    assert_eq!(reservation.total_amount.get(), 2 * PRICE_A + PRICE_B);
    assert_eq!(reservation.id, request.reservation_id);
    assert_eq!(reservation.held_until, instant(i64::from(request.hold_seconds.get())));
    assert_eq!(reservation.status(stage.now()), ReservationStatus::Held);
    let performance = &made.value.performance;
    assert_eq!((performance.id, performance.concert_id), (show.performance_id, show.concert.id));
    assert_eq!((&performance.title, performance.starts_at), (&show.concert.title, show.starts_at));
    assert_eq!((performance.venue.id, &performance.venue.name), (show.venue.id, &show.venue.name));
    assert_eq!((performance.sales, performance.max_seats_per_account), (show.concert.sales, 4));
    let found = stage.storage.reservations.find(account_id, reservation.id).await.unwrap();
    assert_eq!(found.as_ref(), Some(&made.value));
    for label in ["B-1-3", "A-1-10", "A-1-2"] {
        assert_eq!(stage.seat(&show, label).await, SeatStatus::Held);
    }
    assert_eq!(stage.free_labels(&show).await.len(), SHOW_SEATS - 3);
}

/// Each rule has its own refusal, and a refusal changes nothing.
pub async fn each_refusal_of_a_hold_has_its_cause(stage: &Stage) {
    let show = stage.show().await;
    let (one, other) = (stage.account().await, stage.account().await);
    stage.holds(&show, other, &["A-1-2", "A-1-10"]).await;
    let request = |labels: &[&str]| show.hold_request(one, labels);
    let free = stage.free_labels(&show).await;

    let nowhere = HoldRequest { performance_id: PerformanceId::new(TestEntropy.uuid()), ..request(&["A-1-1"]) };
    assert_eq!(stage.hold(nowhere).await, Err(HoldRefusal::PerformanceNotFound));
    let elsewhere = HoldRequest { concert_id: ConcertId::new(TestEntropy.uuid()), ..request(&["A-1-1"]) };
    assert_eq!(stage.hold(elsewhere).await, Err(HoldRefusal::WrongConcert));
    let missing = vec![label("A-1-21"), label("C-1-1")];
    let refused = stage.hold(request(&["A-1-21", "A-1-1", "C-1-1"])).await;
    assert_eq!(refused, Err(HoldRefusal::SeatNotFound(missing)));
    let taken = vec![label("A-1-10"), label("A-1-2")];
    let refused = stage.hold(request(&["A-1-10", "A-1-1", "A-1-2"])).await;
    assert_eq!(unavailable(&refused), Some(taken));
    let own = stage.holds(&show, one, &["B-1-1", "B-1-2"]).await;
    let refused = stage.hold(request(&["A-1-1", "A-1-3", "A-1-4"])).await;
    assert_eq!(refused, Err(HoldRefusal::SeatLimitReached { limit: 4 }));
    stage.cancels(&own).await;

    let opens_at = show.concert.sales.open_at();
    stage.clock.set(opens_at - TimeDelta::microseconds(1));
    let refused = stage.hold(request(&["A-1-1"])).await;
    assert_eq!(refused, Err(HoldRefusal::NotOnSale(NotOnSale::NotOpen { opens_at, seconds_left: 1 })));
    stage.clock.set(show.concert.sales.close_at());
    let refused = stage.hold(request(&["A-1-1"])).await;
    assert_eq!(refused, Err(HoldRefusal::NotOnSale(NotOnSale::Closed)));
    stage.clock.set(show.starts_at);
    assert_eq!(stage.hold(request(&["A-1-1"])).await, Err(HoldRefusal::PerformanceStarted));

    stage.clock.set(instant(0));
    assert_eq!(stage.free_labels(&show).await, free);
    let list = stage.storage.reservations.list(one, None, PageRequest::first(10)).await.unwrap();
    assert_eq!(list.items.len(), 1);
}

/// A key names one reservation for one account, whatever happens to it later.
pub async fn a_repeated_hold_gets_the_first_answer(stage: &Stage) {
    let show = stage.show().await;
    let (one, other) = (stage.account().await, stage.account().await);
    let key = idempotency();
    let request = |labels: &[&str]| HoldRequest { idempotency: Some(key.clone()), ..show.hold_request(one, labels) };
    let answers = at_once((0..20).map(|_| request(&["A-1-1", "A-1-2"])), |request| stage.hold(request)).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_first_of_all(&answers);
    let first = answers[0].value.clone();

    let reused = HoldRequest { idempotency: Some(other_request(&key)), ..request(&["A-1-3"]) };
    assert_eq!(stage.hold(reused).await, Err(KeyReused.into()));
    let found = async |account_id| stage.storage.reservations.find_by_key(account_id, &key.key).await.unwrap();
    assert_eq!(found(other).await, None);
    let of_another = stage.hold(HoldRequest { account_id: other, ..request(&["A-1-3"]) }).await.unwrap();
    assert!(!of_another.replayed);
    assert_eq!((found(one).await, found(other).await), (Some(first.clone()), Some(of_another.value)));

    stage.cancels(&first.reservation).await;
    stage.clock.advance_seconds(1_000);
    let again = stage.hold(request(&["A-1-1", "A-1-2"])).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.value, first);
}

/// Seats that are paid count like held ones.
pub async fn owned_seats_count_against_the_limit(stage: &Stage) {
    let show = stage.show().await;
    let account_id = stage.account_with(100_000).await;
    stage.pays(&stage.holds(&show, account_id, &["A-1-1", "A-1-2", "A-1-3"]).await).await;
    let limit = Err(HoldRefusal::SeatLimitReached { limit: 4 });
    assert_eq!(stage.hold(show.hold_request(account_id, &["A-1-4", "A-1-5"])).await, limit);
    let last = stage.holds(&show, account_id, &["A-1-4"]).await;
    stage.pays(&last).await;
    stage.clock.advance_seconds(100_000);
    assert_eq!(stage.hold(show.hold_request(account_id, &["A-1-5"])).await, limit);
    // Refunded seats no longer count.
    stage.cancels(&last).await;
    stage.holds(&show, account_id, &["A-1-5"]).await;
}

/// However many accounts want a seat, one gets it.
pub async fn one_of_five_hundred_gets_the_seat(stage: &Stage) {
    let show = stage.show().await;
    let accounts = stage.accounts(500).await;
    let requests = accounts.iter().map(|account_id| show.hold_request(*account_id, &["A-1-7"]));
    let outcomes = at_once(requests, |request| stage.hold(request)).await;
    assert_eq!(succeeded(&outcomes), 1);
    let refused = outcomes.iter().filter(|outcome| unavailable(outcome) == Some(vec![label("A-1-7")]));
    assert_eq!(refused.count(), 499);
    assert_eq!(stage.free_labels(&show).await.len(), SHOW_SEATS - 1);
}

/// Requests for pairs and fours of all seats, the same ones in every run.
pub fn overlapping(show: &Show, accounts: &[AccountId], seed: u64) -> Vec<HoldRequest> {
    let (mut dice, labels) = (Dice::new(seed), show.labels());
    let requests = accounts.iter().map(|account_id| {
        let wanted = if dice.below(2) == 0 { 2 } else { 4 };
        show.hold_request_for(*account_id, dice.pick(&labels, wanted))
    });
    requests.collect()
}

/// Fails if two outcomes share a seat, if one has other seats than it asked for, or if a refusal names a free seat.
/// Returns the seats that were held.
pub async fn assert_all_or_none(
    stage: &Stage,
    show: &Show,
    requests: &[HoldRequest],
    outcomes: &[Held],
) -> BTreeSet<SeatLabel> {
    let mut taken = BTreeSet::new();
    for (request, outcome) in requests.iter().zip(outcomes) {
        if let Ok(made) = outcome {
            let seats: Vec<_> = made.value.reservation.seats.iter().map(|seat| seat.label.clone()).collect();
            assert_eq!(seats, request.seats.labels());
            for seat in seats {
                assert!(taken.insert(seat.clone()), "{seat} was given twice");
            }
        }
    }
    for (request, outcome) in requests.iter().zip(outcomes) {
        match outcome {
            Ok(_) => {}
            Err(HoldRefusal::SeatUnavailable { seats, .. }) => {
                assert!(!seats.is_empty());
                let mut labels = seats.iter().map(|seat| &seat.label);
                assert!(labels.all(|label| request.seats.labels().contains(label) && taken.contains(label)));
            }
            Err(refusal) => panic!("another refusal: {refusal}"),
        }
    }
    let free: BTreeSet<_> = stage.free_labels(show).await.into_iter().collect();
    let expected: BTreeSet<_> = show.labels().into_iter().filter(|label| !taken.contains(label)).collect();
    assert_eq!(free, expected);
    taken
}

/// No seat is held twice, no request gets a part of its seats, and each free seat can be held.
pub async fn overlapping_holds_neither_share_nor_split_seats(stage: &Stage) {
    let show = stage.show().await;
    let accounts = stage.accounts(500).await;
    let requests = overlapping(&show, &accounts, 20_261_120);
    let outcomes = at_once(requests.clone(), |request| stage.hold(request)).await;
    assert!(!assert_all_or_none(stage, &show, &requests, &outcomes).await.is_empty());
    for free in stage.free_labels(&show).await {
        let lone = stage.account().await;
        stage.hold(show.hold_request_for(lone, vec![free])).await.unwrap();
    }
    assert_eq!(stage.free_labels(&show).await, vec![]);
}

/// The limit of an account holds for requests that come together.
pub async fn ten_holds_at_once_of_one_account_give_its_limit(stage: &Stage) {
    let show = stage.show().await;
    let account_id = stage.account().await;
    let requests = show.labels().into_iter().take(10).map(|label| show.hold_request_for(account_id, vec![label]));
    assert_limit_of_four(stage, requests.collect()).await;
}

/// The limit is the concert's, whichever of its performances the seats are of.
pub async fn the_limit_counts_every_performance_of_the_concert(stage: &Stage) {
    let show = stage.show().await;
    let again = stage.another_performance(&show, show.starts_at + TimeDelta::days(1)).await;
    let unrelated = stage.show().await;
    let account_id = stage.account().await;
    stage.holds(&unrelated, account_id, &["A-1-1", "A-1-2", "A-1-3", "A-1-4"]).await;
    let labels = show.labels();
    let performances = [&show, &again].into_iter().cycle();
    let requests = labels.iter().take(10).zip(performances);
    let requests = requests.map(|(label, show)| show.hold_request_for(account_id, vec![label.clone()]));
    assert_limit_of_four(stage, requests.collect()).await;
}

async fn assert_limit_of_four(stage: &Stage, requests: Vec<HoldRequest>) {
    let outcomes = at_once(requests, |request| stage.hold(request)).await;
    assert_eq!(succeeded(&outcomes), 4);
    assert_eq!(count(&outcomes, &Err(HoldRefusal::SeatLimitReached { limit: 4 })), 6);
}

/// Seats of a cancelled hold can be held at once by any account, and no longer count against the limit.
pub async fn cancelling_a_hold_frees_its_seats(stage: &Stage) {
    let show = stage.show().await;
    let (one, other) = (stage.account().await, stage.account().await);
    let held = stage.holds(&show, one, &["A-1-1", "A-1-2", "A-1-3", "A-1-4"]).await;
    stage.clock.advance_seconds(10);
    let cancelled = stage.cancels(&held).await;
    assert_eq!(cancelled.state, ReservationState::Cancelled { payment_id: None, idempotency: None });
    assert_eq!((cancelled.updated_at, cancelled.held_until), (stage.now(), held.held_until));
    assert_eq!(stage.reservation(&held).await, cancelled);
    assert_eq!(stage.free_labels(&show).await.len(), SHOW_SEATS);
    stage.holds(&show, other, &["A-1-1"]).await;
    stage.holds(&show, one, &["A-1-2", "A-1-3", "A-1-4", "A-1-5"]).await;
}

/// Each rule has its own refusal.
pub async fn each_refusal_of_a_cancellation_has_its_cause(stage: &Stage) {
    let show = stage.show().await;
    let (one, other) = (stage.account().await, stage.account().await);
    let held = stage.holds(&show, one, &["A-1-1"]).await;
    let request = fixtures::cancel_request(&held);
    let of_another = CancelRequest { account_id: other, ..request.clone() };
    assert_eq!(stage.cancel(of_another).await, Err(CancelRefusal::NotFound));
    let unknown = CancelRequest { reservation_id: ReservationId::new(TestEntropy.uuid()), ..request.clone() };
    assert_eq!(stage.cancel(unknown).await, Err(CancelRefusal::NotFound));
    stage.clock.set(held.held_until);
    assert_eq!(stage.cancel(request.clone()).await, Err(CancelRefusal::HoldExpired));
    stage.clock.set(held.held_until - TimeDelta::microseconds(1));
    stage.cancel(request.clone()).await.unwrap();
    assert_eq!(stage.cancel(request.clone()).await, Err(CancelRefusal::AlreadyCancelled));
    let keyed = CancelRequest { idempotency: Some(idempotency()), ..request };
    assert_eq!(stage.cancel(keyed).await, Err(CancelRefusal::AlreadyCancelled));
}

/// A repeated cancellation under its key gets the first answer.
pub async fn a_repeated_cancellation_gets_the_first_answer(stage: &Stage) {
    let show = stage.show().await;
    let account_id = stage.account().await;
    let held = stage.holds(&show, account_id, &["A-1-1"]).await;
    let key = idempotency();
    let request = CancelRequest { idempotency: Some(key.clone()), ..fixtures::cancel_request(&held) };
    let answers = at_once((0..20).map(|_| request.clone()), |request| stage.cancel(request)).await;
    assert_first_of_all(&answers.into_iter().map(Result::unwrap).collect::<Vec<_>>());
    let reused = CancelRequest { idempotency: Some(other_request(&key)), ..request };
    assert_eq!(stage.cancel(reused).await, Err(KeyReused.into()));
}

/// What is paid stays once the performance starts; a hold can be given up as long as it lasts.
pub async fn a_paid_reservation_is_cancelled_only_before_the_performance_starts(stage: &Stage) {
    let show = stage.show().await;
    let account_id = stage.account_with(5_000).await;
    let soon = stage.another_performance(&show, instant(60)).await;
    let paid = stage.holds(&soon, account_id, &["A-1-1"]).await;
    stage.pays(&paid).await;
    let in_time = stage.holds(&soon, account_id, &["A-1-2"]).await;
    stage.pays(&in_time).await;
    let held = stage.holds(&soon, account_id, &["A-1-3"]).await;
    stage.clock.set(soon.starts_at - TimeDelta::microseconds(1));
    stage.cancels(&in_time).await;
    stage.clock.set(soon.starts_at);
    assert_eq!(stage.cancel(fixtures::cancel_request(&paid)).await, Err(CancelRefusal::Closed));
    assert_eq!(stage.status(&paid).await, ReservationStatus::Confirmed);
    stage.cancels(&held).await;
    stage.assert_balance(account_id, 5_000 - PRICE_A).await;
}

/// The newest comes first, page by page, and a lapsed hold is an expired one before any sweep.
pub async fn reservations_are_listed_newest_first_by_what_they_are_shown_as(stage: &Stage) {
    let show = stage.show_allowing(10).await;
    let (account_id, other) = (stage.account_with(5_000).await, stage.account().await);
    let lapsed = stage.holds(&show, account_id, &["A-1-1"]).await;
    let swept = stage.holds(&show, account_id, &["A-1-2"]).await;
    stage.clock.set(swept.held_until);
    assert_eq!(stage.expire_due(1).await, 1);
    let cancelled = stage.holds(&show, account_id, &["A-1-3"]).await;
    stage.cancels(&cancelled).await;
    let paid = stage.holds(&show, account_id, &["A-1-4"]).await;
    stage.pays(&paid).await;
    let held = stage.holds(&show, account_id, &["A-1-5"]).await;
    let port = &stage.storage.reservations;
    let list = async |status, limit, after| {
        let page = port.list(account_id, status, PageRequest { limit, after }).await.unwrap();
        let ids: Vec<_> = page.items.iter().map(|view| view.reservation.id).collect();
        (ids, page.next)
    };
    let newest_first = [held.id, paid.id, cancelled.id, swept.id, lapsed.id];
    assert_eq!(list(None, 5, None).await, (newest_first.to_vec(), None));
    assert_eq!(list(None, 2, None).await, (newest_first[..2].to_vec(), Some(paid.id)));
    assert_eq!(list(None, 2, Some(paid.id)).await, (newest_first[2..4].to_vec(), Some(swept.id)));
    assert_eq!(list(None, 2, Some(swept.id)).await, (newest_first[4..].to_vec(), None));
    let expired = Some(ReservationStatus::Expired);
    assert_eq!(list(expired, 5, None).await, (vec![swept.id, lapsed.id], None));
    assert_eq!(list(expired, 1, None).await, (vec![swept.id], Some(swept.id)));
    assert_eq!(list(Some(ReservationStatus::Held), 5, None).await, (vec![held.id], None));
    assert_eq!(list(Some(ReservationStatus::Confirmed), 5, None).await, (vec![paid.id], None));
    assert_eq!(list(Some(ReservationStatus::Cancelled), 5, None).await, (vec![cancelled.id], None));
    assert_eq!(port.list(other, None, PageRequest::first(5)).await.unwrap().items, vec![]);
    assert_eq!(port.find(other, held.id).await.unwrap(), None);
    assert_eq!(port.find_by_key(account_id, &idempotency().key).await.unwrap(), None);
}

/// The sweep is bounded, takes the oldest first, and touches no hold that lasts and no seat that was taken over.
pub async fn the_sweep_takes_the_oldest_first_and_no_more_than_asked(stage: &Stage) {
    let show = stage.show().await;
    let accounts = stage.accounts(6).await;
    let mut held = Vec::new();
    for (account_id, label) in accounts.iter().zip(show.labels()) {
        held.push(stage.holds(&show, *account_id, &[label.as_str()]).await);
        stage.clock.advance_seconds(1);
    }
    assert_eq!(stage.expire_due(100).await, 0);
    stage.clock.set(held[4].held_until);
    let swept = async || {
        let mut swept = Vec::new();
        for reservation in &held {
            swept.push(stage.reservation(reservation).await.state == ReservationState::Expired);
        }
        swept
    };
    assert_eq!(stage.expire_due(2).await, 2);
    assert_eq!(swept().await, [true, true, false, false, false, false]);
    assert_eq!(stage.expire_due(2).await, 2);
    assert_eq!(stage.expire_due(2).await, 1);
    assert_eq!(stage.expire_due(2).await, 0);
    assert_eq!(swept().await, [true, true, true, true, true, false]);
    assert_eq!(stage.reservation(&held[0]).await.updated_at, held[0].held_until);
    assert_eq!(stage.status(&held[5]).await, ReservationStatus::Held);
    assert_eq!(stage.free_labels(&show).await.len(), SHOW_SEATS - 1);
}
