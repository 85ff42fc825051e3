//! Bodies that are refused.

use axum::http::Method;
use boxoffice_http::Code;
use serde_json::json;

use crate::world::{World, get, post};

fn sign_up() -> serde_json::Value {
    json!({"login_id": "haneul", "password": "long enough", "name": "Haneul"})
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
async fn a_body_of_the_wrong_shape_is_refused_with_a_pointer() {
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
async fn every_broken_rule_is_listed_with_its_pointer() {
    let body = json!({"login_id": "No", "password": "short", "name": " \t"});
    let answer = World::new().answer(post("/v1/accounts", body)).await;
    let expected = [("/login_id", "login_id"), ("/name", "text_empty"), ("/password", "password_length")];
    assert_eq!(answer.violations(), expected.map(|(pointer, code)| (pointer.to_owned(), code.to_owned())));
}
