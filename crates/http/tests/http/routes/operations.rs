//! What operators ask.

use axum::http::StatusCode;
use boxoffice_domain::StorageError;
use boxoffice_http::Code;

use crate::world::{World, get};

#[tokio::test]
async fn readiness_follows_the_storage_and_the_draining() {
    let ready = || {
        World::with(|world| {
            world.readiness.expect_ready().returning(|| Ok(()));
        })
    };
    ready().answer(get("/readyz")).await.succeeds(StatusCode::OK);
    let world = World::with(|world| {
        world.readiness.expect_ready().returning(|| Err(StorageError::Busy));
    });
    world.answer(get("/readyz")).await.refuses(Code::Unavailable);
    let world = ready();
    world.draining.begin();
    world.answer(get("/readyz")).await.refuses(Code::Unavailable);
}

#[tokio::test]
async fn metrics_are_not_found_where_they_are_served_elsewhere() {
    World::new().answer(get("/metrics")).await.refuses(Code::NotFound);
}
