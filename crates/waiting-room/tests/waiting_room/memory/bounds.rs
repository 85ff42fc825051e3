//! Bounds, measures, and a million accounts.

use std::sync::Arc;

use boxoffice_domain::{
    fixtures::{TestClock, instant},
    waiting_room::{PlaceNumber, QueuePlace, Recall, Standing, WaitingRoom, WaitingRoomError},
};
use boxoffice_waiting_room::Settings;

use super::in_memory;
use crate::support::{Instance, account, concert, settings, terms};

#[tokio::test]
async fn idle_queues_are_dropped_past_the_bound_and_their_places_are_not_given_again() {
    let clock = Arc::new(TestClock::new());
    // Nothing is restored, so that a queue has nothing to remember.
    let settings = Settings { queues_max: 2, reform_seconds: 0, restorable_seconds: 0, ..settings() };
    let server = in_memory(&clock, settings);
    let first = server.try_join_at(concert(1), 1).await.expect("joins").status.place;
    server.try_join_at(concert(2), 1).await.expect("joins");
    assert!(matches!(server.try_join_at(concert(3), 1).await, Err(WaitingRoomError::Full)));
    let version = server.version().await;

    server.leave(&first).await;
    server.try_join_at(concert(3), 1).await.expect("the first queue was idle");
    assert_eq!(server.waiting_room.census(9).await.expect("counts").len(), 2);
    assert!(server.recall(&first).await != Recall::Forgotten);

    clock.advance_seconds(600);
    let again = server.try_join_at(concert(1), 1).await.expect("the others' admissions are over").status.place;
    assert!(again.number > first.number);
    assert!(server.version().await > version);
}

#[tokio::test]
async fn a_queue_is_dropped_only_when_it_has_nothing_to_remember() {
    let clock = Arc::new(TestClock::new());
    let rules = Settings { queues_max: 1, reform_seconds: 0, restorable_seconds: 100, ..settings() };
    let server = in_memory(&clock, rules);
    let joins = async |number| server.try_join_at(concert(number), 1).await.map(|joined| joined.status.place);
    let is_full = |joined| matches!(joined, Err(WaitingRoomError::Full));
    let number = PlaceNumber(u64::MAX);
    let unknown = QueuePlace { concert_id: concert(1), account_id: account(1), number, joined_at: instant(0) };
    assert!(server.is_expired(&unknown).await);
    let ended = joins(2).await.expect("the first queue has nothing to remember");
    assert!(is_full(joins(3).await), "an account is admitted");
    server.leave(&ended).await;
    assert!(is_full(joins(3).await), "the place that ended is remembered");
    clock.advance_seconds(100);
    let waiting = joins(3).await.expect("no place can be restored any more");
    server.leave(&waiting).await;

    let server = in_memory(&clock, Settings { queues_max: 1, reform_seconds: 0, ..settings() });
    server.waiting_room.empty(concert(1)).await.expect("empties");
    let joined = server.try_join_at(concert(2), 1).await.map(|joined| joined.status.place);
    assert!(is_full(joined), "that the queue was emptied is remembered");
}

#[tokio::test]
async fn settings_are_moved_into_their_bounds() {
    let clock = Arc::new(TestClock::new());
    let settings = Settings {
        capacity: 0,
        queues_max: 0,
        no_show_seconds: 0,
        idle_admission_seconds: 0,
        joins_per_network_max: 0,
        reform_seconds: 0,
        poll_seconds_max: 0,
        ..settings()
    };
    let server = Instance { terms: terms(1), ..in_memory(&clock, settings) };
    server.join(1).await;
    let waiting = server.join(2).await;
    assert!(matches!(waiting.standing, Standing::Waiting { position: Some(1), poll_after_seconds: 1, .. }));
    assert!(matches!(server.try_join_at(concert(1), 3).await, Err(WaitingRoomError::Full)));
}

/// A million accounts join; many leave, ask, and are served, in no order.
#[tokio::test]
async fn a_million_in_queue() {
    const PEOPLE: usize = 1_000_000;
    let clock = Arc::new(TestClock::new());
    let settings = Settings { reform_seconds: 0, ..settings() };
    let server = Instance { terms: terms(500), ..in_memory(&clock, settings) };
    let mut places = Vec::with_capacity(PEOPLE);
    for number in 0..PEOPLE {
        // Ids in no order, as of accounts made long ago.
        let number = (number as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        places.push(server.join(number).await.place);
    }
    // Every tenth one leaves, in an order that jumps through the whole queue.
    let left = |index: usize| index % 10 == 7;
    for index in (0..PEOPLE).map(|step| step * 7_919 % PEOPLE).filter(|index| left(*index)) {
        server.leave(&places[index]).await;
    }
    // Fifty of the five hundred admitted ones left too.
    let ahead = |index: usize| (0..index).filter(|other| !left(*other)).count() as u64;
    for index in (0..PEOPLE).step_by(99_990).skip(1) {
        assert!(!left(index));
        assert_eq!(server.position(&places[index]).await, ahead(index) - 500 + 1, "number {index}");
    }
    let queue = server.waiting_room.census(1).await.expect("counts")[0];
    assert_eq!((queue.waiting, queue.active), (900_000 - 500, 500));
    for (index, place) in places.iter().enumerate().take(100_000).filter(|(index, _)| !left(*index)) {
        assert!(server.is_active(place).await, "number {index}");
        server.spend(place).await;
    }
    let queue = server.waiting_room.census(1).await.expect("counts")[0];
    assert_eq!((queue.waiting, queue.active), (810_000 - 500, 500));
}
