//! Acts that outlive their requests.

use std::time::Duration;

use boxoffice_http::Code;

use crate::world::{BALANCE, World, ask_charge};

#[tokio::test(start_paused = true)]
async fn the_act_of_a_request_that_takes_too_long_comes_to_its_end() {
    let mut world = World::new().await;
    let gateway = world.slow_gateway();
    world.answer(ask_charge(5, "k")).await.refuses(Code::Unavailable);
    gateway.let_go.add_permits(1);
    world.draining.acts_ended().await;
    assert_eq!(world.stage.balance(world.customer).await, BALANCE + 5);
}

#[tokio::test]
async fn the_act_of_a_client_that_hung_up_comes_to_its_end() {
    let mut world = World::new().await;
    let gateway = world.slow_gateway();
    let router = world.router();
    let caller = tokio::spawn(async move { ask_charge(5, "k").send(&router).await });
    gateway.asked.notified().await;
    caller.abort();
    tokio::time::timeout(Duration::from_millis(10), world.draining.acts_ended()).await.unwrap_err();
    gateway.let_go.add_permits(1);
    world.draining.acts_ended().await;
    assert_eq!(world.stage.balance(world.customer).await, BALANCE + 5);
}
