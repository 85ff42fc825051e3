//! The description of the API, and its page.

use std::collections::{BTreeSet, HashSet};

use axum::http::StatusCode;
use boxoffice_http::Code;
use serde_json::Value;

use crate::world::{World, get};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");

#[test]
fn the_checked_in_document_is_the_generated_one() {
    let generated = boxoffice_http::openapi_text().unwrap();
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
    for operation in operations(&document) {
        assert!(names.insert(operation["operationId"].clone()), "{operation}");
        assert!(operation["summary"].is_string() && operation["tags"].is_array(), "{operation}");
    }
}

fn operations(document: &Value) -> impl Iterator<Item = &Value> {
    let items = document["paths"].as_object().unwrap().values();
    items.flat_map(|item| item.as_object().unwrap().values())
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

/// The largest that the document may be, so that people and programs can read it.
const BYTES_MAX: usize = 200_000;

#[test]
fn problems_are_described_once_and_each_operation_lists_its_codes() {
    let text = boxoffice_http::openapi_text().unwrap();
    assert!(text.len() < BYTES_MAX, "the document has {} bytes", text.len());
    let document: Value = serde_json::from_str(&text).unwrap();
    let codes = |value: &Value| -> BTreeSet<Code> {
        let names = value["x-codes"].as_array().into_iter().flatten();
        names.map(|name| *Code::ALL.iter().find(|code| *name == code.as_str()).expect("a code")).collect()
    };
    let (mut used, mut listed) = (BTreeSet::new(), BTreeSet::from([Code::MethodNotAllowed]));
    for operation in operations(&document) {
        let mut expected = BTreeSet::new();
        for (status, response) in operation["responses"].as_object().unwrap() {
            if status.as_str() < "400" {
                used.extend(response["$ref"].as_str().map(str::to_owned));
                continue;
            }
            let reference = response["$ref"].as_str().unwrap_or_else(|| panic!("{response} is not shared"));
            let shared = document.pointer(reference.strip_prefix('#').unwrap()).unwrap();
            let schema = &shared["content"]["application/problem+json"]["schema"];
            assert_eq!(schema["$ref"], "#/components/schemas/Problem");
            let own: BTreeSet<_> = codes(operation).intersection(&codes(shared)).copied().collect();
            assert!(!own.is_empty(), "{} has no code for {status}", operation["operationId"]);
            assert!(own.iter().all(|code| code.status().as_str() == status), "{own:?}");
            expected.extend(own);
            used.insert(reference.to_owned());
        }
        assert_eq!(codes(operation), expected, "{}", operation["operationId"]);
        listed.extend(expected);
    }
    assert_eq!(used.len(), document["components"]["responses"].as_object().unwrap().len());
    // Every code is that of some operation, except that of a method that belongs to none.
    assert_eq!(listed, Code::ALL.iter().copied().collect());
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
