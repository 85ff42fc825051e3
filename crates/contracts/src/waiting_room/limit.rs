//! The limit of admissions, when it changes.

use boxoffice_domain::waiting_room::QueueTerms;

use super::{Rules, Stage, scene::Scene};

/// If fewer may be admitted than are, none is sent back and none is admitted until there is room.
pub async fn a_negative_number_of_free_admissions_admits_none(stage: impl AsyncFn(Rules) -> Stage) {
    let mut scene = Scene::new(stage, 5).await;
    let places = scene.join_many(12).await;
    scene.set_max_active(2).await;
    scene.assert_order(&places, 0, 5).await;
    for ended in 1..=3 {
        scene.leave(&places[ended - 1]).await;
        scene.advance().await;
        scene.join(places[11].account_id).await;
        scene.assert_order(&places, ended, 5 - ended).await;
    }
    scene.leave(&places[3]).await;
    scene.assert_order(&places, 4, 2).await;

    scene.set_max_active(0).await;
    scene.leave(&places[4]).await;
    scene.leave(&places[5]).await;
    scene.assert_order(&places, 6, 0).await;
}

/// If more may be admitted, they are at once, in order, and not one too many. Joining sets the limit too.
pub async fn raising_the_limit_admits_at_once(stage: impl AsyncFn(Rules) -> Stage) {
    let mut scene = Scene::new(stage, 1).await;
    let mut places = scene.join_many(10).await;
    let seen = scene.version().await;
    scene.set_max_active(4).await;
    scene.assert_changed(seen).await;
    assert_eq!(scene.census().await, (6, 4, 4));
    scene.assert_order(&places, 0, 4).await;
    scene.terms = QueueTerms { version: scene.terms.version + 1, max_active: 6, ..scene.terms };
    places.extend(scene.join_many(1).await);
    scene.assert_order(&places, 0, 6).await;
    scene.set_max_active(u32::MAX).await;
    scene.assert_order(&places, 0, 11).await;
}
