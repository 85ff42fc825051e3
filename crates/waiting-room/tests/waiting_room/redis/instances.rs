//! Several instances over one Redis.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use boxoffice_domain::{
    fixtures::TestClock,
    waiting_room::{QueuePlace, Recall, Standing, WaitingRoom, WaitingRoomError},
};
use boxoffice_testkit::servers::RedisServer;
use boxoffice_waiting_room::Settings;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::support::{DEADLINE, EXACT, Instance, POLLING, at_once, concert};

async fn three(snapshot_age_max: Duration) -> (RedisServer, Arc<TestClock>, Vec<Arc<Instance>>) {
    let server = RedisServer::start().await.expect("starts");
    let clock = Arc::new(TestClock::new());
    let mut instances = Vec::new();
    for _ in 0..3 {
        let instance = Instance::start(&server.url(), &clock, at_once(), snapshot_age_max).await;
        instances.push(Arc::new(instance.admitting(20)));
    }
    (server, clock, instances)
}

/// Hundreds join, poll and end over three instances, with the polls that production has; the number of admissions is
/// read from Redis itself all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_limit_is_never_exceeded_and_every_account_is_served() {
    const PEOPLE: u64 = 400;
    let (server, clock, instances) = three(POLLING).await;
    let ended = Arc::new(AtomicBool::new(false));
    let key = format!("boxoffice:{{{}}}:ending", concert(1));
    let sampler = tokio::spawn({
        let ended = Arc::clone(&ended);
        async move {
            let (mut samples, mut most) = (0, 0);
            while !ended.load(Ordering::SeqCst) {
                let active: u32 =
                    server.command(&format!("ZCARD {key}")).await.expect("answers").parse().expect("a number");
                (samples, most) = (samples + 1, most.max(active));
            }
            (samples, most, server)
        }
    });
    let mut buyers = JoinSet::new();
    let admitted: Arc<Mutex<Vec<QueuePlace>>> = Arc::default();
    for number in 0..u128::from(PEOPLE) {
        let (joining, polling) = (number as usize % 3, (number as usize + 1) % 3);
        let (joining, polling) = (Arc::clone(&instances[joining]), Arc::clone(&instances[polling]));
        let (clock, admitted) = (Arc::clone(&clock), Arc::clone(&admitted));
        buyers.spawn(async move {
            // In a known order, so that it can be compared.
            let place = joining.join(number).await.place;
            clock.advance(chrono::TimeDelta::microseconds(1));
            let mut seen = 0;
            while !polling.is_active(&place).await {
                seen = polling.waiting_room.changed(concert(1), seen).await.expect("answers");
            }
            admitted.lock().expect("no panic").push(place);
            match number % 3 {
                0 => joining.leave(&place).await,
                _ => polling.spend(&place).await,
            }
            assert_eq!(joining.poll(&place).await, Standing::Expired);
            place
        });
    }
    let places = timeout(4 * DEADLINE, buyers.join_all()).await.expect("all are admitted");
    ended.store(true, Ordering::SeqCst);
    let (samples, most, _server) = sampler.await.expect("samples");
    assert!(samples > 50 && most == 20, "{most} at most in {samples} samples");
    let places: BTreeSet<_> = places.iter().map(|place| place.number).collect();
    assert_eq!(places.len() as u64, PEOPLE);
    assert_eq!(instances[0].census().await, (0, 0, PEOPLE));
    assert_eq!(admitted.lock().expect("no panic").len(), places.len());
}

