//! A Redis that does not answer.

use std::{sync::Arc, time::Duration};

use boxoffice_domain::{
    Clock, StorageError,
    fixtures::{TestClock, instant},
    waiting_room::{QueuePlace, Standing, Visit, WaitingRoom, WaitingRoomError},
};
use boxoffice_testkit::servers::RedisServer;
use tokio::time::Instant;

use crate::support::{EXACT, Instance, POLLING, account, at_once, concert, is_active, settings, until};

pub(crate) fn is_unavailable<T>(result: &Result<T, WaitingRoomError>) -> bool {
    matches!(result, Err(WaitingRoomError::Storage(StorageError::Unavailable(_))))
}

/// An instance with accounts 0..3 admitted and 3..8 waiting, who have polled, and another instance.
async fn running() -> (RedisServer, Arc<TestClock>, Vec<QueuePlace>, Instance, Instance) {
    let server = RedisServer::start().await.expect("starts");
    let clock = Arc::new(TestClock::new());
    let one = Instance::start(&server.url(), &clock, at_once(), POLLING).await;
    let other = Instance::start(&server.url(), &clock, at_once(), POLLING).await;
    let places = other.join_many(8).await;
    for place in &places[..2] {
        assert!(one.is_active(place).await);
    }
    // The third one has never been seen here: it is known from the snapshot.
    one.position(&places[5]).await;
    (server, clock, places, one, other)
}

/// What must hold while Redis is away, after the first one has waited in vain for an answer.
async fn assert_away(one: &Instance, clock: &TestClock, places: &[QueuePlace]) {
    until("the loss is noticed", async || {
        is_unavailable(&one.waiting_room.advance().await) && !one.waiting_room.is_connected()
    })
    .await;
    let begun = Instant::now();
    for number in 0..50 {
        assert!(is_unavailable(&one.try_join_at(concert(1), 1_000 + number).await));
    }
    assert!(is_unavailable(&one.waiting_room.leave(&places[0]).await));
    assert!(is_unavailable(&one.waiting_room.advance().await));
    assert!(begun.elapsed() < Duration::from_secs(1), "failing takes {:?}", begun.elapsed());

    for place in &places[..3] {
        assert!(one.is_active(place).await, "an admission stays one");
    }
    // The snapshot is too old now.
    until("the snapshot is old", async || is_unavailable(&one.waiting_room.status(&places[5], Visit::Poll).await))
        .await;

    one.keep_until(&places[0], Some(instant(900))).await;
    let standing = one.poll(&places[0]).await;
    assert_eq!(standing, Standing::Active { admitted_until: instant(600), active_until: instant(900) });
    one.spend(&places[1]).await;
    assert_eq!(one.poll(&places[1]).await, Standing::Expired, "what is spent is not served");
    assert!(is_unavailable(&one.waiting_room.keep_until(concert(1), account(5), Some(instant(900))).await));
    assert!(one.is_active(&places[2]).await);
    clock.set(instant(600));
    assert!(one.is_active(&places[0]).await, "it holds seats");
    assert!(
        is_unavailable(&one.waiting_room.status(&places[2], Visit::Poll).await),
        "its admission is over as far as is known"
    );
    clock.set(instant(300));
}

#[tokio::test]
async fn a_redis_that_hangs_is_away_and_learns_afterwards_what_it_has_missed() {
    let (server, clock, places, one, other) = running().await;
    server.pause().await.expect("pauses");
    let begun = Instant::now();
    assert!(is_unavailable(&one.try_join_at(concert(1), 99).await));
    assert!(begun.elapsed() < Duration::from_secs(4), "the first one waits {:?}", begun.elapsed());
    // As the worker of each instance notices.
    assert!(is_unavailable(&other.waiting_room.advance().await));
    assert_away(&one, &clock, &places).await;

    server.resume().await.expect("goes on");
    until("the payment is known", async || {
        other.try_poll(&places[1]).await.is_ok_and(|standing| standing == Standing::Expired)
    })
    .await;
    until("the next one is admitted", async || other.is_active(&places[3]).await).await;
    until("the hold is known", async || {
        let held = Standing::Active { admitted_until: instant(600), active_until: instant(900) };
        other.poll(&places[0]).await == held
    })
    .await;
    until("the first one is connected again", async || one.try_poll(&places[5]).await.is_ok()).await;
    assert_eq!(one.poll(&places[1]).await, Standing::Expired);
    assert_eq!(other.census().await.1, 3);
}

