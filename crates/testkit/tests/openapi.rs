//! The check against the `OpenAPI` document stops what is wrong.

use std::sync::LazyLock;

use boxoffice_testkit::openapi::{Document, Exchange};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

static DOCUMENT: LazyLock<Document> = LazyLock::new(|| {
    let text = include_str!("../../../docs/openapi.json");
    Document::new(serde_json::from_str(text).unwrap())
});

fn headers(media_type: &'static str) -> HeaderMap {
    let names = ["x-request-id", "x-content-type-options", "referrer-policy", "x-frame-options"];
    let names = names.into_iter().chain(["content-security-policy", "cache-control"]);
    let fields = names.map(|name| (HeaderName::from_static(name), HeaderValue::from_static("id")));
    fields.chain([(CONTENT_TYPE, HeaderValue::from_static(media_type))]).collect()
}

fn check(method: &str, path: &str, status: u16, media_type: &'static str, body: &Value) -> Result<(), String> {
    let (headers, body) = (headers(media_type), body.to_string());
    DOCUMENT.check(&Exchange { method, path, status, headers: &headers, body: &body }).map(drop)
}

fn wallet() -> Value {
    json!({"balance": 5, "updated_at": "2026-11-20T12:00:00.5Z"})
}

#[test]
fn what_is_documented_passes_and_what_is_not_is_found() {
    check("GET", "/v1/wallet", 200, "application/json", &wallet()).unwrap();
    let mut more = wallet();
    more["secret"] = json!(1);
    let list = json!({"items": [{"id": "x"}], "next_cursor": null});
    let text = json!({"balance": "5", "updated_at": "2026-11-20T12:00:00Z"});
    for (path, status, media_type, body, named) in [
        ("/v1/wallet", 200, "application/json", more, "/secret"),
        ("/v1/wallet", 200, "application/json", text, "integer"),
        ("/v1/wallet", 200, "application/json", json!({"balance": 5, "updated_at": "yesterday"}), "date-time"),
        ("/v1/wallet", 200, "application/json", json!({"balance": 5}), "updated_at"),
        ("/v1/wallet", 200, "text/plain", wallet(), "text/plain"),
        ("/v1/wallet", 201, "application/json", wallet(), "201"),
        ("/v1/wallets", 200, "application/json", wallet(), "not_found"),
        ("/v1/wallet/entries", 200, "application/json", list, "/items/0"),
        ("/v1/accounts", 200, "application/json", wallet(), "method_not_allowed"),
    ] {
        let wrong = check("GET", path, status, media_type, &body).unwrap_err();
        assert!(wrong.contains(named), "{named}: {wrong}");
    }
}

#[test]
fn a_problem_has_a_documented_code_and_agrees_with_its_answer() {
    let problem = |status: u16, code: &str, id: &str| {
        json!({"type": format!("urn:boxoffice:problem:{code}"), "title": "T", "status": status, "detail": "D",
            "code": code, "request_id": id})
    };
    let check = |status, body: &Value| check("GET", "/v1/reservations/1", status, "application/problem+json", body);
    check(404, &problem(404, "reservation_not_found", "id")).unwrap();
    check(404, &problem(404, "seat_not_found", "id")).unwrap_err();
    check(404, &problem(400, "reservation_not_found", "id")).unwrap_err();
    check(404, &problem(404, "reservation_not_found", "another")).unwrap_err();
    check(401, &problem(401, "unauthenticated", "id")).unwrap_err();
}
