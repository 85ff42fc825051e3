//! What instances share beside the queues: announcements and quotas.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use boxoffice_domain::fixtures::TestClock;
use boxoffice_domain::{
    announcements::{Heard, Topic},
    waiting_room::WaitingRoom,
};
use boxoffice_testkit::servers::RedisServer;
use boxoffice_waiting_room::{Announced, RedisQuotas, RedisSettings};
use tokio::{task::JoinSet, time::timeout};

use crate::support::{DEADLINE, Instance, at_once, exact, until};

async fn instances(server: &RedisServer, count: usize, settings: &RedisSettings) -> Vec<Instance> {
    let clock = Arc::new(TestClock::new());
    let mut instances = Vec::new();
    for _ in 0..count {
        instances.push(Instance::start(&server.url(), &clock, at_once(), settings.clone()).await);
    }
    instances
}

async fn next(announced: &mut Announced) -> Heard {
    timeout(DEADLINE, announced.next()).await.expect("something is heard")
}

/// What is said, after as much as was missed.
async fn said(announced: &mut Announced) -> (Topic, String) {
    loop {
        if let Heard::Said { topic, text } = next(announced).await {
            return (topic, text.to_string());
        }
    }
}

/// Repeats an announcement until it is heard: before a subscription stands, nothing is.
async fn until_heard(from: &Instance, announced: &mut Announced) {
    loop {
        from.waiting_room.announcements().announce(Topic::Sessions, "first".to_owned());
        if let Ok((_, text)) = timeout(Duration::from_millis(100), said(announced)).await {
            assert_eq!(text, "first");
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_other_instance_hears_announcements_in_their_order() {
    let server = RedisServer::start().await.expect("Redis starts");
    let instances = instances(&server, 3, &exact()).await;
    let mut heard: Vec<_> = instances.iter().map(|instance| instance.waiting_room.listen()).collect();
    until_heard(&instances[0], &mut heard[1]).await;
    until_heard(&instances[0], &mut heard[2]).await;
    until_heard(&instances[2], &mut heard[0]).await;
    let texts: Vec<_> = (0..200).map(|number| format!("{number} words with a space\nand a queue")).collect();
    for text in &texts {
        instances[0].waiting_room.announcements().announce(Topic::Catalog, text.clone());
    }
    instances[2].waiting_room.announcements().announce(Topic::Seats, "from another".to_owned());
    for announced in &mut heard[1..] {
        let mut catalog = Vec::new();
        while catalog.len() < texts.len() {
            match said(announced).await {
                (Topic::Catalog, text) => catalog.push(text),
                (_, text) => assert!(text == "first" || text == "from another", "{text}"),
            }
        }
        assert_eq!(catalog, texts);
    }
    // Nobody hears itself: the first that comes here is of another one.
    let (topic, text) = loop {
        let (topic, text) = said(&mut heard[0]).await;
        if text != "first" {
            break (topic, text);
        }
    };
    assert_eq!((topic, text.as_str()), (Topic::Seats, "from another"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_could_not_hear_is_told_so() {
    let server = RedisServer::start().await.expect("Redis starts");
    let instances = instances(&server, 2, &exact()).await;
    let mut heard = instances[1].waiting_room.listen();
    until_heard(&instances[0], &mut heard).await;
    server.kill().await.expect("it is killed");
    until("the loss is noticed", async || {
        let _ = instances[0].waiting_room.advance().await;
        !instances[0].waiting_room.is_connected()
    })
    .await;
    // With Redis away this neither waits nor fails.
    for _ in 0..10_000 {
        instances[0].waiting_room.announcements().announce(Topic::Catalog, "lost".to_owned());
    }
    server.start_again().await.expect("it starts");
    while next(&mut heard).await != Heard::Missed {}
    until_heard(&instances[0], &mut heard).await;
}

fn per_minute(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("more than none")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_one_for_all_instances() {
    let server = RedisServer::start().await.expect("Redis starts");
    let instances = instances(&server, 3, &exact()).await;
    let quotas: Vec<RedisQuotas> = instances.iter().map(|instance| instance.waiting_room.quotas()).collect();
    let mut asked = JoinSet::new();
    for number in 0..300_usize {
        let quotas = quotas[number % 3].clone();
        // Two a minute come back so slowly that none does within this test.
        asked.spawn(async move { quotas.take("accounts", "192.0.2.1", per_minute(2)).await.expect("an answer") });
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
    // Others, and other things, have quotas of their own.
    for (what, client) in [("accounts", "192.0.2.2"), ("else", "192.0.2.1")] {
        let answer = quotas[0].take(what, client, per_minute(2)).await.expect("an answer");
        assert!(answer.taken && answer.remaining == 1, "{answer:?}");
    }
    for left in (0..1_000_u32).rev() {
        let answer = quotas[0].take("accounts", "192.0.2.3", per_minute(1_000)).await.expect("an answer");
        // Some may have come back meanwhile.
        assert!(answer.taken && answer.remaining >= left, "{answer:?} where {left} are left at least");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_used_comes_back_evenly() {
    let server = RedisServer::start().await.expect("Redis starts");
    let instances = instances(&server, 1, &exact()).await;
    let quotas = instances[0].waiting_room.quotas();
    let fast = per_minute(6_000);
    let refused = loop {
        // One comes back in ten milliseconds, so this takes them faster than they come.
        let mut asked = JoinSet::new();
        for _ in 0..2_000 {
            let quotas = quotas.clone();
            asked.spawn(async move { quotas.take("accounts", "everybody", fast).await.expect("an answer") });
        }
        let answers = asked.join_all().await;
        if let Some(refused) = answers.into_iter().find(|answer| !answer.taken) {
            break refused;
        }
    };
    assert!(refused.until <= Duration::from_millis(10), "{refused:?}");
    until("one has come back", async || quotas.take("accounts", "everybody", fast).await.expect("an answer").taken)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_all_is_heard_is_known() {
    let server = RedisServer::start().await.expect("Redis starts");
    let mut instances = instances(&server, 3, &exact()).await;
    let hear_all = |instances: &[Instance]| {
        let announcements: Vec<_> = instances.iter().map(|instance| instance.waiting_room.announcements()).collect();
        async move |expected: bool| {
            until("they all know", async || announcements.iter().all(|one| one.hears_all() == expected)).await;
        }
    };
    hear_all(&instances)(true).await;
    server.pause().await.expect("it is paused");
    hear_all(&instances)(false).await;
    server.resume().await.expect("it goes on");
    hear_all(&instances)(true).await;
    // One that takes leave is not waited for; one that goes without a word is.
    let leaving = instances.pop().expect("there are three");
    leaving.waiting_room.announcements().leave().await;
    drop(leaving);
    hear_all(&instances)(true).await;
    drop(instances.pop());
    hear_all(&instances)(false).await;
}
