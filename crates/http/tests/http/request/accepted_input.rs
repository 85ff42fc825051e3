//! No route drops input that it has no use for. The routes are those of the OpenAPI document, so none is left out.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use boxoffice_domain::{audit::MockReadiness, fixtures::TestEntropy};
use boxoffice_http::{Code, Draining, ReadinessCheck};
use serde_json::{Map, Value, json};
use tower::ServiceExt;

use crate::world::{
    Answer, World, ask_cancel, ask_hold, get,
    operations::{operations, sample},
    post,
};

/// A member and a parameter that no route knows.
const UNKNOWN: &str = "no_such_name";

/// Every object in a value, by its pointer.
fn objects(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                objects(member, format!("{at}/{name}"), found);
            }
            found.push(at);
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                objects(item, format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

#[tokio::test]
async fn every_operation_refuses_a_query_parameter_that_it_does_not_know() {
    let world = World::new().await;
    let (router, token) = (world.router(), world.token().await);
    for operation in operations().1 {
        let refused = operation.ask(&token, &format!("?{UNKNOWN}=true")).send(&router).await;
        refused.refuses_parameters(&[(UNKNOWN, "unknown_parameter")]);
        for parameter in &operation.parameters {
            let name = parameter["name"].as_str().unwrap();
            let twice = operation.ask(&token, &format!("?{name}=1&{name}=1")).send(&router).await;
            let errors = twice.refuses(Code::MalformedRequest)["errors"].clone();
            let repeated =
                json!({"pointer": format!("/{name}"), "code": "repeated_parameter", "message": "is given twice"});
            assert!(errors.as_array().unwrap().contains(&repeated), "{} {name}: {errors}", operation.id);
        }
        if operation.method == Method::GET {
            let head = operation.ask(&token, &format!("?{UNKNOWN}")).method(Method::HEAD).unchecked(&router).await;
            assert_eq!(head.status, StatusCode::BAD_REQUEST, "{}", operation.id);
        }
    }
}

#[tokio::test]
async fn every_operation_without_a_body_refuses_one_that_says_something() {
    let world = World::new().await;
    let (router, token) = (world.router(), world.token().await);
    for operation in operations().1.iter().filter(|operation| operation.body.is_none()) {
        let answer = operation.with_body(&router, &token, format!("{{\"{UNKNOWN}\": {{\"a\": 1}}, \"b/c\": 2}}")).await;
        let expected = [("/b~1c", "unknown_field"), ("/no_such_name", "unknown_field")];
        let expected = expected.map(|(pointer, code)| (pointer.to_owned(), code.to_owned()));
        assert_eq!(answer.violations(), expected, "{}", operation.id);
        for body in ["[]", "true", "7", "\"text\""] {
            operation.with_body(&router, &token, body).await.violates("", "wrong_type");
        }
        for body in ["{", "seats=A-1-1", "{} {}"] {
            operation.with_body(&router, &token, body).await.refuses(Code::MalformedRequest);
        }
        let plain = operation.ask(&token, "").raw("text/plain", "A-1-1").send(&router).await;
        plain.refuses(Code::MalformedRequest);
        let large = operation.with_body(&router, &token, " ".repeat(65_537)).await;
        large.refuses(Code::PayloadTooLarge);
    }
}

#[tokio::test]
async fn every_operation_without_a_body_takes_none_and_one_that_says_nothing() {
    for operation in operations().1.iter().filter(|operation| operation.body.is_none()) {
        // The status alone, since a queue stream has no end; and from the beginning, since some change something.
        let status = async |body: Option<&str>| {
            let world = World::new().await;
            let mut ask = operation.ask(&world.token().await, "");
            if let Some(body) = body {
                ask = ask.raw("application/json", body);
            }
            world.router().oneshot(ask.into_request()).await.unwrap().status()
        };
        let without = status(None).await;
        for body in ["", " \r\n\t", "{}", " { } \n", "null"] {
            assert_eq!(status(Some(body)).await, without, "{} {body:?}", operation.id);
        }
    }
}

#[tokio::test]
async fn every_operation_with_a_body_refuses_a_member_that_it_does_not_know_at_every_depth() {
    let world = World::new().await;
    let (router, token) = (world.router(), world.token().await);
    let (document, operations) = operations();
    let with_body = operations.iter().filter_map(|operation| Some((operation, operation.body.as_ref()?)));
    let (mut bodies, mut depths) = (0, 0);
    for (operation, schema) in with_body {
        let body = sample(&document, schema);
        let mut places = Vec::new();
        objects(&body, String::new(), &mut places);
        bodies += 1;
        depths += places.len();
        for place in places {
            let mut body = body.clone();
            let object: &mut Map<_, _> = body.pointer_mut(&place).unwrap().as_object_mut().unwrap();
            object.insert(UNKNOWN.to_owned(), json!({"a": 1}));
            let answer = operation.with_body(&router, &token, body.to_string()).await;
            assert_eq!(
                answer.violations(),
                [(format!("{place}/{UNKNOWN}"), "unknown_field".to_owned())],
                "{}",
                operation.id
            );
        }
    }
    assert!(bodies >= 9 && depths >= bodies + 3, "{bodies} bodies, {depths} objects");
}

/// Every place of a body whose schema has the format of a time.
fn times(document: &Value, schema: &Value, at: String, found: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        return times(document, document.pointer(reference.strip_prefix('#').unwrap()).unwrap(), at, found);
    }
    for part in schema["allOf"].as_array().or(schema["oneOf"].as_array()).into_iter().flatten() {
        times(document, part, at.clone(), found);
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        times(document, schema, format!("{at}/{name}"), found);
    }
    if schema["format"] == "date-time" {
        found.push(at);
    }
}

