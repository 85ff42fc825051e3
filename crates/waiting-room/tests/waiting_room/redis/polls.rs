//! Polls that are answered from what an instance knows.

use std::{sync::Arc, time::Duration};

use boxoffice_domain::fixtures::TestClock;
use boxoffice_domain::{
    fixtures::instant,
    waiting_room::{DrawNumber, JoinRequest, QueuePlace, Standing, WaitingRoom},
};
use boxoffice_testkit::servers::RedisServer;
use boxoffice_waiting_room::RedisSettings;
use futures::{StreamExt, stream};

use crate::support::{Instance, account, at_once, concert, exact, is_active, polling, until};

/// An instance that asks Redis each time, and one that does so once in a while.
async fn pair(polling: RedisSettings, max_active: u32) -> (RedisServer, Arc<TestClock>, Instance, Instance) {
    let server = RedisServer::start().await.expect("starts");
    let clock = Arc::new(TestClock::new());
    let asking = Instance::start(&server.url(), &clock, at_once(), exact()).await.admitting(max_active);
    let polling = Instance::start(&server.url(), &clock, at_once(), polling).await.admitting(max_active);
    (server, clock, asking, polling)
}

async fn steps(server: &RedisServer) -> u64 {
    let stats = server.command("INFO commandstats").await.expect("answers");
    let calls = stats.lines().filter(|line| line.starts_with("cmdstat_eval"));
    calls.filter_map(|line| line.split_once("calls=")?.1.split(',').next()?.parse::<u64>().ok()).sum()
}

/// Never asked for a new snapshot within a test.
fn hour() -> RedisSettings {
    RedisSettings { snapshot_age_max: Duration::from_hours(1), ..exact() }
}

async fn join_many(instance: &Instance, clock: &TestClock, count: u128) -> Vec<QueuePlace> {
    let joins = stream::iter(0..count).map(|number| {
        // Not at an even pace, as people do not come.
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
    let (server, clock, asking, polling) = pair(hour(), 10).await;
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
        assert!(told >= last, "who is behind is not told to be before");
        last = told;
    }
    let asked = steps(&server).await - before;
    assert!((512..520).contains(&asked), "{asked} steps for {} polls", remaining.len());
    assert_eq!(asking.position(remaining[5_009]).await, 5_000, "the other instance is exact");
}

/// The first 512 are so many that ten may be admitted and nobody behind the 512th is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_have_changed_is_asked_of_redis() {
    let (server, clock, asking, polling) = pair(hour(), 2).await;
    let places = join_many(&asking, &clock, 1_000).await;
    let far = &places[900];
    assert!(polling.position(far).await.abs_diff(899) < 899 / 16);
    let before = steps(&server).await;
    assert!(polling.is_active(&places[0]).await);
    asking.spend(&places[0]).await;
    assert_eq!(polling.poll(&places[0]).await, Standing::Expired, "what is spent is so everywhere at once");
    assert!(polling.is_active(&places[2]).await, "who is admitted is so everywhere at once");
    assert_eq!(polling.position(&places[300]).await, 298);
    let joined = asking.join(7_777).await.place;
    assert_eq!(polling.position(&joined).await, 998, "who came later is not in the snapshot");
    assert!(steps(&server).await >= before + 7);

    let before = steps(&server).await;
    polling.position(far).await;
    assert_eq!(steps(&server).await, before);
    polling.leave(far).await;
    assert_eq!(polling.poll(far).await, Standing::Expired, "its own departures an instance knows");
    assert_eq!(polling.waiting_room.empty(concert(1)).await.expect("empties"), 997);
    assert_eq!(polling.poll(&places[950]).await, Standing::Expired, "and that it has emptied the queue");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_have_done_is_known_after_a_moment() {
    let (_server, clock, asking, polling) = pair(polling(), 2).await;
    let places = join_many(&asking, &clock, 1_000).await;
    polling.position(&places[800]).await;
    asking.leave(&places[800]).await;
    until("the departure is known", async || polling.poll(&places[800]).await == Standing::Expired).await;
    asking.waiting_room.empty(concert(1)).await.expect("empties");
    until("the emptying is known", async || polling.poll(&places[900]).await == Standing::Expired).await;
    assert!(polling.is_active(&places[1]).await);
}

/// Whoever is told of a change finds it in the next status, however old a snapshot may be.
#[tokio::test]
async fn a_change_that_is_told_is_seen() {
    let (_server, _clock, asking, polling) = pair(hour(), 1).await;
    let places = asking.join_many(30).await;
    for next in 1..30 {
        let seen = polling.version().await;
        assert!(!polling.is_active(&places[next]).await);
        asking.spend(&places[next - 1]).await;
        let mut seen = tokio::time::timeout(crate::support::DEADLINE, polling.waiting_room.changed(concert(1), seen))
            .await
            .expect("is told")
            .expect("answers");
        // An earlier change may have been told late; this one is told in the end.
        while !polling.is_active(&places[next]).await {
            seen = tokio::time::timeout(crate::support::DEADLINE, polling.waiting_room.changed(concert(1), seen))
                .await
                .expect("is told of what it does not see")
                .expect("answers");
        }
    }
}

#[tokio::test]
async fn before_the_draw_nobody_asks_redis_and_after_it_the_drawn_do() {
    let (server, clock, asking, polling) = pair(hour(), 1).await;
    let mut asking = asking;
    asking.terms.opens_at = Some(instant(100));
    let mut places = Vec::new();
    for (number, draw) in [30, 10, 20].into_iter().enumerate() {
        let request = JoinRequest {
            concert_id: concert(1),
            account_id: account(number as u128),
            terms: asking.terms,
            draw: Some(DrawNumber::from_random(draw)),
        };
        places.push(asking.waiting_room.join(request).await.expect("joins").status.place);
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
