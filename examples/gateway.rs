//! A payment gateway over HTTP, in one file.
//!
//! The provider of this example takes `POST /charges` with a JSON body, knows a charge by its `Idempotency-Key`, and
//! answers `{"verdict": "approved"}` or `{"verdict": "declined"}`. Everything else, and silence, is no verdict: the charge
//! stays pending, and the worker of the product asks again under the same id.
//!
//! `cargo run --bin gateway -- http://127.0.0.1:9000 10000` asks for a charge.

use std::{error::Error, time::Duration};

use boxoffice_domain::{
    AccountId, ChargeId, Points, async_trait,
    gateway::{GatewayError, GatewayRequest, GatewayVerdict, PaymentGateway},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What the provider is sent.
#[derive(Debug, Serialize, Deserialize)]
struct ChargeBody {
    account_id: AccountId,
    amount: Points,
}

/// What the provider answers.
#[derive(Debug, Serialize, Deserialize)]
struct VerdictBody {
    verdict: GatewayVerdict,
}

/// Asks a provider over HTTP.
struct HttpGateway {
    client: reqwest::Client,
    charges: String,
}

impl HttpGateway {
    /// A gateway that waits so long for an answer.
    fn new(base_url: &str, timeout: Duration) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder().timeout(timeout).build()?;
        Ok(Self { client, charges: format!("{base_url}/charges") })
    }
}

#[async_trait]
impl PaymentGateway for HttpGateway {
    async fn charge(&self, request: GatewayRequest) -> Result<GatewayVerdict, GatewayError> {
        let body = ChargeBody { account_id: request.account_id, amount: request.amount };
        let asked =
            self.client.post(&self.charges).header("idempotency-key", request.charge_id.to_string()).json(&body);
        let answer = asked.send().await.and_then(reqwest::Response::error_for_status).map_err(no_verdict)?;
        Ok(answer.json::<VerdictBody>().await.map_err(no_verdict)?.verdict)
    }
}

fn no_verdict(error: reqwest::Error) -> GatewayError {
    if error.is_timeout() { GatewayError::TimedOut } else { GatewayError::Failed(Box::new(error)) }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(base_url), Some(amount)) = (arguments.next(), arguments.next()) else {
        return Err("usage: gateway BASE_URL AMOUNT".into());
    };
    let request = GatewayRequest {
        charge_id: ChargeId::new(Uuid::now_v7()),
        account_id: AccountId::new(Uuid::now_v7()),
        amount: Points::new(amount.parse()?)?,
    };
    println!("{:?}", HttpGateway::new(&base_url, Duration::from_secs(5))?.charge(request).await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashMap,
        sync::{Arc, Mutex},
    };

    use axum::{
        Json, Router,
        extract::State,
        http::{HeaderMap, StatusCode},
        routing::post,
    };
    use boxoffice_contracts::payment_gateway::{Behaviour, Subject};

    use super::*;

    /// The provider: what it is to do with each charge, what it decided, and what it took.
    #[derive(Default)]
    struct Provider {
        arranged: HashMap<String, Behaviour>,
        decided: HashMap<String, GatewayVerdict>,
        points_taken: i64,
    }

    type Shared = Arc<Mutex<Provider>>;

    async fn charge(
        State(provider): State<Shared>,
        headers: HeaderMap,
        Json(body): Json<ChargeBody>,
    ) -> Result<Json<VerdictBody>, StatusCode> {
        let key = headers["idempotency-key"].to_str().unwrap().to_owned();
        let (behaviour, verdict) = {
            let mut provider = provider.lock().unwrap();
            if let Some(verdict) = provider.decided.get(&key) {
                return Ok(Json(VerdictBody { verdict: *verdict }));
            }
            let behaviour = provider.arranged.insert(key.clone(), Behaviour::Approves).unwrap();
            if behaviour == Behaviour::FailsOnce {
                return Err(StatusCode::INTERNAL_SERVER_ERROR);
            }
            let declines = behaviour == Behaviour::Declines;
            let verdict = if declines { GatewayVerdict::Declined } else { GatewayVerdict::Approved };
            provider.points_taken += if declines { 0 } else { body.amount.get() };
            provider.decided.insert(key, verdict);
            (behaviour, verdict)
        };
        if behaviour == Behaviour::LosesTheAnswer {
            std::future::pending::<()>().await;
        }
        Ok(Json(VerdictBody { verdict }))
    }

    struct Sandbox {
        gateway: HttpGateway,
        provider: Shared,
    }

    impl Subject for Sandbox {
        fn gateway(&self) -> &dyn PaymentGateway {
            &self.gateway
        }

        fn arrange(&self, charge: GatewayRequest, behaviour: Behaviour) -> GatewayRequest {
            self.provider.lock().unwrap().arranged.insert(charge.charge_id.to_string(), behaviour);
            charge
        }

        fn points_taken(&self) -> Option<i64> {
            Some(self.provider.lock().unwrap().points_taken)
        }
    }

    async fn sandbox() -> Sandbox {
        let provider = Shared::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/charges", post(charge)).with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        // Long enough for an answer on a busy machine; only the charge whose answer is lost takes that long.
        let gateway = HttpGateway::new(&base_url, Duration::from_secs(2)).unwrap();
        Sandbox { gateway, provider }
    }

    boxoffice_contracts::payment_gateway_contract!(sandbox);

    #[tokio::test]
    async fn a_provider_that_cannot_be_reached_gives_no_verdict() {
        let gateway = HttpGateway::new("http://127.0.0.1:1", Duration::from_secs(2)).unwrap();
        let (charge_id, account_id) = (ChargeId::new(Uuid::now_v7()), AccountId::new(Uuid::now_v7()));
        let outcome = gateway.charge(GatewayRequest { charge_id, account_id, amount: Points::ZERO }).await;
        assert!(matches!(outcome, Err(GatewayError::Failed(_))));
    }
}