#[tokio::test]
async fn no_operation_drops_a_digit_of_a_second() {
    const TOO_FINE: &str = "2026-05-01T11:00:00.1234567Z";
    const FINE: &str = "2026-05-01T11:00:00.1234560000Z";
    let world = World::new().await;
    let (router, token) = (world.router(), world.token().await);
    let (document, operations) = operations();
    let is_refused = |answer: &Answer, place: &str| {
        let errors = answer.json()["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().any(|error| error["pointer"] == place && error["code"] == "wrong_format")
    };
    let (mut members, mut parameters) = (0, 0);
    for operation in &operations {
        for parameter in operation.parameters.iter().filter(|one| one["schema"]["format"] == "date-time") {
            let name = parameter["name"].as_str().unwrap();
            let ask = async |time: &str| operation.ask(&token, &format!("?{name}={time}")).send(&router).await;
            ask(TOO_FINE).await.refuses_parameters(&[(name, "wrong_format")]);
            assert!(!is_refused(&ask(FINE).await, &format!("/{name}")), "{} {name}", operation.id);
            parameters += 1;
        }
        let Some(schema) = &operation.body else { continue };
        let mut places = Vec::new();
        times(&document, schema, String::new(), &mut places);
        for place in places {
            let send = async |time: &str| {
                let mut body = sample(&document, schema);
                *body.pointer_mut(&place).unwrap() = json!(time);
                operation.with_body(&router, &token, body.to_string()).await
            };
            send(TOO_FINE).await.violates(&place, "wrong_format");
            assert!(!is_refused(&send(FINE).await, &place), "{} {place}", operation.id);
            members += 1;
        }
    }
    assert!(members >= 5 && parameters >= 2, "{members} members, {parameters} parameters");
}

#[tokio::test]
async fn every_operation_with_a_body_refuses_an_object_that_is_written_as_a_list() {
    let world = World::new().await;
    let (router, token) = (world.router(), world.token().await);
    let (document, operations) = operations();
    for (operation, schema) in operations.iter().filter_map(|operation| Some((operation, operation.body.as_ref()?))) {
        let body = sample(&document, schema);
        let mut places = Vec::new();
        objects(&body, String::new(), &mut places);
        for place in places {
            let mut body = body.clone();
            let object = body.pointer_mut(&place).unwrap();
            *object = object.as_object().unwrap().values().cloned().collect();
            let answer = operation.with_body(&router, &token, body.to_string()).await;
            answer.violates(&place, "wrong_type");
            assert_eq!(answer.json()["errors"][0]["message"], "must be an object", "{} {place}", operation.id);
        }
    }
}

#[tokio::test]
async fn the_port_for_operators_refuses_the_same() {
    let readiness = Arc::new(ReadinessCheck::new(Arc::new(MockReadiness::new())));
    let entropy = Arc::new(TestEntropy);
    let router = boxoffice_http::operations_router(readiness, entropy, None, Draining::new());
    for path in ["/healthz", "/readyz", "/version", "/metrics"] {
        let query = get(format!("{path}?{UNKNOWN}=1")).send(&router).await;
        query.refuses_parameters(&[(UNKNOWN, "unknown_parameter")]);
        let body = get(path).raw("application/json", json!({UNKNOWN: 1}).to_string()).send(&router).await;
        body.violates("/no_such_name", "unknown_field");
    }
    get("/healthz").raw("application/json", "{}").send(&router).await.succeeds(StatusCode::OK);
}

#[tokio::test]
async fn a_cancellation_with_a_list_of_seats_cancels_nothing() {
    let world = World::new().await;
    let (router, token) = (world.router(), world.token().await);
    let held = ask_hold(&token, world.show.performance_id.uuid(), &["A-1-1", "A-1-2"]).send(&router).await;
    let id = held.succeeds(StatusCode::CREATED)["id"].as_str().unwrap().parse().unwrap();
    let part = post(format!("/v1/reservations/{id}/cancel"), json!({"seats": ["A-1-2"]})).signed_in("customer");
    part.send(&router).await.violates("/seats", "unknown_field");
    let dry = get(format!("/v1/reservations/{id}/cancel?dry_run=true")).method(Method::POST).signed_in("customer");
    dry.send(&router).await.refuses_parameters(&[("dry_run", "unknown_parameter")]);
    let found = get(format!("/v1/reservations/{id}")).signed_in("customer").send(&router).await;
    assert_eq!(found.succeeds(StatusCode::OK)["status"], "held");
    assert_eq!(ask_cancel(id).send(&router).await.succeeds(StatusCode::OK)["status"], "cancelled");
}

#[tokio::test]
async fn a_wrong_method_and_an_unknown_route_are_still_what_they_are() {
    let router = World::new().await.router();
    let ask = |path: &str, method: Method| get(path).method(method).raw("application/json", "{\"a\": 1}");
    ask("/v1/wallet?x=1", Method::PUT).send(&router).await.refuses(Code::MethodNotAllowed);
    ask("/v1/nothing?x=1", Method::POST).send(&router).await.refuses(Code::NotFound);
}
