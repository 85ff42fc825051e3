//! What operators ask.

use axum::http::StatusCode;
use boxoffice_domain::{StorageError, audit::MockReadiness};
use boxoffice_http::Code;

use crate::world::{World, get, mock};

#[tokio::test]
async fn readiness_follows_the_storage_and_the_draining() {
    let world = World::new().await;
    world.answer(get("/readyz")).await.succeeds(StatusCode::OK);
    world.draining.begin();
    world.answer(get("/readyz")).await.refuses(Code::Unavailable);

    let mut world = World::new().await;
    world.stage.storage.readiness = mock(|readiness: &mut MockReadiness| {
        readiness.expect_ready().returning(|| Err(StorageError::Busy));
    });
    world.answer(get("/readyz")).await.refuses(Code::Unavailable);
}
