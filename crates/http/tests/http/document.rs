//! The description of the API, and its page.

use std::collections::HashSet;

use axum::http::StatusCode;
use serde_json::Value;

use crate::world::{World, get};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");

#[test]
fn the_checked_in_document_is_the_generated_one() {
    let generated = boxoffice_http::openapi().to_pretty_json().unwrap() + "\n";
    if std::env::var_os("BOXOFFICE_UPDATE_OPENAPI").is_some() {
        std::fs::write(PATH, &generated).unwrap();
    }
    let checked_in = std::fs::read_to_string(PATH).unwrap_or_default();
    assert!(checked_in == generated, "run `BOXOFFICE_UPDATE_OPENAPI=1 cargo test -p boxoffice-http`");
}

#[test]
fn every_operation_has_a_unique_name_a_summary_and_a_tag() {
    let document = serde_json::to_value(boxoffice_http::openapi()).unwrap();
    let mut names = HashSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(names.insert(operation["operationId"].clone()), "{method} {path}");
            assert!(operation["summary"].is_string() && operation["tags"].is_array(), "{method} {path}");
        }
    }
}

#[test]
fn every_named_type_is_described() {
    let document = serde_json::to_value(boxoffice_http::openapi()).unwrap();
    let mut names = Vec::new();
    references(&document, &mut names);
    assert!(names.len() > 50);
    for name in names {
        let pointer = name.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{name}");
    }
}

fn references(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            names.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|value| references(value, names));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, names)),
        _ => {}
    }
}

#[tokio::test]
async fn the_document_is_served() {
    let document = World::new().answer(get("/openapi.json")).await.succeeds(StatusCode::OK);
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["license"]["identifier"], "MIT OR Apache-2.0");
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere() {
    let router = World::new().router();
    let page = get("/docs/").send(&router).await;
    assert_eq!(page.status, StatusCode::OK);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("script-src 'self'") && !policy.contains("http"), "{policy}");
    let html = String::from_utf8(page.body).unwrap();
    assert!(!html.contains("http://") && !html.contains("https://"), "{html}");
    for file in ["swagger-ui.css", "swagger-ui-bundle.js", "swagger-initializer.js"] {
        assert_eq!(get(format!("/docs/{file}")).send(&router).await.status, StatusCode::OK, "{file}");
    }
    let initializer = get("/docs/swagger-initializer.js").send(&router).await;
    let script = String::from_utf8(initializer.body).unwrap();
    assert!(script.contains("/openapi.json") && !script.contains("petstore"), "{script}");
    assert!(get("/docs").send(&router).await.status.is_redirection());
    assert_eq!(get("/docs/none").send(&router).await.code(), "not_found");
}
