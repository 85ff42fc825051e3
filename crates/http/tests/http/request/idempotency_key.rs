//! Requests that are sent twice.

use axum::http::StatusCode;
use boxoffice_http::Code;
use serde_json::json;

use crate::world::{Ask, BALANCE, NOTHING, World, ask_charge, ask_pay};

#[tokio::test]
async fn payments_and_charges_require_a_key_of_visible_characters() {
    let world = World::new().await;
    let (router, token) = (world.router(), world.token().await);
    for ask in [|_: &str| ask_charge(5, ""), |token: &str| ask_pay(token, NOTHING, "")] {
        ask(&token).without("idempotency-key").send(&router).await.refuses(Code::IdempotencyKeyRequired);
    }
    for key in ["", "a b", "\"\"", &"x".repeat(256)] {
        ask_charge(5, key).send(&router).await.refuses(Code::MalformedRequest);
    }
    ask_charge(5, "a").key("b").send(&router).await.refuses(Code::MalformedRequest);
}

#[tokio::test]
async fn a_repeated_request_says_so_and_another_one_under_its_key_is_refused() {
    let router = World::new().await.router();
    let first = ask_charge(5, "k-\"1").send(&router).await;
    let made = first.succeeds(StatusCode::CREATED);
    assert_eq!((&made["status"], &made["balance"]), (&json!("completed"), &json!(BALANCE + 5)));
    assert_eq!(first.header("idempotency-replayed"), None);
    let location = format!("/v1/wallet/charges/{}", made["id"].as_str().unwrap());

    // A key in quotes is the key without them.
    let again = ask_charge(5, r#""k-\"1""#).send(&router).await;
    assert_eq!((again.succeeds(StatusCode::CREATED), again.header("idempotency-replayed")), (made, Some("true")));
    assert_eq!([first.header("location"), again.header("location")], [Some(location.as_str()); 2]);
    ask_charge(6, "k-\"1").send(&router).await.refuses(Code::IdempotencyKeyReused);
}

#[tokio::test]
async fn a_key_in_use_for_something_else_is_refused_and_for_the_same_is_not() {
    let mut world = World::new().await;
    let gateway = world.slow_gateway();
    let router = world.router();
    let send = |ask: Ask| {
        let router = router.clone();
        tokio::spawn(async move { ask.send(&router).await })
    };
    let first = send(ask_charge(5, "k"));
    gateway.asked.notified().await;
    ask_charge(6, "k").send(&router).await.refuses(Code::IdempotencyKeyInUse);
    let same = send(ask_charge(5, "k"));
    gateway.asked.notified().await;
    gateway.let_go.add_permits(2);
    assert_eq!(first.await.unwrap().succeeds(StatusCode::CREATED), same.await.unwrap().succeeds(StatusCode::CREATED));
    assert_eq!(world.stage.balance(world.customer).await, BALANCE + 5);
    // No act uses the key any more, but it names the charge.
    ask_charge(6, "k").send(&router).await.refuses(Code::IdempotencyKeyReused);
}
