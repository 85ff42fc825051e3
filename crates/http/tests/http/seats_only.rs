//! A product that only sells seats: without queues, payments and wallets.

use axum::http::{Method, StatusCode};
use boxoffice_http::Code;
use serde_json::json;

use crate::world::{NOTHING, World, ask_cancel, get, operations::resolved, post};

#[tokio::test]
async fn seats_are_held_and_given_up_without_a_queue_token() {
    let mut world = World::new().await;
    world.seats_only = true;
    let router = world.router();
    for path in [format!("{}/performances", world.concert_path()), world.performance_path(), world.seats_path()] {
        get(path.as_str()).send(&router).await.refuses(Code::Unauthenticated);
        get(path).signed_in("customer").send(&router).await.succeeds(StatusCode::OK);
    }
    get(format!("/v1/concerts/{NOTHING}/performances"))
        .signed_in("customer")
        .send(&router)
        .await
        .refuses(Code::ConcertNotFound);
    let body = json!({"performance_id": world.show.performance_id.uuid(), "seats": ["A-1-1"]});
    let hold = |account: &str| post("/v1/reservations", body.clone()).signed_in(account);
    let held = hold("customer").send(&router).await.succeeds(StatusCode::CREATED);
    hold("stranger").send(&router).await.refuses(Code::SeatUnavailable);
    let id = held["id"].as_str().unwrap().parse().unwrap();
    ask_cancel(id).send(&router).await.succeeds(StatusCode::OK);
    hold("stranger").send(&router).await.succeeds(StatusCode::CREATED);
}

#[tokio::test]
async fn what_the_product_lacks_has_no_routes_and_is_not_in_its_document() {
    let mut world = World::new().await;
    world.seats_only = true;
    let router = world.router();
    let document = get("/openapi.json").send(&router).await.succeeds(StatusCode::OK);
    let whole = serde_json::to_value(boxoffice_http::openapi()).unwrap();
    let (paths, all) = (document["paths"].as_object().unwrap(), whole["paths"].as_object().unwrap());
    let lacks =
        |path: &str| ["queue", "/payments", "/wallet", "/webhooks"].iter().any(|lacking| path.contains(lacking));
    for path in all.keys() {
        assert_eq!(paths.contains_key(path), !lacks(path), "{path}");
    }
    for (path, item) in all.iter().filter(|(path, _)| lacks(path)) {
        for method in item.as_object().unwrap().keys() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let path = path.replace("{id}", &NOTHING.to_string()).replace("{delivery_id}", &NOTHING.to_string());
            let ask = get(path).method(method).signed_in("customer");
            ask.unchecked(&router).await.refuses(Code::NotFound);
        }
    }
    let parameters = paths.values().flat_map(|item| item.as_object().unwrap().values());
    let parameters = parameters.flat_map(|operation| operation["parameters"].as_array().into_iter().flatten());
    let mut parameters = parameters.map(|parameter| resolved(&document, parameter)).peekable();
    assert!(parameters.peek().is_some() && parameters.all(|parameter| parameter["name"] != "Queue-Token"));
}