#[tokio::test]
async fn a_payment_while_redis_is_away_counts_in_the_one_that_comes_back_empty() {
    let (server, clock, places, one, other) = running().await;
    server.kill().await.expect("kills");
    assert_away(&one, &clock, &places).await;
    server.start_again().await.expect("starts");
    until("the queue re-forms", async || other.try_poll(&places[0]).await.is_ok()).await;
    until("the payment is known", async || {
        other.try_poll(&places[1]).await.is_ok_and(|standing| standing == Standing::Expired)
    })
    .await;
    assert_eq!(one.poll(&places[1]).await, Standing::Expired);
    // With a new place the account may come again.
    assert!(one.join(1).await.place.number > places[7].number);
}

/// Visits are not written down while Redis is away, so the absence of an account is judged only from when it is back.
#[tokio::test]
async fn an_account_that_asked_while_redis_was_away_is_not_passed_over_for_that() {
    let (server, clock, places, one, other) = running().await;
    server.pause().await.expect("pauses");
    until("the loss is noticed", async || {
        is_unavailable(&one.waiting_room.advance().await) && is_unavailable(&other.waiting_room.advance().await)
    })
    .await;
    for seconds in [50, 100, 150] {
        clock.set(instant(seconds));
        assert!(one.is_active(&places[0]).await && one.is_active(&places[1]).await);
    }
    server.resume().await.expect("goes on");
    until("both are connected", async || {
        one.waiting_room.advance().await.is_ok() && other.waiting_room.advance().await.is_ok()
    })
    .await;
    assert_eq!(one.census().await, (5, 3, 3), "none is passed over");
    clock.set(instant(209));
    other.advance().await;
    assert!(one.is_active(&places[0]).await);
    assert_eq!(one.census().await, (5, 3, 3));
    clock.set(instant(210));
    other.advance().await;
    assert_eq!(one.census().await, (3, 3, 5), "two were absent for a minute");
    assert!(other.is_active(&places[0]).await);
}

/// A command that was under way when Redis hung is done once, or not at all.
#[tokio::test]
async fn a_join_that_was_not_answered_keeps_its_place() {
    let (server, _clock, places, one, other) = running().await;
    server.pause().await.expect("pauses");
    assert!(is_unavailable(&one.try_join_at(concert(1), 50).await));
    server.resume().await.expect("goes on");
    until("the instance is connected again", async || one.try_join_at(concert(1), 50).await.is_ok()).await;
    let place = one.join(50).await.place;
    assert_eq!(other.position(&place).await, 6);
    assert_eq!(other.join(50).await.place, place);
    assert_eq!(other.position(&places[7]).await, 5);
}

#[tokio::test]
async fn an_instance_starts_without_redis_and_finds_it_later() {
    let server = RedisServer::start().await.expect("starts");
    server.kill().await.expect("kills");
    let clock = Arc::new(TestClock::new());
    let instance = Instance::start(&server.url(), &clock, settings(), EXACT).await;
    assert!(!instance.waiting_room.is_connected());
    assert!(is_unavailable(&instance.try_join_at(concert(1), 1).await));
    server.start_again().await.expect("starts");
    until("it is found", async || instance.try_join_at(concert(1), 1).await.is_ok()).await;
    assert!(!instance.is_active(&instance.join(1).await.place).await, "the earlier queues may re-form");
    clock.advance_seconds(5);
    assert!(instance.is_active(&instance.join(1).await.place).await);
    assert!(is_active(instance.join(2).await.standing));
    assert!(clock.now() == instant(5));
}
