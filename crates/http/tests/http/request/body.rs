//! Bodies that are refused.

use axum::http::Method;
use boxoffice_http::Code;
use serde_json::json;

use crate::world::{Ask, World, ask_sign_up, get, post};

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
    world.answer(ask_sign_up()).await.succeeds(axum::http::StatusCode::CREATED);
}
