//! A payment gateway that waits for the test.

use std::sync::Arc;

use async_trait::async_trait;
use boxoffice_domain::{
    gateway::{GatewayError, GatewayRequest, GatewayVerdict, PaymentGateway},
    wallet::ChargeState,
};
use serde_json::json;
use tokio::sync::{Notify, Semaphore};

use super::{Ask, World, charge_of, post};

/// A gateway that approves when the test lets it.
pub(crate) struct SlowGateway {
    pub asked: Notify,
    pub let_go: Semaphore,
}

impl SlowGateway {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { asked: Notify::new(), let_go: Semaphore::new(0) })
    }
}

#[async_trait]
impl PaymentGateway for SlowGateway {
    async fn charge(&self, _request: GatewayRequest) -> Result<GatewayVerdict, GatewayError> {
        self.asked.notify_one();
        self.let_go.acquire().await.expect("never closed").forget();
        Ok(GatewayVerdict::Approved)
    }
}

pub(crate) fn slow_world(gateway: &Arc<SlowGateway>) -> World {
    World::with(|world| {
        world.other_gateway = Some(gateway.clone());
        world.wallets.expect_begin_charge().returning(|request| Ok(charge_of(&request, ChargeState::Pending)));
    })
}

/// A request to charge points, which asks the gateway.
pub(crate) fn charge_points(amount: i64) -> Ask {
    post("/v1/wallet/charges", json!({ "amount": amount })).signed_in("customer").key("k")
}
