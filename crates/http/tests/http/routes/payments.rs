//! Paying held seats.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::world::{BALANCE, PRICE, World, ask_cancel, ask_pay, get};

#[tokio::test]
async fn a_reservation_is_paid() {
    let world = World::new().await;
    let (router, token) = (world.router(), world.token().await);
    let held = world.stage.holds(&world.show, world.customer, &["A-1-1", "A-1-2"]).await;
    let answer = ask_pay(&token, held.id.uuid(), "k").send(&router).await;
    let payment = answer.succeeds(StatusCode::CREATED);
    assert_eq!((&payment["amount"], &payment["balance_after"]), (&json!(2 * PRICE), &json!(BALANCE - 2 * PRICE)));
    assert_eq!((&payment["status"], &payment["refunded_at"]), (&json!("completed"), &Value::Null));
    assert_eq!(payment["reservation"]["status"], "confirmed");
    assert_eq!(payment["reservation"]["payment_id"], payment["id"]);
    let location = format!("/v1/payments/{}", payment["id"].as_str().unwrap());
    assert_eq!(answer.header("location"), Some(location.as_str()));

    let list = get("/v1/payments").signed_in("customer").send(&router).await;
    assert_eq!(list.succeeds(StatusCode::OK), json!({"items": [payment], "next_cursor": null}));
    assert_eq!(get(&location).signed_in("customer").send(&router).await.succeeds(StatusCode::OK), payment);
    ask_cancel(held.id.uuid()).send(&router).await.succeeds(StatusCode::OK);
    let refunded = get(&location).signed_in("customer").send(&router).await.succeeds(StatusCode::OK);
    assert_eq!((&refunded["status"], &refunded["refunded_at"]), (&json!("refunded"), &json!("2027-01-15T08:00:00Z")));
}
