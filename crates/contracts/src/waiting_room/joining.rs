//! Joining: each account has one place, in the order of joining.

use std::collections::BTreeSet;

use boxoffice_domain::{
    Network,
    fixtures::instant,
    waiting_room::{PlaceNumber, QueuePlace, Standing, WaitingRoomError},
};

use super::{
    Rules, Stage,
    scene::{Scene, account, is_active},
};
use crate::crowd::at_once;

/// Joining again returns the place that the account has, while it waits and while it is active; after its end it gets a
/// new place, the last one.
pub async fn a_place_is_given_once(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::new(stage, 1).await;
    let (first, second, third) = (account(), account(), account());
    let admitted = scene.join(first).await;
    assert!(admitted.newly && is_active(admitted.status.standing));
    assert_eq!(admitted.status.place.joined_at, instant(0));
    assert_eq!(admitted.status.place.account_id, first);
    assert_eq!(admitted.status.place.concert_id, scene.concert_id);
    let waiting = scene.join(second).await;
    assert!(waiting.newly && matches!(waiting.status.standing, Standing::Waiting { position: Some(1), .. }));

    scene.pass_seconds(10);
    for (account_id, before) in [(first, admitted), (second, waiting)] {
        let again = scene.join(account_id).await;
        assert!(!again.newly);
        assert_eq!(again.status.place, before.status.place);
        assert_eq!(is_active(again.status.standing), is_active(before.status.standing));
    }

    scene.join(third).await;
    scene.leave(&admitted.status.place).await;
    let again = scene.join(first).await;
    assert!(again.newly);
    assert!(again.status.place.number > waiting.status.place.number);
    assert!(matches!(again.status.standing, Standing::Waiting { position: Some(2), .. }));
    assert!(scene.is_expired(&admitted.status.place).await, "the former place stays over");
    scene.leave(&admitted.status.place).await;
    assert_eq!(scene.position(&again.status.place).await, 2, "and leaving with it does nothing");
}

/// Places rise in the order of joining, and none comes a second time, whatever happens in between.
pub async fn places_are_given_in_order_and_never_twice(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::new(stage, 2).await;
    let mut last = None;
    for round in 0..50 {
        for place in scene.join_many(3).await {
            assert!(Some(place.number) > last);
            last = Some(place.number);
            if round % 2 == 0 {
                scene.leave(&place).await;
            }
        }
    }
}

/// A thousand accounts join at once: a thousand places, exactly as many admissions as there may be, and they
/// are those of the lowest places.
pub async fn a_thousand_concurrent_joins(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::new(stage, 100).await;
    let joined = at_once(0..1_000, |_| {
        let scene = scene.clone();
        async move { scene.join(account()).await }
    })
    .await;
    assert!(joined.iter().all(|joined| joined.newly));
    let mut places: Vec<QueuePlace> = joined.iter().map(|joined| joined.status.place).collect();
    places.sort_by_key(|place| place.number);
    let numbers: BTreeSet<PlaceNumber> = places.iter().map(|place| place.number).collect();
    assert_eq!(numbers.len(), 1_000);
    assert_eq!(joined.iter().filter(|joined| is_active(joined.status.standing)).count(), 100);
    assert_eq!(scene.census().await, (900, 100, 100));
    scene.assert_order(&places, 0, 100).await;
}

/// However often an account joins at once, it has one place.
pub async fn one_account_joining_a_hundred_times_at_once(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::new(stage, 5).await;
    let account_id = account();
    let joined = at_once(0..100, |_| {
        let scene = scene.clone();
        async move { scene.join(account_id).await }
    })
    .await;
    assert_eq!(joined.iter().filter(|joined| joined.newly).count(), 1);
    assert!(joined.iter().all(|other| other.status == joined[0].status));
    assert_eq!(scene.census().await, (0, 1, 1));
}

