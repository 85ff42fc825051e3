//! Polling and watching: positions, estimates, changes.

use std::time::Duration;

use boxoffice_domain::waiting_room::{QueuePlace, Standing};
use tokio::task::JoinSet;

use super::{Rules, Stage, scene::Scene};
use crate::crowd::at_once;

/// Accounts far from the front ask less often, within the bounds.
pub async fn polls_are_further_apart_at_a_distance(stage: impl AsyncFn(Rules) -> Stage) {
    let terms = Rules { poll_seconds_max: 15, ..Rules::default() };
    let scene = Scene::under(stage, terms, 1).await;
    let places = scene.join_many(3_001).await;
    let mut polls = Vec::new();
    for place in places.iter().skip(1).step_by(100) {
        match scene.standing(place).await {
            Standing::Waiting { poll_after_seconds, .. } => polls.push(poll_after_seconds),
            other => panic!("{other:?} instead of waiting"),
        }
    }
    assert!(polls.is_sorted(), "{polls:?}");
    assert!(polls[0] >= 1 && polls[0] < polls[29] && polls[29] <= 15, "{polls:?}");
}

/// There is no estimate before there is a measure; then it is the position at the measured rate.
pub async fn the_estimate_follows_the_measured_rate(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::new(stage, 10).await;
    let places = scene.join_many(500).await;
    let estimate = async |place: &QueuePlace| match scene.standing(place).await {
        Standing::Waiting { position, estimated_wait_seconds, .. } => (position, estimated_wait_seconds),
        other => panic!("{other:?} instead of waiting"),
    };
    assert_eq!(estimate(&places[499]).await, (Some(490), None));
    // Two a second are served.
    for ended in (0..200).step_by(2) {
        scene.pass_seconds(1);
        for index in ended..ended + 2 {
            scene.spend(&places[index]).await;
            assert!(scene.is_active(&places[index + 10]).await);
        }
    }
    let (position, estimated) = estimate(&places[499]).await;
    assert_eq!(position, Some(290));
    let estimated = estimated.expect("there is a measure");
    assert!((100..=200).contains(&estimated), "{estimated} s for 290 people at 2 a second");
    assert_eq!(estimate(&places[210]).await, (Some(1), Some(1)), "half a second, rounded up");
    let (position, sooner) = estimate(&places[220]).await;
    assert_eq!(position, Some(11));
    assert!((1..=10).contains(&sooner.expect("there is a measure")), "{sooner:?} s for 11 people");
}

/// Every watcher of a queue learns of being admitted, whatever the timing, and is not woken for ever for nothing.
pub async fn watchers_are_woken(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::new(stage, 10).await;
    let places = scene.join_many(210).await;
    let mut watchers = JoinSet::new();
    for &place in &places[10..] {
        let scene = scene.clone();
        watchers.spawn(async move {
            let mut seen = scene.version().await;
            while !scene.is_active(&place).await {
                seen = scene.stage.waiting_room.changed(scene.concert_id, seen).await.expect("answers");
            }
            scene.spend(&place).await;
        });
    }
    at_once(places[..10].to_vec(), |place| {
        let scene = scene.clone();
        async move { scene.leave(&place).await }
    })
    .await;
    let woken = tokio::time::timeout(Duration::from_secs(60), watchers.join_all()).await;
    assert_eq!(woken.expect("a watcher was not woken").len(), 200);
    assert_eq!(scene.census().await, (0, 0, 210));

    // A version is the same for all who ask while nothing happens.
    let version = scene.version().await;
    assert_ne!(version, 0);
    assert!(scene.is_expired(&places[0]).await);
    assert_eq!(scene.version().await, version, "a status changes nothing");
}
