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
    let text = boxoffice_http::openapi().to_json().unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let pointers: Vec<_> = text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(pointers.len() > 50);
    for pointer in pointers {
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere() {
    let router = World::new().await.router();
    let text = async |path: &str| {
        let answer = get(path).send(&router).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        String::from_utf8(answer.body).unwrap()
    };
    let html = text("/docs/").await;
    assert!(!html.contains("http://") && !html.contains("https://"), "{html}");
    for file in ["swagger-ui.css", "swagger-ui-bundle.js"] {
        text(&format!("/docs/{file}")).await;
    }
    let script = text("/docs/swagger-initializer.js").await;
    assert!(script.contains("/openapi.json") && !script.contains("petstore"), "{script}");
    assert!(get("/docs").send(&router).await.status.is_redirection());
}
