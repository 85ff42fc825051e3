//! What every request goes through, and what every response has.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use boxoffice_domain::{StorageError, accounts::Role};
use boxoffice_http::{Code, Draining};
use serde_json::json;
use uuid::Uuid;

use crate::world::{
    CONCERT, SlowGateway, World, account, charge_points, concert, delete, entropy, get, post, slow_world,
};

#[tokio::test]
async fn an_unknown_route_is_a_problem() {
    World::new().answer(get("/v1/nothing")).await.refuses(Code::NotFound);
    World::new().answer(get("/")).await.refuses(Code::NotFound);
}

#[tokio::test]
async fn a_wrong_method_is_refused_with_the_right_ones() {
    let answer = World::new().answer(delete("/v1/concerts")).await;
    answer.refuses(Code::MethodNotAllowed);
    let allowed: Vec<_> = answer.header("allow").unwrap().split(',').collect();
    assert_eq!(allowed, ["GET", "HEAD", "POST"]);
    let answer = World::new().answer(get("/v1/accounts")).await;
    answer.refuses(Code::MethodNotAllowed);
    assert_eq!(answer.header("allow"), Some("POST"));
    World::new().answer(post("/healthz", json!({}))).await.refuses(Code::MethodNotAllowed);
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let world = World::with(|world| {
        world.catalog.expect_concert().returning(|_| Ok(Some(concert(1))));
    });
    let router = world.router();
    let path = format!("/v1/concerts/{CONCERT}");
    let whole = get(&path).send(&router).await;
    let head = get(&path).method(Method::HEAD).send(&router).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(head.header("etag"), whole.header("etag"));
    let missing = get("/v1/nothing").method(Method::HEAD).send(&router).await;
    assert_eq!((missing.status, missing.body.len()), (StatusCode::NOT_FOUND, 0));
}

#[tokio::test]
async fn an_accept_field_without_json_is_refused() {
    let ask = |accept: &str| get("/v1/me").signed_in("customer").header("accept", accept);
    for accept in ["text/html", "application/xml;q=0.9, text/*", "application/*;q=0, */*", "text/event-stream"] {
        World::new().answer(ask(accept)).await.refuses(Code::NotAcceptable);
    }
    for accept in ["*/*", "application/*", "text/html, application/json;q=0.1", "application/problem+json"] {
        let world = World::with(|world| {
            world.accounts.expect_find().returning(|_| Ok(Some(account(Role::Customer))));
        });
        world.answer(ask(accept)).await.succeeds(StatusCode::OK);
    }
    let events = get("/v1/queue/events").queued("queue").header("accept", "application/json");
    World::new().answer(events).await.refuses(Code::NotAcceptable);
}

#[tokio::test]
async fn a_request_keeps_its_id() {
    let chosen = World::new().answer(get("/healthz").header("x-request-id", "abc-123")).await;
    assert_eq!(chosen.header("x-request-id"), Some("abc-123"));
    for bad in ["", "a b", &"x".repeat(129), "é"] {
        let made = World::new().answer(get("/healthz").header("x-request-id", bad)).await;
        assert!(Uuid::parse_str(made.header("x-request-id").unwrap()).is_ok(), "{bad}");
    }
    let problem = World::new().answer(get("/v1/nothing").header("x-request-id", "abc-123")).await;
    assert_eq!(problem.refuses(Code::NotFound)["request_id"], "abc-123");
}

#[tokio::test]
async fn every_response_has_the_security_fields() {
    for path in ["/healthz", "/v1/nothing", "/v1/me", "/docs/", "/openapi.json"] {
        let answer = World::new().answer(get(path)).await;
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
        assert!(answer.header("content-security-policy").unwrap().contains("default-src 'none'"), "{path}");
        assert_eq!(answer.header("strict-transport-security"), None);
    }
    assert_eq!(World::new().answer(get("/v1/me")).await.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn cross_origin_calls_are_off_unless_configured() {
    let ask = || get("/healthz").header("origin", "https://tickets.example");
    assert_eq!(World::new().answer(ask()).await.header("access-control-allow-origin"), None);

    let world = || World::with(|world| world.settings.cors_origins = vec!["https://tickets.example".to_owned()]);
    let answer = world().answer(ask()).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://tickets.example"));
    let exposed = answer.header("access-control-expose-headers").unwrap().to_ascii_lowercase();
    for name in ["etag", "location", "idempotency-replayed", "ratelimit", "retry-after", "x-request-id"] {
        assert!(exposed.contains(name), "{name} in {exposed}");
    }
    let other = world().answer(get("/healthz").header("origin", "https://evil.example")).await;
    assert_eq!(other.header("access-control-allow-origin"), None);
    let asked_before = get("/v1/reservations")
        .method(Method::OPTIONS)
        .header("origin", "https://tickets.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "queue-token, idempotency-key");
    let answer = world().answer(asked_before).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.header("access-control-allow-headers").unwrap().contains("queue-token"));
}

#[tokio::test]
async fn a_failure_does_not_reveal_its_cause() {
    let world = World::with(|world| {
        world.wallets.expect_find().returning(|_| Err(StorageError::failed("secret: table wallets is gone")));
    });
    let answer = world.answer(get("/v1/wallet").signed_in("customer")).await;
    answer.refuses(Code::Internal);
    assert!(!String::from_utf8_lossy(&answer.body).contains("secret"));
}

#[tokio::test]
async fn a_panic_is_a_failure_like_any_other() {
    // A mock of which nothing is expected panics, once in the handler and once in an act of its own task.
    World::new().answer(get("/v1/wallet").signed_in("customer")).await.refuses(Code::Internal);
    let answer = World::new().answer(charge_points(5)).await;
    answer.refuses(Code::Internal);
    assert!(!String::from_utf8_lossy(&answer.body).contains("expect"));
}

#[tokio::test]
async fn requests_beyond_the_bound_are_refused_at_once() {
    let gateway = SlowGateway::new();
    let mut world = slow_world(&gateway);
    world.settings.concurrent_requests_max = 1;
    let router = world.router();
    let busy = router.clone();
    let first = tokio::spawn(async move { charge_points(5).send(&busy).await });
    gateway.asked.notified().await;
    let answer = get("/v1/concerts").send(&router).await;
    answer.refuses(Code::Unavailable);
    assert_eq!(answer.header("retry-after"), Some("1"));
    // Operators get through.
    assert_eq!(get("/healthz").send(&router).await.status, StatusCode::OK);
    first.abort();
}

#[tokio::test]
async fn what_was_served_and_refused_is_counted_by_route() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let readiness = boxoffice_domain::audit::MockReadiness::new();
    let operations = boxoffice_http::operations_router(Arc::new(readiness), entropy(), Some(handle), Draining::new());
    let _local = metrics::set_default_local_recorder(&recorder);
    let router = World::new().router();
    get(format!("/v1/payments/{}", Uuid::nil())).send(&router).await.refuses(Code::Unauthenticated);
    get("/made/up").method(Method::from_bytes(b"BREW").unwrap()).send(&router).await.refuses(Code::NotFound);
    let text = String::from_utf8(get("/metrics").send(&operations).await.body).unwrap();
    for line in [
        r#"http_requests_total{method="GET",route="/v1/payments/{id}",status="401"} 1"#,
        r#"http_requests_total{method="other",route="unmatched",status="404"} 1"#,
        r#"boxoffice_refusals_total{code="unauthenticated"} 1"#,
        r#"http_request_duration_seconds_count{method="GET",route="/v1/payments/{id}"} 1"#,
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    get("/docs").send(&operations).await.refuses(Code::NotFound);
}
