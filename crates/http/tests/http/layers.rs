//! What every request goes through, and what every response has.

use std::sync::Arc;

use axum::http::{Method, StatusCode, Version};
use boxoffice_domain::{StorageError, audit::MockReadiness, fixtures::TestEntropy, wallet::MockWallets};
use boxoffice_http::{Code, Draining, ReadinessCheck};
use serde_json::json;
use uuid::Uuid;

use crate::world::{NOTHING, World, ask_charge, delete, get, mock, post};

#[tokio::test]
async fn an_unknown_route_is_a_problem() {
    let router = World::new().await.router();
    for path in ["/v1/nothing", "/", "/docs/none"] {
        get(path).send(&router).await.refuses(Code::NotFound);
    }
}

#[tokio::test]
async fn a_wrong_method_is_refused_with_the_right_ones() {
    let router = World::new().await.router();
    for (ask, allowed) in [
        (delete("/v1/concerts"), "GET,HEAD,POST"),
        (get("/v1/accounts"), "POST"),
        (post("/healthz", json!({})), "GET,HEAD"),
    ] {
        let answer = ask.send(&router).await;
        answer.refuses(Code::MethodNotAllowed);
        assert_eq!(answer.header("allow"), Some(allowed));
    }
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let world = World::new().await;
    let router = world.router();
    let whole = get(world.concert_path()).send(&router).await;
    let head = get(world.concert_path()).method(Method::HEAD).send(&router).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(head.header("etag"), whole.header("etag"));
    let missing = get("/v1/nothing").method(Method::HEAD).send(&router).await;
    assert_eq!((missing.status, missing.body.len()), (StatusCode::NOT_FOUND, 0));
}

#[tokio::test]
async fn an_accept_field_without_json_is_refused() {
    let world = World::new().await;
    let router = world.router();
    let ask = |accept: &str| get("/v1/me").signed_in("customer").header("accept", accept);
    for accept in ["text/html", "application/xml;q=0.9, text/*", "application/*;q=0, */*", "text/event-stream"] {
        ask(accept).send(&router).await.refuses(Code::NotAcceptable);
    }
    for accept in ["*/*", "application/*", "text/html, application/json;q=0.1", "application/problem+json"] {
        ask(accept).send(&router).await.succeeds(StatusCode::OK);
    }
    let events = get("/v1/queue/events").queued(&world.token().await).header("accept", "application/json");
    events.send(&router).await.refuses(Code::NotAcceptable);
}

#[tokio::test]
async fn a_request_keeps_its_id() {
    let router = World::new().await.router();
    let ask = |path: &str, id: &str| get(path).header("x-request-id", id);
    assert_eq!(ask("/healthz", "abc-123").send(&router).await.header("x-request-id"), Some("abc-123"));
    for bad in ["", "a b", &"x".repeat(129), "é"] {
        let made = ask("/healthz", bad).send(&router).await;
        assert!(Uuid::parse_str(made.header("x-request-id").unwrap()).is_ok(), "{bad}");
    }
    let problem = ask("/v1/nothing", "abc-123").send(&router).await;
    assert_eq!(problem.refuses(Code::NotFound)["request_id"], "abc-123");
}

