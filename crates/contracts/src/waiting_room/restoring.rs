//! Restoring a place.

use boxoffice_domain::waiting_room::RestoreRequest;

use super::{Rules, Stage, scene::Scene};

/// Restoring a place that is known returns where it stands, and one that has ended is expired.
pub async fn a_known_place_is_not_restored_elsewhere(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::new(stage, 2).await;
    let places = scene.join_many(5).await;
    scene.leave(&places[0]).await;
    scene.leave(&places[3]).await;
    for place in &places {
        let request = RestoreRequest { place: *place, terms: scene.terms, draw: None, held_until: None };
        let restored = scene.stage.waiting_room.restore(request).await.expect("answers");
        assert_eq!(restored.place, *place);
        assert_eq!(restored.standing, scene.standing(place).await);
    }
    scene.assert_order(&[places[0], places[1], places[2], places[4]], 1, 2).await;
    assert!(scene.is_expired(&places[3]).await);
}
