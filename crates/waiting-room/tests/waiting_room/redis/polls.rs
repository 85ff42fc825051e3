//! Polls that are answered from what an instance knows.

use std::{sync::Arc, time::Duration};

use boxoffice_domain::{
    fixtures::{TestClock, instant},
    waiting_room::{QueuePlace, Standing, WaitingRoom},
};
use boxoffice_testkit::servers::RedisServer;
use futures::{StreamExt, stream};

use crate::support::{DEADLINE, EXACT, Instance, POLLING, at_once, concert, is_active, until};

/// An instance that asks Redis each time, and one that does so once in a while.
async fn pair(polling: Duration, max_active: u32) -> (RedisServer, Arc<TestClock>, Instance, Instance) {
    let server = RedisServer::start().await.expect("starts");
    let clock = Arc::new(TestClock::new());
    let asking = Instance::start(&server.url(), &clock, at_once(), EXACT).await.admitting(max_active);
    let polling = Instance::start(&server.url(), &clock, at_once(), polling).await.admitting(max_active);
    (server, clock, asking, polling)
}

async fn steps(server: &RedisServer) -> u64 {
    let stats = server.command("INFO commandstats").await.expect("answers");
    let calls = stats.lines().filter(|line| line.starts_with("cmdstat_eval"));
    calls.filter_map(|line| line.split_once("calls=")?.1.split(',').next()?.parse::<u64>().ok()).sum()
}

/// So old a snapshot may be that none is taken within a test.
const HOUR: Duration = Duration::from_hours(1);

async fn join_many(instance: &Instance, clock: &TestClock, count: u128) -> Vec<QueuePlace> {
    let joins = stream::iter(0..count).map(|number| {
        // Not at an even pace.
        clock.advance(chrono::TimeDelta::microseconds(1 + i64::try_from(number % 1_000).expect("small")));
        async move { instance.join(number).await.place }
    });
    let mut places: Vec<QueuePlace> = joins.buffer_unordered(64).collect().await;
    places.sort_by_key(|place| place.number);
    places
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_are_exact_in_front_and_nearly_so_behind() {
    const PEOPLE: u128 = 20_000;
    let (server, clock, asking, polling) = pair(HOUR, 10).await;
    let places = join_many(&asking, &clock, PEOPLE).await;
    // Some have left, in clumps.
    for place in places[3_000..3_400].iter().chain(places[9_000..9_050].iter()) {
        asking.leave(place).await;
    }
    let remaining: Vec<&QueuePlace> =
        places[..3_000].iter().chain(&places[3_400..9_000]).chain(&places[9_050..]).collect();
    let before = steps(&server).await;
    let mut last = 0;
    for (position, place) in (1_u64..).zip(remaining[10..].iter()) {
        let told = polling.position(place).await;
        if position <= 512 {
            assert_eq!(told, position);
        }
        assert!(told.abs_diff(position) <= position / 16 + 1, "{told} instead of {position}");
        assert!(told >= last, "positions do not go back");
        last = told;
    }
    let asked = steps(&server).await - before;
    assert!((512..520).contains(&asked), "{asked} steps for {} polls", remaining.len());
    assert_eq!(asking.position(remaining[5_009]).await, 5_000, "the other instance is exact");
}

/// Those behind the first 512 cannot have been admitted since the snapshot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_have_changed_is_asked_of_redis() {
    let (server, clock, asking, polling) = pair(HOUR, 2).await;
    let places = join_many(&asking, &clock, 1_000).await;
    let far = &places[900];
    assert!(polling.position(far).await.abs_diff(899) < 899 / 16);
    let before = steps(&server).await;
    assert!(polling.is_active(&places[0]).await);
    asking.spend(&places[0]).await;
    assert_eq!(polling.poll(&places[0]).await, Standing::Expired, "what is spent here is spent everywhere at once");
    assert!(polling.is_active(&places[2]).await, "what is admitted here is admitted everywhere at once");
    assert_eq!(polling.position(&places[300]).await, 298);
    let joined = asking.join(7_777).await.place;
    assert_eq!(polling.position(&joined).await, 998, "a later place is not in the snapshot");
    assert!(steps(&server).await >= before + 7);

    let before = steps(&server).await;
    polling.position(far).await;
    assert_eq!(steps(&server).await, before);
    polling.leave(far).await;
    assert_eq!(polling.poll(far).await, Standing::Expired, "an instance knows who left at it");
    assert_eq!(polling.waiting_room.empty(concert(1)).await.expect("empties"), 997);
    assert_eq!(polling.poll(&places[950]).await, Standing::Expired, "and that it has emptied the queue");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_other_instances_have_done_is_known_after_a_moment() {
    let (_server, clock, asking, polling) = pair(POLLING, 2).await;
    let places = join_many(&asking, &clock, 1_000).await;
    polling.position(&places[800]).await;
    asking.leave(&places[800]).await;
    until("the departure is known", async || polling.poll(&places[800]).await == Standing::Expired).await;
    asking.waiting_room.empty(concert(1)).await.expect("empties");
    until("the emptying is known", async || polling.poll(&places[900]).await == Standing::Expired).await;
    assert!(polling.is_active(&places[1]).await);
}

/// A watcher that learns of a change finds it in the next status, however old a snapshot may be.
#[tokio::test]
async fn a_change_that_wakes_a_watcher_is_seen() {
    let (_server, _clock, asking, polling) = pair(HOUR, 1).await;
    let places = asking.join_many(30).await;
    for next in 1..30 {
        let seen = polling.version().await;
        assert!(!polling.is_active(&places[next]).await);
        asking.spend(&places[next - 1]).await;
        let woken = async |seen| {
            let changed = polling.waiting_room.changed(concert(1), seen);
            tokio::time::timeout(DEADLINE, changed).await.expect("is woken").expect("answers")
        };
        let mut seen = woken(seen).await;
        // It may have been woken late by an earlier change; this one wakes it in the end.
        while !polling.is_active(&places[next]).await {
            seen = woken(seen).await;
        }
    }
}

#[tokio::test]
async fn before_the_draw_no_poll_asks_redis_and_after_it_those_of_the_drawn_do() {
    let (server, clock, asking, polling) = pair(HOUR, 1).await;
    let mut asking = asking;
    asking.terms.opens_at = Some(instant(100));
    let mut places = Vec::new();
    for number_and_draw in [30, 10, 20] {
        places.push(asking.join(number_and_draw).await.place);
    }
    polling.poll(&places[0]).await;
    let before = steps(&server).await;
    for place in &places {
        let standing = polling.poll(place).await;
        assert!(matches!(standing, Standing::Waiting { position: None, poll_after_seconds: 20, .. }), "{standing:?}");
    }
    assert_eq!(steps(&server).await, before);
    clock.set(instant(100));
    assert!(polling.is_active(&places[1]).await);
    assert_eq!(polling.position(&places[2]).await, 1);
    assert_eq!(polling.position(&places[0]).await, 2);
    let late = polling.join(9).await;
    assert!(!is_active(late.standing));
}
