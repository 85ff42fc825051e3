//! A payment gateway over HTTP, in one file.
//!
//! The provider of this example knows a charge by the id that boxoffice gave it:
//!
//! | Request | Answer |
//! | --- | --- |
//! | `PUT /charges/{id}` | The charge, as it was decided when it was put first; 409 if that had another amount |
//! | `GET /charges/{id}` | The charge, or 404 |
//! | `DELETE /charges/{id}` | The charge: approved if it was, and declined for good otherwise |
//! | `PUT /charges/{id}/refunds/{id}` | `true`, or `false` for more than is left; 409 if it had another amount |
//! | `GET /charges` | All charges |
//!
//! Everything else, and silence, decides nothing: the charge stays pending, and the worker of the product asks again under
//! the same id.
//!
//! `cargo run --bin gateway -- http://127.0.0.1:9000 10000` begins a charge.

use std::{error::Error, time::Duration};

use boxoffice_domain::{
    AccountId, ChargeId, Points, Timestamp, async_trait,
    chrono::DateTime,
    gateway::{
        DeclineReason, GatewayAnswer, GatewayError, GatewayRecord, GatewayReference, GatewayRefund, GatewayRequest,
        GatewayState, HeaderField, Notification, NotificationRefusal, PaymentGateway, RefundVerdict,
    },
};
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

/// A charge in the books of the provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Charge {
    id: ChargeId,
    account_id: AccountId,
    amount: Points,
    is_approved: bool,
    refunded: Points,
    created_seconds: i64,
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

    /// Sends a request; `None` if the provider knows no such charge.
    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<(AccountId, Points)>,
    ) -> Result<Option<T>, GatewayError> {
        let asked = self.client.request(method, format!("{}{path}", self.charges)).json(&body);
        let answer = asked.send().await.map_err(no_answer)?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::CONFLICT => Err(GatewayError::Conflict),
            _ => answer.error_for_status().map_err(no_answer)?.json().await.map(Some).map_err(no_answer),
        }
    }
}

fn no_answer(error: reqwest::Error) -> GatewayError {
    if error.is_timeout() { GatewayError::TimedOut } else { GatewayError::Failed(Box::new(error)) }
}

/// What a charge of the provider says about the charge that was asked for.
fn checked(charge: &Charge, request: &GatewayRequest) -> Result<GatewayAnswer, GatewayError> {
    let is_same = (charge.account_id, charge.amount) == (request.account_id, request.amount);
    let decline = GatewayState::Declined(DeclineReason::Refused);
    let state = if charge.is_approved { GatewayState::Approved } else { decline };
    let reference = GatewayReference::new(charge.id.to_string());
    if is_same { Ok(GatewayAnswer { reference, state }) } else { Err(GatewayError::Conflict) }
}

#[async_trait]
impl PaymentGateway for HttpGateway {
    async fn begin(&self, request: &GatewayRequest) -> Result<GatewayAnswer, GatewayError> {
        let body = Some((request.account_id, request.amount));
        let charge: Option<Charge> = self.ask(Method::PUT, &format!("/{}", request.charge_id), body).await?;
        checked(&charge.ok_or_else(|| GatewayError::Failed("no charge".into()))?, request)
    }

    async fn query(&self, request: &GatewayRequest) -> Result<Option<GatewayAnswer>, GatewayError> {
        let charge: Option<Charge> = self.ask(Method::GET, &format!("/{}", request.charge_id), None).await?;
        charge.map(|charge| checked(&charge, request)).transpose()
    }

    async fn abandon(&self, request: &GatewayRequest) -> Result<GatewayAnswer, GatewayError> {
        let body = Some((request.account_id, request.amount));
        let charge: Option<Charge> = self.ask(Method::DELETE, &format!("/{}", request.charge_id), body).await?;
        checked(&charge.ok_or_else(|| GatewayError::Failed("no charge".into()))?, request)
    }

