//! What goes wrong before or around a use case, and what every answer has.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::http::{Method, StatusCode};
use boxoffice_domain::{
    StorageError,
    payments::{GatewayError, GatewayRequest, PaymentGateway},
    wallet::{Charge, ChargeState, GatewayVerdict},
};
use boxoffice_http::{Code, Draining};
use serde_json::json;
use tokio::sync::{Notify, Semaphore};
use uuid::Uuid;

use crate::{
    idempotency::charge_of,
    world::{Ask, CONCERT, World, account, delete, entropy, get, points, post},
};

/// A gateway that answers when it is let.
pub(crate) struct SlowGateway {
    pub asked: Notify,
    pub let_go: Semaphore,
}

impl SlowGateway {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { asked: Notify::new(), let_go: Semaphore::new(0) })
    }
}

#[async_trait]
impl PaymentGateway for SlowGateway {
    async fn charge(&self, _request: GatewayRequest) -> Result<GatewayVerdict, GatewayError> {
        self.asked.notify_one();
        self.let_go.acquire().await.expect("never closed").forget();
        Ok(GatewayVerdict::Approved)
    }
}

pub(crate) fn slow_world(gateway: &Arc<SlowGateway>) -> World {
    World::with(|world| {
        world.other_gateway = Some(gateway.clone());
        world.wallets.expect_begin_charge().returning(|request| Ok(charge_of(&request, ChargeState::Pending)));
    })
}

fn charge_points(amount: i64) -> Ask {
    post("/v1/wallet/charges", json!({ "amount": amount })).signed_in("customer").key("k")
}

fn sign_up() -> serde_json::Value {
    json!({"login_id": "haneul", "password": "long enough", "name": "Haneul"})
}

#[tokio::test]
async fn an_unknown_route_is_a_problem() {
    World::new().answer(get("/v1/nothing")).await.refuses(Code::NotFound);
    World::new().answer(get("/")).await.refuses(Code::NotFound);
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
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
        world.catalog.expect_concert().returning(|_| Ok(Some(crate::world::concert(1))));
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
            world.accounts.expect_find().returning(|_| Ok(Some(account(boxoffice_domain::accounts::Role::Customer))));
        });
        world.answer(ask(accept)).await.succeeds(StatusCode::OK);
    }
    let events = get("/v1/queue/events").queued("queue").header("accept", "application/json");
    World::new().answer(events).await.refuses(Code::NotAcceptable);
}

#[tokio::test]
async fn a_body_that_is_not_json_is_refused() {
    let text = sign_up().to_string();
    let no_type = get("/v1/accounts").method(Method::POST);
    World::new().answer(no_type).await.refuses(Code::UnsupportedMediaType);
    let form = get("/v1/accounts").method(Method::POST).raw("text/plain", text);
    World::new().answer(form).await.refuses(Code::UnsupportedMediaType);
    for body in ["", "{", "{\"login_id\": }", "{} {}", "\u{1}", "[1", "{\"login_id\": 1} x"] {
        let ask = get("/v1/accounts").method(Method::POST).raw("application/json; charset=utf-8", body);
        World::new().answer(ask).await.refuses(Code::MalformedRequest);
    }
    let bytes = get("/v1/accounts").method(Method::POST).raw("application/json", vec![b'"', 0xff, b'"']);
    World::new().answer(bytes).await.refuses(Code::MalformedRequest);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let ask = post("/v1/accounts", json!({"login_id": "x".repeat(64 * 1024)}));
    World::new().answer(ask).await.refuses(Code::PayloadTooLarge);
}

#[tokio::test]
async fn a_body_of_the_wrong_shape_is_told_where() {
    let cases = [
        (json!({"password": "long enough", "name": "H"}), "/login_id", "missing_field"),
        (json!({"login_id": 1, "password": "long enough", "name": "H"}), "/login_id", "wrong_type"),
        (json!({"login_id": null, "password": "long enough", "name": "H"}), "/login_id", "wrong_type"),
        (json!({"login_id": "abc", "password": "long enough", "name": "H", "a/b~c": 1}), "/a~1b~0c", "unknown_field"),
        (json!(["abc", "long enough", "H"]), "", "wrong_type"),
        (json!("abc"), "", "wrong_type"),
    ];
    for (body, pointer, code) in cases {
        let answer = World::new().answer(post("/v1/accounts", body)).await;
        assert_eq!(answer.violations(), [(pointer.to_owned(), code.to_owned())]);
        assert!(!String::from_utf8_lossy(&answer.body).contains("long enough"));
    }
    let twice = get("/v1/accounts").method(Method::POST).raw("application/json", r#"{"name": "a", "name": "b"}"#);
    let answer = World::new().answer(twice).await;
    assert_eq!(answer.violations(), [("/name".to_owned(), "duplicate_field".to_owned())]);
}

#[tokio::test]
async fn every_broken_rule_is_told_at_once_with_its_place() {
    let body = json!({"login_id": "No", "password": "short", "name": " \t"});
    let answer = World::new().answer(post("/v1/accounts", body)).await;
    let expected = [("/login_id", "login_id"), ("/name", "text_empty"), ("/password", "password_length")];
    assert_eq!(answer.violations(), expected.map(|(pointer, code)| (pointer.to_owned(), code.to_owned())));
}

#[tokio::test]
async fn ids_and_queries_that_cannot_be_read_are_malformed() {
    for path in [
        "/v1/concerts/7",
        "/v1/concerts?limit=x",
        "/v1/concerts?bookable=maybe",
        "/v1/concerts?colour=red",
        "/v1/concerts?cursor=!",
        "/v1/concerts?cursor=eyJ9",
        "/v1/concerts?limit=1&limit=2",
        "/v1/concerts/%ff",
    ] {
        World::new().answer(get(path)).await.refuses(Code::MalformedRequest);
    }
    for limit in ["0", "101", "-1", "99999999999"] {
        let answer = World::new().answer(get(format!("/v1/concerts?limit={limit}"))).await;
        assert_eq!(answer.violations(), [("/limit".to_owned(), "range".to_owned())]);
    }
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
async fn every_answer_has_the_security_fields() {
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
async fn a_failure_tells_nothing_of_its_cause() {
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

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_too_long_is_given_up_and_its_act_is_not() {
    let gateway = SlowGateway::new();
    let draining = Draining::new();
    let mut world = slow_world(&gateway);
    world.draining = draining.clone();
    world.wallets.expect_complete_charge().times(1).returning(|id, _| {
        let state =
            ChargeState::Completed { balance_after: points(5), completed_at: boxoffice_domain::fixtures::instant(0) };
        Ok(Some(Charge {
            id,
            state,
            ..charge_of(&boxoffice_domain::fixtures::charge_request(5), ChargeState::Pending).value
        }))
    });
    let answer = world.answer(charge_points(5)).await;
    answer.refuses(Code::Unavailable);
    assert!(answer.header("retry-after").is_some());
    gateway.let_go.add_permits(1);
    draining.acts_ended().await;
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

#[tokio::test]
async fn an_act_whose_caller_hung_up_comes_to_its_end() {
    let gateway = SlowGateway::new();
    let draining = Draining::new();
    let mut world = slow_world(&gateway);
    world.draining = draining.clone();
    world.wallets.expect_complete_charge().times(1).returning(|_, _| Ok(None));
    let router = world.router();
    let caller = tokio::spawn(async move { charge_points(5).send(&router).await });
    gateway.asked.notified().await;
    caller.abort();
    tokio::time::timeout(Duration::from_millis(10), draining.acts_ended()).await.unwrap_err();
    gateway.let_go.add_permits(1);
    draining.acts_ended().await;
}
