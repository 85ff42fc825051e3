//! Requests that are sent twice.

use axum::http::StatusCode;
use boxoffice_http::Code;

use crate::world::{Ask, BALANCE, World, ask_charge};

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
