//! Bounds, measures, and a million accounts.

use std::sync::Arc;

use boxoffice_domain::{
    fixtures::{TestClock, instant},
    waiting_room::{PlaceNumber, QueuePlace, QueueStatus, Recall, Standing, WaitingRoom, WaitingRoomError},
};
use boxoffice_waiting_room::Settings;

use super::{in_memory, restarted};
use crate::support::{Instance, account, concert, settings, terms};

#[tokio::test]
async fn only_admissions_that_others_left_are_measured() {
    let estimate = |status: QueueStatus| match status.standing {
        Standing::Waiting { estimated_wait_seconds, .. } => estimated_wait_seconds,
        other => panic!("{other:?} instead of waiting"),
    };
    let clock = Arc::new(TestClock::new());
    let settings = Settings { reform_seconds: 1_000, admission_seconds: 10_000, ..settings() };
    let server = in_memory(&clock, settings);
    let places = server.join_many(10).await;
    clock.advance_seconds(1_010);
    server.poll(&places[0]).await;
    assert_eq!(estimate(server.join(9).await), None, "three filled the empty room");
    clock.advance_seconds(10);
    server.waiting_room.set_terms(concert(1), terms(4)).await.expect("sets");
    let server = Instance { terms: terms(4), ..server };
    assert_eq!(estimate(server.join(9).await), None, "one filled the larger room");
    server.leave(&places[0]).await;
    // Number 9 is the 5th in the queue; the time in which none could be admitted does not count.
    let estimated = estimate(server.join(9).await).expect("there is a measure");
    assert!((40..=100).contains(&estimated), "{estimated} s for 5 people at one in 10 to 20 s");
}

#[tokio::test]
async fn past_the_bound_of_what_is_remembered_nothing_is_restored() {
    let clock = Arc::new(TestClock::new());
    let old = in_memory(&clock, settings()).join(1).await.place;
    clock.advance_seconds(10);
    let settings = Settings { capacity: 3, reform_seconds: 0, ..settings() };
    let server = in_memory(&clock, settings);
    for number in 10..13 {
        let place = server.join(number).await.place;
        server.leave(&place).await;
        assert_eq!(server.recall(&old).await, Recall::Forgotten);
    }
    let place = server.join(13).await.place;
    server.leave(&place).await;
    assert!(server.is_expired(&old).await);
    assert!(matches!(server.join(1).await.standing, Standing::Active { .. }));
}

#[tokio::test]
async fn a_restored_queue_is_bounded_too() {
    let (clock, places, _) = restarted(4).await;
    let server = in_memory(&clock, Settings { capacity: 3, ..settings() });
    for place in &places[1..] {
        server.poll(place).await;
    }
    assert!(matches!(server.try_restore(&places[0]).await, Err(WaitingRoomError::Full)));
    clock.advance_seconds(5);
    assert_eq!(server.position(&places[0]).await, 1, "there is room once the others are admitted");
}

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
async fn watching_a_concert_without_a_queue_opens_none_and_sees_it_opened() {
    let clock = Arc::new(TestClock::new());
    let server = Arc::new(in_memory(&clock, settings()));
    let none = server.version().await;
    let watcher = tokio::spawn({
        let server = Arc::clone(&server);
        async move { server.waiting_room.changed(concert(1), none).await.expect("answers") }
    });
    tokio::task::yield_now().await;
    server.try_join_at(concert(2), 1).await.expect("joins");
    tokio::task::yield_now().await;
    assert!(!watcher.is_finished(), "another queue does not wake it");
    assert_eq!(server.waiting_room.census(9).await.expect("counts").len(), 1);
    server.join(1).await;
    assert_ne!(watcher.await.expect("ends"), none);
}

#[tokio::test]
async fn settings_are_moved_into_their_bounds() {
    let clock = Arc::new(TestClock::new());
    let settings = Settings {
        capacity: 0,
        queues_max: 0,
        no_show_seconds: 0,
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