    async fn refund(&self, refund: &GatewayRefund) -> Result<RefundVerdict, GatewayError> {
        let path = format!("/{}/refunds/{}", refund.charge.charge_id, refund.refund_id);
        let is_accepted = self.ask(Method::PUT, &path, Some((refund.charge.account_id, refund.amount))).await?;
        Ok(if is_accepted == Some(true) { RefundVerdict::Accepted } else { RefundVerdict::Refused })
    }

    fn verify_notification(
        &self,
        _fields: &[HeaderField],
        _body: &[u8],
        _now: Timestamp,
    ) -> Result<Notification, NotificationRefusal> {
        Err(NotificationRefusal::NotExpected)
    }

    async fn records(
        &self,
        from: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<GatewayRecord>, GatewayError> {
        let charges: Option<Vec<Charge>> = self.ask(Method::GET, "", None).await?;
        let record = |charge: Charge| {
            let created_at = DateTime::from_timestamp(charge.created_seconds, 0)?;
            Some(GatewayRecord {
                reference: GatewayReference::new(charge.id.to_string())?,
                charge_id: Some(charge.id),
                amount: charge.amount,
                is_paid: charge.is_approved,
                refunded: charge.refunded,
                created_at,
            })
        };
        let records = charges.into_iter().flatten().filter_map(record);
        let records: Vec<_> = records.filter(|record| (from..until).contains(&record.created_at)).collect();
        if records.len() > limit { Err(GatewayError::Failed("more than the limit".into())) } else { Ok(records) }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(base_url), Some(amount)) = (arguments.next(), arguments.next()) else {
        return Err("usage: gateway BASE_URL AMOUNT".into());
    };
    let request = request(Points::new(amount.parse()?)?);
    println!("{:?}", HttpGateway::new(&base_url, Duration::from_secs(5))?.begin(&request).await?);
    Ok(())
}

/// A new charge.
fn request(amount: Points) -> GatewayRequest {
    GatewayRequest {
        charge_id: ChargeId::new(Uuid::now_v7()),
        account_id: AccountId::new(Uuid::now_v7()),
        amount,
        payment_method: None,
        created_at: Timestamp::UNIX_EPOCH,
        reference: None,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashMap,
        sync::{Arc, Mutex},
    };

    use axum::{
        Json, Router,
        extract::{Path, State},
        http::StatusCode,
        routing::{get, put},
    };
    use boxoffice_contracts::payment_gateway::{Ability, Behaviour, Subject};
    use boxoffice_domain::ChargeRefundId;

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    /// The provider: what it is to do with each charge, and its books.
    #[derive(Default)]
    struct Provider {
        arranged: HashMap<ChargeId, Behaviour>,
        charges: HashMap<ChargeId, Charge>,
        refunds: HashMap<ChargeRefundId, (Points, bool)>,
    }

    type Shared = Arc<Mutex<Provider>>;
    type Asked = Json<Option<(AccountId, Points)>>;
    type Answer<T> = Result<Json<T>, StatusCode>;

    async fn put_charge(State(shared): State<Shared>, Path(id): Path<ChargeId>, body: Asked) -> Answer<Charge> {
        let (account_id, amount) = body.0.ok_or(StatusCode::BAD_REQUEST)?;
        let (behaviour, charge) = {
            let mut provider = shared.lock().unwrap();
            let behaviour = provider.arranged.insert(id, Behaviour::Approves).unwrap_or(Behaviour::Approves);
            if behaviour == Behaviour::FailsOnce {
                return Err(StatusCode::INTERNAL_SERVER_ERROR);
            }
            if behaviour != Behaviour::LosesTheRequest {
                let is_approved = behaviour != Behaviour::Declines;
                provider.charges.entry(id).or_insert(Charge {
                    id,
                    account_id,
                    amount,
                    is_approved,
                    refunded: Points::ZERO,
                    created_seconds: NOW.timestamp(),
                });
            }
            (behaviour, provider.charges.get(&id).cloned())
        };
        if matches!(behaviour, Behaviour::LosesTheRequest | Behaviour::LosesTheAnswer) {
            std::future::pending::<()>().await;
        }
        let charge = charge.ok_or(StatusCode::NOT_FOUND)?;
        if charge.amount == amount { Ok(Json(charge)) } else { Err(StatusCode::CONFLICT) }
    }

    async fn get_charge(State(shared): State<Shared>, Path(id): Path<ChargeId>) -> Answer<Charge> {
        shared.lock().unwrap().charges.get(&id).cloned().map(Json).ok_or(StatusCode::NOT_FOUND)
    }

    async fn delete_charge(state: State<Shared>, path: Path<ChargeId>, body: Asked) -> Answer<Charge> {
        // A charge that is not there yet is put as declined.
        state.lock().unwrap().arranged.insert(path.0, Behaviour::Declines);
        put_charge(state, path, body).await
    }

    async fn put_refund(
        State(shared): State<Shared>,
        Path((id, refund_id)): Path<(ChargeId, ChargeRefundId)>,
        body: Asked,
    ) -> Answer<bool> {
        let (_, amount) = body.0.ok_or(StatusCode::BAD_REQUEST)?;
        let mut provider = shared.lock().unwrap();
        if let Some((known, is_accepted)) = provider.refunds.get(&refund_id) {
            return if *known == amount { Ok(Json(*is_accepted)) } else { Err(StatusCode::CONFLICT) };
        }
        let charge = provider.charges.get_mut(&id).ok_or(StatusCode::NOT_FOUND)?;
        let rest = charge.amount.checked_sub(charge.refunded).filter(|_| charge.is_approved);
        let is_accepted = rest.is_some_and(|rest| amount <= rest);
        if is_accepted {
            charge.refunded = charge.refunded.checked_add(amount).unwrap();
        }
        provider.refunds.insert(refund_id, (amount, is_accepted));
        Ok(Json(is_accepted))
    }

    async fn list(State(shared): State<Shared>) -> Json<Vec<Charge>> {
        Json(shared.lock().unwrap().charges.values().cloned().collect())
    }

    struct Sandbox {
        gateway: HttpGateway,
        provider: Shared,
    }

    impl Sandbox {
        fn charge(&self, request: &GatewayRequest) -> Option<Charge> {
            self.provider.lock().unwrap().charges.get(&request.charge_id).cloned()
        }
    }

    #[async_trait]
    impl Subject for Sandbox {
        fn gateway(&self) -> &dyn PaymentGateway {
            &self.gateway
        }

        fn lacks(&self) -> &'static [Ability] {
            &[Ability::WantsTheBuyer]
        }

        fn now(&self) -> Timestamp {
            NOW
        }

        async fn arrange(&self, charge: GatewayRequest, behaviour: Behaviour) -> GatewayRequest {
            self.provider.lock().unwrap().arranged.insert(charge.charge_id, behaviour);
            charge
        }

        async fn act(&self, _charge: &GatewayRequest, _answer: &GatewayAnswer, _confirms: bool) -> bool {
            false
        }

        async fn taken(&self, request: &GatewayRequest) -> Option<i64> {
            Some(self.charge(request).filter(|charge| charge.is_approved).map_or(0, |charge| charge.amount.get()))
        }

        async fn given_back(&self, request: &GatewayRequest) -> Option<i64> {
            Some(self.charge(request).map_or(0, |charge| charge.refunded.get()))
        }
    }

    async fn sandbox() -> Sandbox {
        let provider = Shared::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/charges", get(list))
            .route("/charges/{id}", put(put_charge).get(get_charge).delete(delete_charge))
            .route("/charges/{id}/refunds/{refund_id}", put(put_refund))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        // Long enough for an answer on a busy machine; only the charges whose answers are lost take that long.
        let gateway = HttpGateway::new(&base_url, Duration::from_secs(2)).unwrap();
        Sandbox { gateway, provider }
    }

    boxoffice_contracts::payment_gateway_contract!(sandbox);

    #[tokio::test]
    async fn a_provider_that_cannot_be_reached_decides_nothing() {
        let gateway = HttpGateway::new("http://127.0.0.1:1", Duration::from_secs(2)).unwrap();
        let outcome = gateway.begin(&request(Points::ZERO)).await;
        assert!(matches!(outcome, Err(GatewayError::Failed(_))));
    }
}
