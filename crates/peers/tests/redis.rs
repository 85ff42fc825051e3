//! Peers over one Redis: announcements, quotas and attempts.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use boxoffice_domain::{accounts::GuessingRule, fixtures::TestClock};
use boxoffice_peers::{
    Announcement, Peers, Quota, Subscription, Topic,
    redis::{Link, RedisPeers, RedisSettings, RedisUrl},
};
use boxoffice_testkit::servers::RedisServer;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

/// How long anything may take that happens by itself.
const DEADLINE: Duration = Duration::from_secs(30);

async fn connect(server: &RedisServer) -> Arc<Link> {
    let patience = Duration::from_secs(2);
    let settings =
        RedisSettings { prefix: "boxoffice".to_owned(), connect_timeout: patience, command_timeout: patience };
    let link = Link::open(RedisUrl::parse(&server.url()).expect("a URL"), settings);
    timeout(DEADLINE, link.up()).await.expect("Redis can be reached");
    link
}

async fn start(count: usize) -> (RedisServer, Vec<Arc<RedisPeers>>) {
    let server = RedisServer::start().await.expect("Redis starts");
    let mut instances = Vec::new();
    for _ in 0..count {
        instances.push(Arc::new(RedisPeers::new(connect(&server).await, Arc::new(TestClock::new()))));
    }
    (server, instances)
}

/// Waits until something holds.
async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let waiting = async {
        while !holds().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(DEADLINE, waiting).await.is_ok(), "{what}: not within {DEADLINE:?}");
}

async fn next(subscription: &mut Subscription) -> Announcement {
    timeout(DEADLINE, subscription.next()).await.expect("something is published")
}

/// What is published, after as much as was missed.
async fn published(subscription: &mut Subscription) -> (Topic, String) {
    loop {
        if let Announcement::Published { topic, text } = next(subscription).await {
            return (topic, text.to_string());
        }
    }
}

/// Publishes again and again until it is received: before a subscription stands, nothing is.
async fn until_received(from: &RedisPeers, subscription: &mut Subscription) {
    loop {
        from.publish(Topic::Sessions, "first".to_owned());
        if let Ok((_, text)) = timeout(Duration::from_millis(100), published(subscription)).await {
            assert_eq!(text, "first");
            return;
        }
    }
}

