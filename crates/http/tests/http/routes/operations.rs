//! What operators ask.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::http::StatusCode;
use boxoffice_domain::{
    StorageError,
    audit::{MockReadiness, Readiness},
};
use boxoffice_http::Code;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::{
    task::{JoinSet, yield_now},
    time::{advance, sleep},
};

use crate::world::{World, from, get, mock};

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

/// A storage that answers after a tenth of a second.
#[derive(Default)]
struct SlowStorage {
    asked: AtomicUsize,
    is_away: AtomicBool,
}

#[async_trait]
impl Readiness for SlowStorage {
    async fn ready(&self) -> Result<(), StorageError> {
        self.asked.fetch_add(1, SeqCst);
        sleep(Duration::from_millis(100)).await;
        if self.is_away.load(SeqCst) { Err(StorageError::Busy) } else { Ok(()) }
    }
}

#[tokio::test(start_paused = true)]
async fn the_storage_is_asked_once_a_second_however_many_ask_whether_it_is_ready() {
    let (mut world, storage) = (World::new().await, Arc::new(SlowStorage::default()));
    world.stage.storage.readiness = storage.clone();
    let router = world.router();
    // One that leaves at once, and whose question goes on.
    let left = tokio::spawn({
        let router = router.clone();
        async move { get("/readyz").send(&router).await }
    });
    while storage.asked.load(SeqCst) == 0 {
        yield_now().await;
    }
    left.abort();
    let mut crowd = JoinSet::new();
    for _ in 0..500 {
        let router = router.clone();
        crowd.spawn(async move { get("/readyz").send(&router).await });
    }
    for answer in crowd.join_all().await {
        answer.succeeds(StatusCode::OK);
    }
    assert_eq!(storage.asked.load(SeqCst), 1);

    storage.is_away.store(true, SeqCst);
    get("/readyz").send(&router).await.succeeds(StatusCode::OK);
    advance(Duration::from_secs(1)).await;
    for _ in 0..3 {
        get("/readyz").send(&router).await.refuses(Code::Unavailable);
    }
    assert_eq!(storage.asked.load(SeqCst), 2, "a failure is kept, too");
    storage.is_away.store(false, SeqCst);
    advance(Duration::from_secs(1)).await;
    get("/readyz").send(&router).await.succeeds(StatusCode::OK);
}

#[tokio::test]
async fn metrics_are_for_this_machine_unless_they_have_a_port_of_their_own() {
    let mut world = World::new().await;
    world.metrics = Some(PrometheusBuilder::new().build_recorder().handle());
    // With and without trust in a proxy: what is passed on is not from here.
    for trusts in [false, true] {
        world.settings.trust_forwarded_for = trusts;
        let router = world.router();
        for here in ["127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(from(&router, here, get("/metrics")).await.status, StatusCode::OK, "{here}");
            for (name, value) in [
                ("x-forwarded-for", "192.0.2.1"),
                ("x-forwarded-for", "127.0.0.1"),
                ("x-real-ip", "127.0.0.1"),
                ("forwarded", "for=127.0.0.1"),
                ("via", "1.1 proxy"),
            ] {
                from(&router, here, get("/metrics").header(name, value)).await.refuses(Code::NotFound);
            }
        }
        for elsewhere in ["192.0.2.1:1", "10.0.0.1:1", "[2001:db8::1]:1", "[::ffff:192.0.2.1]:1", "0.0.0.0:1"] {
            from(&router, elsewhere, get("/metrics")).await.refuses(Code::NotFound);
        }
    }
}

#[tokio::test]
async fn the_document_and_its_page_can_be_turned_off() {
    let mut world = World::new().await;
    world.settings.docs = false;
    let router = world.router();
    for path in ["/docs", "/docs/", "/docs/swagger-ui.css", "/openapi.json"] {
        get(path).send(&router).await.refuses(Code::NotFound);
    }
    get("/v1/concerts").send(&router).await.succeeds(StatusCode::OK);
    get("/healthz").send(&router).await.succeeds(StatusCode::OK);
}