#[tokio::test]
async fn every_response_has_the_security_fields() {
    let router = World::new().await.router();
    for path in ["/healthz", "/v1/nothing", "/v1/me", "/docs/", "/openapi.json"] {
        let answer = get(path).send(&router).await;
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("http"), "{path}");
        assert_eq!(answer.header("strict-transport-security"), None);
    }
    assert_eq!(get("/v1/me").send(&router).await.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn cross_origin_calls_are_off_unless_configured() {
    let mut world = World::new().await;
    let ask = |origin: &str| get("/healthz").header("origin", origin);
    let allowed = "access-control-allow-origin";
    assert_eq!(world.answer(ask("https://tickets.example")).await.header(allowed), None);

    world.settings.cors_origins = vec!["https://tickets.example".to_owned()];
    let router = world.router();
    assert_eq!(ask("https://evil.example").send(&router).await.header(allowed), None);
    let answer = ask("https://tickets.example").send(&router).await;
    assert_eq!(answer.header(allowed), Some("https://tickets.example"));
    let exposed = answer.header("access-control-expose-headers").unwrap().to_ascii_lowercase();
    for name in ["etag", "location", "idempotency-replayed", "ratelimit", "retry-after", "x-request-id"] {
        assert!(exposed.contains(name), "{name} in {exposed}");
    }
    let preflight = get("/v1/reservations")
        .method(Method::OPTIONS)
        .header("origin", "https://tickets.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "queue-token, idempotency-key");
    let answer = preflight.send(&router).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.header("access-control-allow-headers").unwrap().contains("queue-token"));
}

#[tokio::test]
async fn a_failure_does_not_reveal_its_cause() {
    let mut world = World::new().await;
    world.stage.storage.wallets = mock(|wallets: &mut MockWallets| {
        wallets.expect_find().returning(|_| Err(StorageError::failed("secret: table wallets is gone")));
    });
    let answer = world.answer(get("/v1/wallet").signed_in("customer")).await;
    answer.refuses(Code::Internal);
    assert!(!String::from_utf8_lossy(&answer.body).contains("secret"));
}

#[tokio::test]
async fn a_panic_is_a_failure_like_any_other() {
    // A mock of which nothing is expected panics, once in the handler and once in an act of its own task.
    let mut world = World::new().await;
    world.stage.storage.wallets = Arc::new(MockWallets::new());
    world.answer(get("/v1/wallet").signed_in("customer")).await.refuses(Code::Internal);
    let answer = world.answer(ask_charge(5, "k")).await;
    answer.refuses(Code::Internal);
    assert!(!String::from_utf8_lossy(&answer.body).contains("expect"));
}

#[tokio::test]
async fn requests_beyond_the_bound_are_refused_at_once() {
    let mut world = World::new().await;
    let gateway = world.slow_gateway();
    world.settings.concurrent_requests_max = 1;
    let router = world.router();
    let busy = router.clone();
    let first = tokio::spawn(async move { ask_charge(5, "k").send(&busy).await });
    gateway.asked.notified().await;
    let answer = get("/v1/concerts").send(&router).await;
    answer.refuses(Code::Unavailable);
    assert_eq!(answer.header("retry-after"), Some("1"));
    // Operators get through.
    get("/healthz").send(&router).await.succeeds(StatusCode::OK);
    first.abort();
}

#[tokio::test]
async fn a_request_names_one_host_unless_it_is_older() {
    let router = World::new().await.router();
    let (one, none) = (|| get("/v1/concerts"), || get("/v1/concerts").without("host"));
    let two = || one().header("host", "localhost");
    for ask in [none(), two(), two().version(Version::HTTP_10)] {
        ask.send(&router).await.refuses(Code::MalformedRequest);
    }
    for ask in
        [one(), one().version(Version::HTTP_10), none().version(Version::HTTP_10), none().version(Version::HTTP_2)]
    {
        ask.send(&router).await.succeeds(StatusCode::OK);
    }
    // The routes of operators are no exception.
    get("/healthz").without("host").send(&router).await.refuses(Code::MalformedRequest);
}

#[tokio::test]
async fn what_was_served_and_refused_is_counted_by_route() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let readiness = Arc::new(ReadinessCheck::new(Arc::new(MockReadiness::new())));
    let entropy = Arc::new(TestEntropy);
    let operations = boxoffice_http::operations_router(readiness, entropy, Some(recorder.handle()), Draining::new());
    let router = World::new().await.router();
    let _local = metrics::set_default_local_recorder(&recorder);
    get(format!("/v1/payments/{NOTHING}")).send(&router).await.refuses(Code::Unauthenticated);
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
    get("/metrics").send(&router).await.refuses(Code::NotFound);
}
