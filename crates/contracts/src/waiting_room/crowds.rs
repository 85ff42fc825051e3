//! Crowds: order and limit hold whatever many accounts do.

use std::collections::BTreeMap;

use boxoffice_domain::{
    AccountId,
    fixtures::instant,
    waiting_room::{PlaceNumber, QueuePlace, Standing},
};

use super::{
    Rules, Stage,
    scene::{Scene, account},
};
use crate::crowd::{Dice, at_once};

/// All who join are served, each exactly once, in the order of joining, however the others end.
pub async fn none_is_dropped(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::new(stage, 7).await;
    let places = scene.join_many(200).await;
    for (index, place) in places.iter().enumerate() {
        assert!(scene.is_active(place).await, "number {index}");
        for ahead in places.iter().skip(index).take(7) {
            assert!(scene.is_active(ahead).await);
        }
        if let Some(next) = places.get(index + 7) {
            assert_eq!(scene.position(next).await, 1);
        }
        match index % 3 {
            0 => scene.leave(place).await,
            1 => scene.spend(place).await,
            _ => {
                // This one alone goes over its time: the others hold seats for longer.
                let end = instant(i64::try_from(index).expect("small") * 1_000 + 1_000);
                for other in places.iter().skip(index + 1).take(6) {
                    scene.keep_until(other, Some(end + chrono::TimeDelta::days(1))).await;
                }
                scene.keep_until(place, Some(end)).await;
                scene.stage.clock.set(end);
            }
        }
        assert!(scene.is_expired(place).await);
    }
    assert_eq!(scene.census().await, (0, 0, 200));
}

/// When many leave and pay at once, exactly as many are admitted, and they are the next in order.
pub async fn concurrent_departures_drop_none(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::new(stage, 100).await;
    let places = scene.join_many(400).await;
    for round in 1..=3 {
        let ending = places[(round - 1) * 100..round * 100].to_vec();
        at_once(ending.into_iter().enumerate(), |(index, place)| {
            let scene = scene.clone();
            async move {
                if index % 2 == 0 {
                    scene.leave(&place).await;
                } else {
                    scene.spend(&place).await;
                }
                assert_eq!(scene.census().await.1, 100);
            }
        })
        .await;
        scene.assert_order(&places, round * 100, 100).await;
    }
    assert_eq!(scene.census().await, (0, 100, 400));
}

/// Whatever many do at once, for long: never more admitted than may be, never fewer than could be, and never an account
/// before one with an earlier place.
pub async fn a_stampede_keeps_order_and_limit(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::new(stage, 20).await;
    let accounts: Vec<AccountId> = (0..150).map(|_| account()).collect();
    let mut places: BTreeMap<PlaceNumber, QueuePlace> = BTreeMap::new();
    let mut dice = Dice::new(1);
    for round in 0..40 {
        let acts = (0..60).map(|_| {
            let (act, account_id) = (dice.below(8), accounts[dice.below(accounts.len())]);
            let known: Vec<QueuePlace> = places.values().copied().collect();
            let place = known.get(dice.below(known.len().max(1))).copied();
            let seconds = i64::try_from(dice.below(20)).expect("small");
            stampede_act(scene.clone(), act, account_id, place, seconds)
        });
        let acts: Vec<_> = acts.collect();
        places.extend(at_once(acts, |act| act).await.into_iter().flatten().map(|place| (place.number, place)));
        assert_in_order(&scene, &places, round).await;
    }
}

/// One of the things that accounts do.
async fn stampede_act(
    scene: Scene,
    act: usize,
    account_id: AccountId,
    place: Option<QueuePlace>,
    seconds: i64,
) -> Option<QueuePlace> {
    let mut joined = None;
    match (act, place) {
        (4, Some(place)) => scene.leave(&place).await,
        (5, Some(place)) => scene.spend(&place).await,
        (6, Some(place)) => {
            let held_until = (seconds > 5).then(|| instant(seconds * 100));
            scene.keep_until(&place, held_until).await;
        }
        (7, _) => {
            scene.pass_seconds(seconds);
            scene.advance().await;
        }
        _ => joined = Some(scene.join(account_id).await.status.place),
    }
    if let Some(place) = place {
        scene.standing(&place).await;
    }
    let queues = scene.stage.waiting_room.census(usize::MAX).await.expect("counts");
    assert!(queues.iter().all(|queue| queue.active <= 20), "{queues:?}");
    joined
}

/// Asserts what holds of all places ever given while no request is under way.
async fn assert_in_order(scene: &Scene, places: &BTreeMap<PlaceNumber, QueuePlace>, round: usize) {
    let (mut active, mut waiting) = (Vec::new(), Vec::new());
    for (number, place) in places {
        match scene.standing(place).await {
            Standing::Active { .. } => active.push(*number),
            Standing::Waiting { position, .. } => {
                waiting.push(*number);
                assert_eq!(position, Some(waiting.len() as u64), "round {round}");
            }
            Standing::Expired => {}
        }
    }
    assert!(active.last() < waiting.first() || waiting.is_empty(), "round {round}: {active:?} before {waiting:?}");
    assert!(active.len() == 20 || waiting.is_empty(), "round {round}: {} admitted while others wait", active.len());
    let (waiting_count, active_count, _) = scene.census().await;
    assert_eq!((waiting_count, active_count), (waiting.len() as u64, active.len() as u64), "round {round}");
}
