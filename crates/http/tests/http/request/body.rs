//! Bodies that are refused.

use std::{convert::Infallible, time::Duration};

use axum::http::{Method, StatusCode};
use boxoffice_http::Code;
use futures::{Stream, StreamExt, stream};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::world::{Ask, NOTHING, World, ask_charge, ask_sign_up, get, post};

fn raw(media_type: &str, body: impl Into<Vec<u8>>) -> Ask {
    get("/v1/accounts").method(Method::POST).raw(media_type, body)
}

#[tokio::test]
async fn a_body_that_is_not_json_is_refused() {
    let router = World::new().await.router();
    let no_type = get("/v1/accounts").method(Method::POST);
    for ask in [no_type, raw("text/plain", "{}")] {
        ask.send(&router).await.refuses(Code::UnsupportedMediaType);
    }
    for body in ["", "{", "{\"login_id\": }", "{} {}", "\u{1}", "[1", "{\"login_id\": 1} x"] {
        raw("application/json; charset=utf-8", body).send(&router).await.refuses(Code::MalformedRequest);
    }
    raw("application/json", vec![b'"', 0xff, b'"']).send(&router).await.refuses(Code::MalformedRequest);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let ask = post("/v1/accounts", json!({"login_id": "x".repeat(64 * 1024)}));
    World::new().await.answer(ask).await.refuses(Code::PayloadTooLarge);
}