/// A queue that is as long as it may get refuses, until there is room; those in it are not touched.
pub async fn a_full_queue_refuses(stage: impl AsyncFn(Rules) -> Stage) {
    let terms = Rules { capacity: 5, ..Rules::default() };
    let scene = Scene::under(stage, terms, 2).await;
    let mut places = scene.join_many(7).await;
    assert!(matches!(scene.try_join(account()).await, Err(WaitingRoomError::Full)));
    assert!(!scene.join(places[6].account_id).await.newly, "an account in the queue keeps its place");
    scene.assert_order(&places, 0, 2).await;
    scene.leave(&places[0]).await;
    places.extend(scene.join_many(1).await);
    assert!(matches!(scene.try_join(account()).await, Err(WaitingRoomError::Full)));
    scene.assert_order(&places, 1, 2).await;
    assert!(scene.another_concert().join(account()).await.newly, "another queue is not full");
}

/// What happens in one queue does nothing to another, nor to the same account there.
pub async fn queues_are_independent(stage: impl AsyncFn(Rules) -> Stage) {
    let mut one = Scene::new(stage, 1).await;
    let other = one.another_concert();
    let accounts = [account(), account(), account()];
    let (mut here, mut there) = (Vec::new(), Vec::new());
    for account_id in accounts {
        here.push(one.join(account_id).await.status.place);
        there.push(other.join(account_id).await.status.place);
    }
    one.spend(&here[0]).await;
    one.leave(&here[2]).await;
    one.set_max_active(3).await;
    one.assert_order(&here[..2], 1, 1).await;
    other.assert_order(&there, 0, 1).await;
}

/// Only so many accounts join from one network within an hour. An account that has a place gets it whatever others did, and
/// networks do not count for each other.
pub async fn a_network_joins_only_so_often(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::under(stage, Rules { joins_per_network_max: 2, ..Rules::default() }, 1).await;
    let network = |text: &str| Network::of(text.parse().expect("an address"));
    let crowded = network("192.0.2.1");
    let (first, second) = (account(), account());
    for account_id in [first, second, first] {
        scene.try_join_from(crowded, account_id).await.expect("joins");
    }
    let refused = scene.try_join_from(network("192.0.2.200"), account()).await;
    let Err(WaitingRoomError::NetworkFull { until }) = refused else { panic!("{refused:?}") };
    assert!(!scene.try_join_from(crowded, second).await.expect("has a place").newly);
    for other in ["192.0.3.1", "2001:db8::1"] {
        assert!(scene.try_join_from(network(other), account()).await.expect("joins").newly);
    }
    assert!(scene.try_join(account()).await.expect("joins").newly, "nothing is known of its network");
    assert!(scene.another_concert().try_join_from(crowded, account()).await.expect("joins").newly);

    let hour = until - instant(0);
    assert!(hour > chrono::TimeDelta::zero() && hour <= chrono::TimeDelta::hours(1), "{hour}");
    scene.stage.clock.set(until - chrono::TimeDelta::microseconds(1));
    assert!(scene.try_join_from(crowded, account()).await.is_err());
    scene.stage.clock.set(until);
    assert!(scene.try_join_from(crowded, account()).await.expect("joins").newly);
}

/// Hundreds that join at once from two networks: exactly as many of each as may.
pub async fn joins_of_one_network_at_once_are_counted_exactly(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::under(stage, Rules { joins_per_network_max: 70, ..Rules::default() }, 10).await;
    let networks = ["192.0.2.1", "2001:db8::1"].map(|text| Network::of(text.parse().expect("an address")));
    let joined = at_once(0..400, |number: usize| {
        let scene = scene.clone();
        async move { scene.try_join_from(networks[number % 2], account()).await.is_ok() }
    })
    .await;
    for parity in 0..2 {
        assert_eq!(joined.iter().skip(parity).step_by(2).filter(|joined| **joined).count(), 70);
    }
    assert_eq!(scene.census().await, (130, 10, 10));
}
