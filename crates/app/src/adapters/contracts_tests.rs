//! The adapters keep the contracts of their ports.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use boxoffice_contracts::payment_gateway::{Behaviour, Subject};
use boxoffice_domain::{
    Points, Timestamp, fixtures,
    gateway::{GatewayAnswer, GatewayRequest, GatewayState, PaymentGateway},
};

use super::{
    Argon2Passwords, CurrentTokens, Keys, PasswordSettings, SimulatedGateway, SimulatorMode, SimulatorSettings,
    SystemClock, SystemEntropy, keys::Key,
};

boxoffice_contracts::access_tokens_contract!(signers);
boxoffice_contracts::clock_contract!(SystemClock::default);
boxoffice_contracts::password_hasher_contract!(passwords);
boxoffice_contracts::payment_gateway_contract!(simulator);
boxoffice_contracts::queue_tokens_contract!(signers);

fn signers() -> (CurrentTokens, CurrentTokens) {
    let key = || vec![Key::new(&SystemEntropy)];
    let signer = || CurrentTokens::new(Keys { access_tokens: key(), queue_tokens: key() }).unwrap();
    (signer(), signer())
}

/// As light as Argon2 allows.
fn passwords() -> Argon2Passwords {
    let settings = PasswordSettings { memory_kib: 8, iterations: 1, parallel: 2, waiting_max: 2 };
    Argon2Passwords::new(settings, Arc::new(SystemEntropy)).unwrap()
}

struct Simulator(SimulatedGateway);

#[async_trait]
impl Subject for Simulator {
    fn gateway(&self) -> &dyn PaymentGateway {
        &self.0
    }

    fn now(&self) -> Timestamp {
        fixtures::instant(0)
    }

    async fn arrange(&self, charge: GatewayRequest, behaviour: Behaviour) -> GatewayRequest {
        let amount = match behaviour {
            Behaviour::Approves => 10_000,
            Behaviour::Declines => 10_402,
            Behaviour::WantsTheBuyer => 10_428,
            Behaviour::FailsOnce => 10_502,
            Behaviour::LosesTheRequest => 10_408,
            Behaviour::LosesTheAnswer => 10_504,
            other => panic!("no amount brings about {other:?}"),
        };
        GatewayRequest { amount: Points::new(amount).unwrap(), ..charge }
    }

    async fn act(&self, charge: &GatewayRequest, _answer: &GatewayAnswer, confirms: bool) -> bool {
        self.0.act(charge, confirms)
    }

    async fn taken(&self, charge: &GatewayRequest) -> Option<i64> {
        let answer = self.0.query(charge).await.ok()?;
        let is_paid = answer.is_some_and(|answer| answer.state == GatewayState::Approved);
        Some(if is_paid { charge.amount.get() } else { 0 })
    }

    async fn given_back(&self, charge: &GatewayRequest) -> Option<i64> {
        let all = self.0.records(fixtures::instant(-1), fixtures::instant(1), usize::MAX).await.ok()?;
        let record = all.into_iter().find(|record| record.charge_id == Some(charge.charge_id));
        Some(record.map_or(0, |record| record.refunded.get()))
    }
}

async fn simulator() -> Simulator {
    Simulator(SimulatedGateway::new(SimulatorSettings {
        mode: SimulatorMode::Approve,
        delay: Duration::ZERO,
        timeout: Duration::from_millis(10),
        action_time: None,
        scripted_by_amount: true,
    }))
}