/// Takes one of a quota, as soon as Redis can count.
async fn take(peers: &RedisPeers, what: &str, client: &str, per_minute: u32) -> Quota {
    let per_minute = NonZeroU32::new(per_minute).expect("more than none");
    peers.take_quota(what, client, per_minute).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_peer_receives_announcements_in_their_order() {
    let (_server, instances) = start(3).await;
    let mut subscriptions: Vec<_> = instances.iter().map(|instance| instance.subscribe()).collect();
    until_received(&instances[0], &mut subscriptions[1]).await;
    until_received(&instances[0], &mut subscriptions[2]).await;
    until_received(&instances[2], &mut subscriptions[0]).await;
    let texts: Vec<_> = (0..200).map(|number| format!("{number} words with a space\nand a queue")).collect();
    for text in &texts {
        instances[0].publish(Topic::Catalog, text.clone());
    }
    instances[2].publish(Topic::Seats, "from another".to_owned());
    for subscription in &mut subscriptions[1..] {
        let mut catalog = Vec::new();
        while catalog.len() < texts.len() {
            match published(subscription).await {
                (Topic::Catalog, text) => catalog.push(text),
                (_, text) => assert!(text == "first" || text == "from another", "{text}"),
            }
        }
        assert_eq!(catalog, texts);
    }
    // An instance does not receive what it publishes: the first that comes here is from a peer.
    let (topic, text) = loop {
        let (topic, text) = published(&mut subscriptions[0]).await;
        if text != "first" {
            break (topic, text);
        }
    };
    assert_eq!((topic, text.as_str()), (Topic::Seats, "from another"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_could_not_receive_learns_it() {
    let (server, instances) = start(2).await;
    let mut subscription = instances[1].subscribe();
    until_received(&instances[0], &mut subscription).await;
    server.kill().await.expect("it is killed");
    until("the loss is noticed", async || instances[0].take_quota("test", "test", NonZeroU32::MIN).await.is_none())
        .await;
    // With Redis away this neither waits nor fails.
    for _ in 0..10_000 {
        instances[0].publish(Topic::Catalog, "lost".to_owned());
    }
    server.start_again().await.expect("it starts");
    while next(&mut subscription).await != Announcement::Missed {}
    until_received(&instances[0], &mut subscription).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_one_for_all_instances() {
    let (_server, instances) = start(3).await;
    let mut asked = JoinSet::new();
    for number in 0..300_usize {
        let instance = Arc::clone(&instances[number % 3]);
        // Two a minute come back so slowly that none does within this test.
        asked.spawn(async move { take(&instance, "accounts", "192.0.2.1", 2).await });
    }
    let answers = asked.join_all().await;
    let (taken, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.taken);
    assert_eq!(taken.len(), 2, "{taken:?}");
    let mut remaining: Vec<_> = taken.iter().map(|answer| answer.remaining).collect();
    remaining.sort_unstable();
    assert_eq!(remaining, [0, 1]);
    let (half, minute) = (Duration::from_secs(30), Duration::from_mins(1));
    assert!(taken.iter().all(|answer| answer.until <= minute));
    assert!(refused.iter().all(|answer| !answer.until.is_zero() && answer.until <= half), "{refused:?}");
    // Other clients, and other things, have separate quotas.
    for (what, client) in [("accounts", "192.0.2.2"), ("else", "192.0.2.1")] {
        let answer = take(&instances[0], what, client, 2).await;
        assert!(answer.taken && answer.remaining == 1, "{answer:?}");
    }
    for left in (0..1_000_u32).rev() {
        let answer = take(&instances[0], "accounts", "192.0.2.3", 1_000).await;
        // Some may have come back meanwhile.
        assert!(answer.taken && answer.remaining >= left, "{answer:?} where {left} are left at least");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_used_comes_back_evenly() {
    let (_server, instances) = start(1).await;
    let fast = 6_000;
    let refused = loop {
        // One comes back in ten milliseconds, so this takes them faster than they come.
        let mut asked = JoinSet::new();
        for _ in 0..2_000 {
            let instance = Arc::clone(&instances[0]);
            asked.spawn(async move { take(&instance, "accounts", "everybody", fast).await });
        }
        let answers = asked.join_all().await;
        if let Some(refused) = answers.into_iter().find(|answer| !answer.taken) {
            break refused;
        }
    };
    assert!(refused.until <= Duration::from_millis(10), "{refused:?}");
    until("one has come back", async || take(&instances[0], "accounts", "everybody", fast).await.taken).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_counted_over_all_instances_and_forgotten() {
    let (_server, instances) = start(3).await;
    let rule = GuessingRule { free: 5, wait_seconds_max: 10 };
    let mut asked = JoinSet::new();
    for number in 0..300_usize {
        let instance = Arc::clone(&instances[number % 3]);
        asked.spawn(async move { instance.count_attempt("sign_in", "haneul", rule).await.expect("an answer") });
    }
    let counted = asked.join_all().await;
    // A second may have passed meanwhile, which lets one more be made.
    let made = counted.iter().filter(|counted| counted.is_ok()).count();
    assert!((5..=6).contains(&made), "{made}");
    assert!(counted.iter().all(|counted| counted.is_ok() || matches!(counted, Err(1..=2))), "{counted:?}");
    for (what, who) in [("confirm", "haneul"), ("sign_in", "another")] {
        assert_eq!(instances[0].count_attempt(what, who, rule).await, Some(Ok(())));
    }
    until("the wait is over", async || instances[1].count_attempt("sign_in", "haneul", rule).await == Some(Ok(())))
        .await;
    assert!(matches!(instances[2].count_attempt("sign_in", "haneul", rule).await, Some(Err(1..=10))));
    instances[2].forget_attempts("sign_in", "haneul").await;
    for number in 0..5 {
        assert_eq!(instances[number % 3].count_attempt("sign_in", "haneul", rule).await, Some(Ok(())));
    }
    assert!(matches!(instances[2].count_attempt("sign_in", "haneul", rule).await, Some(Err(1))));
    let off = GuessingRule { wait_seconds_max: 0, ..rule };
    assert_eq!(instances[2].count_attempt("sign_in", "haneul", off).await, Some(Ok(())));
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_all_was_received_is_known() {
    let (server, mut instances) = start(3).await;
    let all_received = async |instances: &[Arc<RedisPeers>], expected: bool| {
        until("they all know", async || instances.iter().all(|one| one.all_received() == expected)).await;
    };
    all_received(&instances, true).await;
    server.pause().await.expect("it is paused");
    all_received(&instances, false).await;
    server.resume().await.expect("it goes on");
    all_received(&instances, true).await;
    // A peer that has left is not waited for; one that ends without leaving is.
    let leaving = instances.pop().expect("there are three");
    leaving.leave().await;
    drop(leaving);
    all_received(&instances, true).await;
    drop(instances.pop());
    all_received(&instances, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_only_publishes_is_not_waited_for() {
    let (server, instances) = start(1).await;
    let instance = &instances[0];
    let mut subscription = instance.subscribe();
    let importing = RedisPeers::publish_only(connect(&server).await, Arc::new(TestClock::new()));
    until("it has received all", async || instance.all_received()).await;
    importing.publish(Topic::Catalog, "imported".to_owned());
    importing.leave().await;
    drop(importing);
    assert_eq!(published(&mut subscription).await, (Topic::Catalog, "imported".to_owned()));
    until("it has received all", async || instance.all_received()).await;
}
