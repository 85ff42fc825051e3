//! The adapters keep the contracts of their ports.

use std::{sync::Arc, time::Duration};

use boxoffice_contracts::payment_gateway::{Behaviour, Subject};
use boxoffice_domain::{
    Points,
    gateway::{GatewayRequest, PaymentGateway},
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

impl Subject for Simulator {
    fn gateway(&self) -> &dyn PaymentGateway {
        &self.0
    }

    fn arrange(&self, charge: GatewayRequest, behaviour: Behaviour) -> GatewayRequest {
        let amount = match behaviour {
            Behaviour::Approves => 10_000,
            Behaviour::Declines => 10_402,
            Behaviour::FailsOnce => 10_502,
            Behaviour::LosesTheAnswer => 10_504,
            other => panic!("no amount brings about {other:?}"),
        };
        GatewayRequest { amount: Points::new(amount).unwrap(), ..charge }
    }
}

async fn simulator() -> Simulator {
    Simulator(SimulatedGateway::new(SimulatorSettings {
        mode: SimulatorMode::Approve,
        delay: Duration::ZERO,
        timeout: Duration::from_millis(10),
        scripted_by_amount: true,
    }))
}
