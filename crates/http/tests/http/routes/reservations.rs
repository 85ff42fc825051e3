//! Holding seats and cancelling reservations.

use axum::http::StatusCode;
use boxoffice_http::Code;
use serde_json::{Value, json};

use crate::world::{PRICE, World, ask_cancel, ask_hold, get, post};

#[tokio::test]
async fn seats_are_held() {
    let world = World::new().await;
    let answer =
        world.answer(ask_hold(&world.token().await, world.show.performance_id.uuid(), &["A-1-1", "A-1-2"])).await;
    let reservation = answer.succeeds(StatusCode::CREATED);
    let location = format!("/v1/reservations/{}", reservation["id"].as_str().unwrap());
    assert_eq!(answer.header("location"), Some(location.as_str()));
    assert_eq!((&reservation["status"], &reservation["total_amount"]), (&json!("held"), &json!(2 * PRICE)));
    assert_eq!(reservation["held_until"], "2027-01-15T08:05:00Z");
    assert_eq!(reservation["seats"][1], json!({"label": "A-1-2", "price": PRICE}));
}

#[tokio::test]
async fn a_repeated_hold_gets_the_first_response_though_it_has_expired() {
    let world = World::new().await;
    let (router, token) = (world.router(), world.token().await);
    let hold = || ask_hold(&token, world.show.performance_id.uuid(), &["A-1-1", "A-1-2"]).key("k");
    let first = hold().send(&router).await.succeeds(StatusCode::CREATED);
    world.stage.clock.advance_seconds(3_600);
    let answer = hold().send(&router).await;
    assert_eq!(answer.succeeds(StatusCode::CREATED), first);
    assert_eq!((&first["status"], answer.header("idempotency-replayed")), (&json!("held"), Some("true")));
}

#[tokio::test]
async fn an_account_whose_holds_end_unpaid_learns_when_it_may_hold_again() {
    let mut world = World::new().await;
    world.settings.rules.unpaid_holds_free = 0;
    let (router, token) = (world.router(), world.token().await);
    let hold = || ask_hold(&token, world.show.performance_id.uuid(), &["A-1-1"]);
    let held = hold().send(&router).await.succeeds(StatusCode::CREATED);
    let id = held["id"].as_str().unwrap().parse().unwrap();
    ask_cancel(id).send(&router).await.succeeds(StatusCode::OK);
    world.stage.clock.advance_seconds(1);
    let refused = hold().send(&router).await;
    refused.refuses(Code::HoldCooldown);
    assert_eq!(refused.header("retry-after"), Some("59"));
    world.stage.clock.advance_seconds(59);
    hold().send(&router).await.succeeds(StatusCode::CREATED);
}

#[tokio::test]
async fn a_promoter_may_want_holds_to_be_covered() {
    let mut world = World::new().await;
    world.change_concert(|concert| concert.holds_need_balance = true).await;
    let (router, token) = (world.router(), world.token().await);
    let concert = get(world.concert_path()).send(&router).await.succeeds(StatusCode::OK);
    assert_eq!(concert["holds_need_balance"], true);
    let hold = |labels: &[&str]| ask_hold(&token, world.show.performance_id.uuid(), labels);
    hold(&["A-1-1"]).send(&router).await.succeeds(StatusCode::CREATED);
    let poor = world.token_of(world.stranger).await;
    let refused =
        ask_hold(&poor, world.show.performance_id.uuid(), &["A-1-2"]).signed_in("stranger").send(&router).await;
    let problem = refused.refuses(Code::InsufficientPoints);
    assert_eq!((&problem["balance"], &problem["required"]), (&json!(0), &json!(PRICE)));
}

#[tokio::test]
async fn a_selection_of_seats_is_checked() {
    let world = World::new().await;
    let (router, token) = (world.router(), world.token().await);
    let performance = json!(world.show.performance_id.uuid());
    for (performance, seats, pointer, code) in [
        (&performance, json!([]), "/seats", "seats_empty"),
        (&performance, json!(["A-1-1", "A-1-2", "A-1-1"]), "/seats/2", "seat_repeated"),
        (&performance, json!(["A-1-1", "A1"]), "/seats/1", "seat_label"),
        (&performance, json!(["A-1-1", 7]), "/seats/1", "wrong_type"),
        (&json!("7"), json!(["A-1-1"]), "/performance_id", "wrong_format"),
    ] {
        let body = json!({"performance_id": performance, "seats": seats});
        post("/v1/reservations", body).queued(&token).send(&router).await.violates(pointer, code);
    }
}

#[tokio::test]
async fn reservations_are_listed_found_and_cancelled() {
    let world = World::new().await;
    let router = world.router();
    let held = world.stage.holds(&world.show, world.customer, &["A-1-1"]).await;
    let listed = async |status: &str| {
        let list = get(format!("/v1/reservations?status={status}")).signed_in("customer").send(&router).await;
        list.succeeds(StatusCode::OK)["items"].clone()
    };
    let found = get(format!("/v1/reservations/{}", held.id)).signed_in("customer").send(&router).await;
    assert_eq!(listed("held").await, json!([found.succeeds(StatusCode::OK)]));
    get("/v1/reservations?status=gone").signed_in("customer").send(&router).await.refuses(Code::MalformedRequest);
    let cancelled = ask_cancel(held.id.uuid()).send(&router).await.succeeds(StatusCode::OK);
    assert_eq!((&cancelled["status"], &cancelled["held_until"]), (&json!("cancelled"), &Value::Null));
    assert_eq!((listed("held").await, listed("cancelled").await), (json!([]), json!([cancelled])));
}
