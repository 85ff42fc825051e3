//! Acts that outlive their requests.

use std::time::Duration;

use boxoffice_domain::{
    fixtures::{self, instant},
    wallet::{Charge, ChargeState},
};
use boxoffice_http::{Code, Draining};

use crate::world::{SlowGateway, charge_of, charge_points, points, slow_world};

#[tokio::test(start_paused = true)]
async fn the_act_of_a_request_that_takes_too_long_comes_to_its_end() {
    let gateway = SlowGateway::new();
    let draining = Draining::new();
    let mut world = slow_world(&gateway);
    world.draining = draining.clone();
    world.wallets.expect_complete_charge().times(1).returning(|id, _| {
        let state = ChargeState::Completed { balance_after: points(5), completed_at: instant(0) };
        Ok(Some(Charge { id, state, ..charge_of(&fixtures::charge_request(5), ChargeState::Pending).value }))
    });
    let answer = world.answer(charge_points(5)).await;
    answer.refuses(Code::Unavailable);
    assert!(answer.header("retry-after").is_some());
    gateway.let_go.add_permits(1);
    draining.acts_ended().await;
}

#[tokio::test]
async fn the_act_of_a_client_that_hung_up_comes_to_its_end() {
    let gateway = SlowGateway::new();
    let draining = Draining::new();
    let mut world = slow_world(&gateway);
    world.draining = draining.clone();
    world.wallets.expect_complete_charge().times(1).returning(|_, _| Ok(None));
    let router = world.router();
    let caller = tokio::spawn(async move { charge_points(5).send(&router).await });
    gateway.asked.notified().await;
    caller.abort();
    tokio::time::timeout(Duration::from_millis(10), draining.acts_ended()).await.unwrap_err();
    gateway.let_go.add_permits(1);
    draining.acts_ended().await;
}
