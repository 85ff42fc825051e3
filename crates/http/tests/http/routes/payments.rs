//! Paying held seats.

use axum::http::StatusCode;
use boxoffice_domain::{idempotency::Made, page::Page, payments::Receipt};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{World, get, paid, post};

#[tokio::test]
async fn a_reservation_is_paid() {
    let mut world = World::admitted(|_| {});
    world.payments.expect_pay().returning(|_| {
        let payment = paid();
        Ok(Made::now(Receipt { payment, other_held_until: None }))
    });
    world.waiting_room.expect_spend().returning(|_, _| Ok(()));
    world.payments.expect_list().returning(|_, _| Ok(Page { items: vec![paid()], next: None }));
    world.payments.expect_find().returning(|_, _| Ok(Some(paid())));
    let router = world.router();
    let pay = post("/v1/payments", json!({"reservation_id": Uuid::nil()})).queued("queue").key("k");
    let answer = pay.send(&router).await;
    let payment = answer.succeeds(StatusCode::CREATED);
    assert_eq!((&payment["amount"], &payment["balance_after"]), (&json!(110_000), &json!(90_000)));
    assert_eq!((&payment["status"], &payment["refunded_at"]), (&json!("completed"), &Value::Null));
    assert_eq!(payment["reservation"]["status"], "confirmed");
    assert_eq!(payment["reservation"]["payment_id"], payment["id"]);
    let location = format!("/v1/payments/{}", payment["id"].as_str().unwrap());
    assert_eq!(answer.header("location"), Some(location.as_str()));
    get("/v1/payments").signed_in("customer").send(&router).await.succeeds(StatusCode::OK);
    get(location).signed_in("customer").send(&router).await.succeeds(StatusCode::OK);
}
