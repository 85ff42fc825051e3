//! Paths and queries that are refused. `accepted_input` has what is refused alike on every route.

use boxoffice_http::Code;

use crate::world::{World, get};

#[tokio::test]
async fn ids_and_queries_that_cannot_be_read_are_malformed() {
    let router = World::new().await.router();
    for path in ["/v1/concerts/7", "/v1/concerts/%ff"] {
        get(path).send(&router).await.refuses(Code::MalformedRequest);
    }
}

#[tokio::test]
async fn every_bad_parameter_has_one_form() {
    let router = World::new().await.router();
    let refused = async |query: &str| get(format!("/v1/concerts?{query}")).send(&router).await;
    for (query, name, code) in [
        ("limit=x", "limit", "wrong_type"),
        ("limit=", "limit", "wrong_type"),
        ("limit=1.5", "limit", "wrong_type"),
        ("limit=0", "limit", "range"),
        ("limit=101", "limit", "range"),
        ("limit=-1", "limit", "range"),
        ("limit=99999999999999999999", "limit", "range"),
        ("limit=1&limit=2", "limit", "repeated_parameter"),
        ("bookable=maybe", "bookable", "wrong_type"),
        ("colour=red", "colour", "unknown_parameter"),
        ("Limit=1", "Limit", "unknown_parameter"),
        ("cursor=!", "cursor", "wrong_format"),
        ("cursor=eyJ9", "cursor", "wrong_format"),
        ("cursor=%ff", "cursor", "wrong_format"),
    ] {
        let answer = refused(query).await;
        answer.refuses_parameters(&[(name, code)]);
        let text = String::from_utf8(answer.body).unwrap();
        for word in ["i64", "u32", "bool", "digit", "deserialize", "variant", "string"] {
            assert!(!text.contains(word), "{query}: {text}");
        }
    }
    let several = refused("limit=0&bookable=1&a~b=1&bookable=true").await;
    several.refuses_parameters(&[
        ("limit", "range"),
        ("bookable", "wrong_type"),
        ("a~0b", "unknown_parameter"),
        ("bookable", "repeated_parameter"),
    ]);
    let many: Vec<_> = (0..500).map(|number| format!("p{number}=1")).collect();
    assert_eq!(refused(&many.join("&")).await.json()["errors"].as_array().unwrap().len(), 100);
    refused("").await.succeeds(axum::http::StatusCode::OK);
}