#[tokio::test]
async fn a_body_of_the_wrong_shape_is_refused_with_a_pointer() {
    let router = World::new().await.router();
    let cases = [
        (json!({"password": "long enough", "name": "H"}), "/login_id", "missing_field"),
        (json!({"login_id": 1, "password": "long enough", "name": "H"}), "/login_id", "wrong_type"),
        (json!({"login_id": null, "password": "long enough", "name": "H"}), "/login_id", "wrong_type"),
        (json!({"login_id": "abc", "password": "long enough", "name": "H", "a/b~c": 1}), "/a~1b~0c", "unknown_field"),
        (json!(["abc", "long enough", "H"]), "", "wrong_type"),
        (json!("abc"), "", "wrong_type"),
    ];
    for (body, pointer, code) in cases {
        let answer = post("/v1/accounts", body).send(&router).await;
        answer.violates(pointer, code);
        assert!(!String::from_utf8_lossy(&answer.body).contains("long enough"));
    }
    let twice = raw("application/json", r#"{"name": "a", "name": "b"}"#).send(&router).await;
    twice.violates("/name", "duplicate_field");
}

#[tokio::test]
async fn every_broken_rule_is_listed_with_its_pointer() {
    let world = World::new().await;
    let answer =
        world.answer(post("/v1/accounts", json!({"login_id": "No", "password": "short", "name": " \t"}))).await;
    let expected = [("/login_id", "login_id"), ("/name", "text_empty"), ("/password", "password_length")];
    assert_eq!(answer.violations(), expected.map(|(pointer, code)| (pointer.to_owned(), code.to_owned())));
    world.answer(ask_sign_up()).await.succeeds(StatusCode::CREATED);
}

#[tokio::test]
async fn a_whole_number_is_accepted_in_every_form_of_json() {
    let world = World::new().await;
    let router = world.router();
    let charge = async |amount: &str| {
        let ask = ask_charge(1, amount).without("content-type");
        ask.raw("application/json", format!("{{\"amount\": {amount}}}")).send(&router).await
    };
    for amount in ["1000", "1000.0", "1e3", "1E+3", "0.1e4", "100000e-2"] {
        assert_eq!(charge(amount).await.succeeds(StatusCode::CREATED)["amount"], 1_000, "{amount}");
    }
    // Two forms of one number are one request.
    let again = ask_charge(1_000, "1e3").send(&router).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    for amount in ["1.5", "1e-1", "1e-400", "0.5e-99999999999999999999"] {
        let refused = charge(amount).await;
        refused.violates("/amount", "wrong_type");
        assert_eq!(refused.json()["errors"][0]["message"], "must be a whole number", "{amount}");
    }
    for amount in ["0", "-0", "0e3", "-1.0", "1e400", "-1e400", "9223372036854775808", "1e99999999999999999999"] {
        let refused = charge(amount).await;
        refused.violates("/amount", "range");
        assert_eq!(refused.json()["errors"][0]["message"], "must be 1 to 10000000", "{amount}");
    }
    let twice = ask_charge(1, "k").without("content-type").raw("application/json", r#"{"amount": 1e3, "amount": 5}"#);
    twice.send(&router).await.violates("/amount", "duplicate_field");
}

#[tokio::test]
async fn a_body_is_refused_in_plain_words() {
    let world = World::new().await;
    let router = world.router();
    let concert = |field: &str, value: Value| {
        let mut body = json!({
            "title": "T", "artist": "A",
            "sales_open_at": "2026-05-01T11:00:00Z", "sales_close_at": "2026-06-01T11:00:00Z",
        });
        body[field] = value;
        post("/v1/concerts", body).signed_in("promoter")
    };
    let performance = |field: &str, value: Value| {
        let mut body = json!({"venue_id": NOTHING, "starts_at": "2026-06-01T11:00:00Z", "prices": []});
        body[field] = value;
        post(format!("{}/performances", world.concert_path()), body).signed_in("promoter")
    };
    let no_zone = "has no zone: end it with `Z` for UTC, or with an offset such as `+09:00`";
    let time = "must be a time with its zone, such as `2026-05-01T11:00:00Z`";
    let uuid = "must be a UUID, such as `01890a5d-ac96-774b-bcce-b302099a8057`";
    for (ask, pointer, message) in [
        (concert("title", json!(1)), "/title", "must be a text"),
        (concert("title", json!(null)), "/title", "must be a text"),
        (concert("draw", json!("yes")), "/draw", "must be `true` or `false`"),
        (concert("max_active", json!("1")), "/max_active", "must be a whole number"),
        (concert("max_active", json!(true)), "/max_active", "must be a whole number"),
        (concert("sales_open_at", json!("2026-05-01T11:00:00")), "/sales_open_at", no_zone),
        (concert("sales_open_at", json!("2026-05-01 11:00")), "/sales_open_at", no_zone),
        (concert("sales_open_at", json!("soon")), "/sales_open_at", time),
        (concert("sales_open_at", json!("")), "/sales_open_at", time),
        (concert("sales_open_at", json!("2026-02-30T11:00:00Z")), "/sales_open_at", time),
        (concert("sales_open_at", json!("2026-05-01T11:00:00Z and more")), "/sales_open_at", time),
        (concert("sales_open_at", json!(1_777_633_200)), "/sales_open_at", time),
        (performance("venue_id", json!("x")), "/venue_id", uuid),
        (performance("venue_id", json!(7)), "/venue_id", uuid),
        (performance("prices", json!({})), "/prices", "must be a list"),
        (performance("prices", json!([1])), "/prices/0", "must be an object"),
        (performance("prices", json!([{"section": "A", "price": 1.5}])), "/prices/0/price", "must be a whole number"),
        (post("/v1/accounts", json!([])), "", "must be an object"),
        (post("/v1/accounts", json!("x")), "", "must be an object"),
        (post("/v1/accounts", json!(7)), "", "must be an object"),
    ] {
        let answer = ask.send(&router).await;
        let error = &answer.refuses(Code::ValidationFailed)["errors"][0];
        assert_eq!((&error["pointer"], &error["message"]), (&json!(pointer), &json!(message)));
    }
}

/// A body that comes in pieces of this many bytes, one each so many milliseconds.
fn pieces(body: &[u8], bytes: usize, millis: u64) -> impl Stream<Item = Result<Vec<u8>, Infallible>> + use<> {
    let pieces: Vec<_> = body.chunks(bytes).map(<[u8]>::to_vec).collect();
    stream::iter(pieces).then(move |piece| async move {
        sleep(Duration::from_millis(millis)).await;
        Ok(piece)
    })
}

/// A sign-up whose body has this many bytes.
fn sign_up_of(bytes: usize) -> Vec<u8> {
    let body = json!({"login_id": "haneul", "password": "long enough", "name": "Haneul"}).to_string();
    format!("{body}{}", " ".repeat(bytes - body.len())).into_bytes()
}

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_slowly_is_refused_and_takes_no_permit_meanwhile() {
    let mut world = World::new().await;
    world.settings.concurrent_requests_max = 1;
    let router = world.router();
    // Where the route takes a body, where it takes none, and where none is looked at by a handler.
    for path in ["/v1/accounts", "/v1/sessions", "/v1/concerts", "/healthz"] {
        let method = if path == "/v1/concerts" || path == "/healthz" { Method::GET } else { Method::POST };
        let slow = get(path).method(method).in_pieces(pieces(&[b' '; 1_000], 1, 1_000));
        let (busy, began) = (router.clone(), Instant::now());
        let slow = tokio::spawn(async move { slow.send(&busy).await });
        sleep(Duration::from_secs(4)).await;
        get("/v1/concerts").send(&router).await.succeeds(StatusCode::OK);
        let refused = slow.await.unwrap();
        refused.refuses(Code::BodyTooSlow);
        assert_eq!(refused.header("connection"), Some("close"));
        assert_eq!(began.elapsed(), Duration::from_secs(5), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_body_may_take_longer_than_a_request_while_it_keeps_its_rate() {
    let mut world = World::new().await;
    world.settings.request_timeout = Duration::from_secs(5);
    let router = world.router();
    let began = Instant::now();
    let steady = get("/v1/accounts").method(Method::POST).in_pieces(pieces(&sign_up_of(60 * 1_024), 1_024, 1_000));
    steady.send(&router).await.succeeds(StatusCode::CREATED);
    assert_eq!(began.elapsed(), Duration::from_mins(1));
    let began = Instant::now();
    let slow = get("/v1/accounts").method(Method::POST).in_pieces(pieces(&sign_up_of(60 * 1_024), 512, 1_000));
    slow.send(&router).await.refuses(Code::BodyTooSlow);
    assert!((11..=12).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn bodies_have_a_bounded_memory_and_small_ones_always_fit() {
    let mut world = World::new().await;
    world.settings.bodies_bytes_max = 95 * 1_024;
    let router = world.router();
    // Its last piece comes late; until then it keeps what it takes of the memory.
    let long = |bytes: usize| {
        let mut body = sign_up_of(bytes);
        let last = body.split_off(bytes - 1);
        let pieces = stream::iter([body]).chain(stream::once(async {
            sleep(Duration::from_secs(3)).await;
            last
        }));
        get("/v1/accounts").method(Method::POST).in_pieces(pieces.map(Ok))
    };
    let (busy, first) = (router.clone(), long(48 * 1_024));
    let first = tokio::spawn(async move { first.send(&busy).await });
    sleep(Duration::from_secs(1)).await;
    let refused = long(64 * 1_024).send(&router).await;
    refused.refuses(Code::Unavailable);
    assert_eq!(refused.header("retry-after"), Some("1"));
    let small = get("/v1/accounts").method(Method::POST).in_pieces(pieces(&sign_up_of(8 * 1_024), 8 * 1_024, 0));
    small.send(&router).await.succeeds(StatusCode::CREATED);
    first.await.unwrap().refuses(Code::LoginIdTaken);
    // It has given back all of it.
    long(48 * 1_024).send(&router).await.refuses(Code::LoginIdTaken);
}