#[tokio::test]
async fn watchers_at_another_instance_are_woken_in_time() {
    let (_server, _clock, instances) = three(POLLING).await;
    let [one, other, third] = [0, 1, 2].map(|index| Arc::clone(&instances[index]));
    let places = one.join_many(30).await;
    for freed in 0..5 {
        let next = places[20 + freed];
        assert!(!other.is_active(&next).await);
        let seen = other.version().await;
        let watcher = tokio::spawn({
            let other = Arc::clone(&other);
            async move {
                let mut seen = seen;
                while !other.is_active(&next).await {
                    seen = other.waiting_room.changed(concert(1), seen).await.expect("answers");
                }
                Instant::now()
            }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        let freed_at = Instant::now();
        third.leave(&places[freed]).await;
        let woken_at = timeout(DEADLINE, watcher).await.expect("woken").expect("ends");
        let late = woken_at.saturating_duration_since(freed_at);
        // A lost message is made good after 400 ms; without both, nothing would wake the watcher.
        assert!(late < Duration::from_millis(500), "woken after {late:?}");
    }
}

#[tokio::test]
async fn a_change_is_found_without_a_message_of_it() {
    let (server, _clock, instances) = three(POLLING).await;
    let places = instances[0].join_many(21).await;
    let (watching, leaving) = (Arc::clone(&instances[1]), Arc::clone(&instances[0]));
    assert!(!watching.is_active(&places[20]).await);
    let seen = watching.version().await;
    // No connection may listen any more: each is closed as often as it is made.
    let closing = tokio::spawn(async move {
        loop {
            let _ = server.command("CLIENT KILL TYPE pubsub").await;
        }
    });
    leaving.leave(&places[0]).await;
    let woken =
        timeout(DEADLINE, watching.waiting_room.changed(concert(1), seen)).await.expect("woken").expect("answers");
    assert_ne!(woken, seen);
    assert!(watching.is_active(&places[20]).await);
    closing.abort();
}

#[tokio::test]
async fn a_worker_of_any_instance_goes_on_where_another_has_ended() {
    let (_server, clock, mut instances) = three(EXACT).await;
    instances[0].join_many(25).await;
    instances.remove(0);
    let [one, other] = [0, 1].map(|index| Arc::clone(&instances[index]));
    clock.advance_seconds(600);
    one.advance().await;
    assert_eq!(other.census().await, (0, 5, 25));
    clock.advance_seconds(60);
    other.advance().await;
    assert_eq!(one.census().await, (0, 0, 25));
}

/// What is due was not written down, because the instance ended between the step and that.
#[tokio::test]
async fn a_queue_that_no_instance_has_written_down_as_due_is_visited_all_the_same() {
    let (server, clock, instances) = three(EXACT).await;
    instances[0].join_many(25).await;
    server.command("DEL boxoffice:{queues}:due").await.expect("deletes");
    clock.advance_seconds(600);
    instances[1].advance().await;
    assert_eq!(server.command(&format!("ZCARD boxoffice:{{{}}}:ending", concert(1))).await.expect("answers"), "5");
}

#[tokio::test]
async fn idle_queues_are_dropped_past_the_bound() {
    let server = RedisServer::start().await.expect("starts");
    let clock = Arc::new(TestClock::new());
    let rules = Settings { queues_max: 2, restorable_seconds: 100, no_show_seconds: 600, ..at_once() };
    let instance = Instance::start(&server.url(), &clock, rules, EXACT).await;
    let first = instance.try_join_at(concert(1), 1).await.expect("joins").status.place;
    instance.try_join_at(concert(2), 1).await.expect("joins");
    instance.leave(&first).await;
    let refused = instance.try_join_at(concert(3), 1).await;
    assert!(matches!(refused, Err(WaitingRoomError::Full)), "the first queue remembers who left it: {refused:?}");
    // The places of a queue begin two seconds ahead of the clock.
    clock.advance_seconds(102);
    instance.try_join_at(concert(3), 1).await.expect("the first queue has nothing to remember");
    assert_eq!(instance.waiting_room.census(9).await.expect("counts").len(), 2);
    assert!(instance.recall(&first).await != Recall::Forgotten);
    let left = server.command(&format!("KEYS *{}*", concert(1))).await.expect("answers");
    assert_eq!(left, "", "nothing of the first queue is left");
}

#[tokio::test]
async fn scripts_that_redis_has_forgotten_are_loaded_again() {
    let (server, _clock, instances) = three(EXACT).await;
    let places = instances[0].join_many(3).await;
    server.command("SCRIPT FLUSH").await.expect("flushes");
    assert!(instances[0].is_active(&places[2]).await);
    server.command("SCRIPT FLUSH").await.expect("flushes");
    instances[1].spend(&places[0]).await;
    server.command("SCRIPT FLUSH").await.expect("flushes");
    instances[2].advance().await;
    assert_eq!(instances[2].census().await, (0, 2, 3));
}
