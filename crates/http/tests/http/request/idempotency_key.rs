//! Requests that are sent twice.

use axum::http::StatusCode;
use boxoffice_domain::{
    fixtures::instant,
    idempotency::{KeyReused, Made},
    wallet::{ChargeError, ChargeRequest, ChargeState},
};
use boxoffice_http::Code;
use serde_json::json;
use uuid::Uuid;

use crate::world::{Ask, SlowGateway, World, charge_of, points, post, slow_world};

fn completed() -> ChargeState {
    ChargeState::Completed { balance_after: points(5), completed_at: instant(0) }
}

fn charge(amount: i64) -> Ask {
    post("/v1/wallet/charges", json!({ "amount": amount })).signed_in("customer")
}

#[tokio::test]
async fn payments_and_charges_require_a_key() {
    World::new().answer(charge(5)).await.refuses(Code::IdempotencyKeyRequired);
    let pay = post("/v1/payments", json!({"reservation_id": Uuid::nil()})).queued("queue");
    World::new().answer(pay).await.refuses(Code::IdempotencyKeyRequired);
}

#[tokio::test]
async fn a_key_is_one_text_of_visible_characters() {
    for key in ["", "a b", "\"\"", &"x".repeat(256)] {
        World::new().answer(charge(5).key(key)).await.refuses(Code::MalformedRequest);
    }
    World::new().answer(charge(5).key("a").key("b")).await.refuses(Code::MalformedRequest);
}

#[tokio::test]
async fn a_key_in_quotes_is_the_key_without_them() {
    let world = World::with(|world| {
        let is_k = |request: &ChargeRequest| request.idempotency.key.as_str() == "k-\"1";
        world.wallets.expect_begin_charge().withf(is_k).returning(|request| Ok(charge_of(&request, completed())));
    });
    world.answer(charge(5).key(r#""k-\"1""#)).await.succeeds(StatusCode::CREATED);
}

#[tokio::test]
async fn a_repeated_request_says_so() {
    for replayed in [false, true] {
        let world = World::with(|world| {
            let made = move |request: ChargeRequest| Ok(Made { replayed, ..charge_of(&request, completed()) });
            world.wallets.expect_begin_charge().returning(made);
        });
        let answer = world.answer(charge(5).key("k")).await;
        let charge = answer.succeeds(StatusCode::CREATED);
        assert_eq!(answer.header("idempotency-replayed"), replayed.then_some("true"));
        let location = format!("/v1/wallet/charges/{}", charge["id"].as_str().unwrap());
        assert_eq!(answer.header("location"), Some(location.as_str()));
        assert_eq!((&charge["status"], &charge["balance"]), (&json!("completed"), &json!(5)));
    }
}

#[tokio::test]
async fn a_key_that_names_another_request_is_refused() {
    let world = World::with(|world| {
        let reused = |_| Err(ChargeError::Refused(KeyReused.into()));
        world.wallets.expect_begin_charge().returning(reused);
    });
    world.answer(charge(5).key("k")).await.refuses(Code::IdempotencyKeyReused);
}

#[tokio::test]
async fn a_key_in_use_for_something_else_is_refused_and_for_the_same_is_not() {
    let gateway = SlowGateway::new();
    let mut world = slow_world(&gateway);
    world.wallets.expect_complete_charge().returning(|_, _| Ok(None));
    let router = world.router();
    let send = |ask: Ask| {
        let router = router.clone();
        tokio::spawn(async move { ask.send(&router).await })
    };
    let first = send(charge(5).key("k"));
    gateway.asked.notified().await;
    charge(6).key("k").send(&router).await.refuses(Code::IdempotencyKeyInUse);
    let same = send(charge(5).key("k"));
    gateway.asked.notified().await;
    gateway.let_go.add_permits(2);
    for answer in [first, same] {
        // The mock has lost the charge, so both get beyond the key and fail alike.
        answer.await.unwrap().refuses(Code::Internal);
    }
    let after = send(charge(6).key("k"));
    gateway.asked.notified().await;
    gateway.let_go.add_permits(1);
    after.await.unwrap().refuses(Code::Internal);
}
