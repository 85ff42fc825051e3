//! Leaving and paying: what is freed goes to the next in order.

use super::{
    Rules, Stage,
    scene::{Scene, account},
};

/// Leaving frees an admission at once, for exactly the next one. Leaving twice frees nothing more.
pub async fn leaving_admits_the_next_in_order(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::new(stage, 3).await;
    let places = scene.join_many(10).await;
    for ended in 0..5 {
        scene.leave(&places[ended]).await;
        scene.leave(&places[ended]).await;
        assert_eq!(scene.census().await, (6 - ended as u64, 3, 4 + ended as u64));
        scene.assert_order(&places, ended + 1, 3).await;
    }
}

/// A place that is left while it waits is never admitted; those behind move up, those before stay.
pub async fn leaving_while_waiting_moves_up_those_behind(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::new(stage, 1).await;
    let mut places = scene.join_many(10).await;
    for index in [5, 8, 1] {
        let gone = places.remove(index);
        scene.leave(&gone).await;
        assert!(scene.is_expired(&gone).await);
        scene.assert_order(&places, 0, 1).await;
    }
    assert_eq!(scene.census().await, (6, 1, 1));
}

/// Spending frees an admission at once, for exactly the next one. Spending twice, or without a place, is no error
/// and does nothing.
pub async fn spending_admits_the_next_in_order(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::new(stage, 2).await;
    let places = scene.join_many(6).await;
    for ended in 0..4 {
        scene.spend(&places[ended]).await;
        scene.spend(&places[ended]).await;
        scene.assert_order(&places, ended + 1, 2).await;
    }
    scene.stage.waiting_room.spend(scene.concert_id, account()).await.expect("no error");
    scene.another_concert().spend(&places[4]).await;
    scene.assert_order(&places, 4, 2).await;

    let again = scene.join(places[0].account_id).await.status.place;
    assert_eq!(scene.position(&again).await, 1);
    scene.spend(&places[0]).await;
    assert_eq!(scene.position(&again).await, 1, "spending again spends no later place");
}
