use axum::{extract::State, http::StatusCode, response::Response};
use boxoffice_application::{WalletService, fingerprint, wallet::ChargePointsError};
use boxoffice_domain::{
    Points,
    wallet::{ChargeAmount, ChargeRefusal},
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::ChargeResponse;
use crate::{
    api::Api,
    reply::{Code, Problem, made, problem_from, refusals},
    request::{Body, RequiredKey, Service, SignedIn, validation::parsed},
};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCharge)]
pub(crate) struct ChargeRequest {
    /// How many points; at most 10,000,000, unless the operator has set another number.
    #[schema(minimum = 1, maximum = 1_000_000_000_000_i64, example = 110_000)]
    amount: i64,
}

impl ChargeRequest {
    fn parse(&self, amount_max: Points) -> Result<ChargeAmount, Problem> {
        parsed(|fields| {
            let amount = fields.number("/amount", self.amount, 1..=amount_max.get())?;
            fields.check("/amount", "range", ChargeAmount::new(amount))
        })
    }
}

problem_from!(ChargeRefusal: [BalanceLimitReached => BalanceLimitReached], [KeyReused], other);

impl From<ChargePointsError> for Problem {
    fn from(error: ChargePointsError) -> Self {
        match error {
            ChargePointsError::Refused(refusal) => refusal.into(),
            ChargePointsError::Unavailable => Self::new(Code::ChargingUnavailable),
            ChargePointsError::Declined(charge) => Self::of_charge(Code::ChargeDeclined, charge.id),
            ChargePointsError::Gateway { charge_id, .. } => {
                tracing::warn!(%charge_id, error = &error as &dyn std::error::Error, "a charge has no verdict yet");
                Self::of_charge(Code::GatewayFailed, charge_id)
                    .detail("The payment gateway gave no answer. The charge stays pending and is resolved later.")
            }
            ChargePointsError::Storage(error) => error.into(),
        }
    }
}

refusals!(
    [SIGNED_IN, BODY, KEYED],
    [IdempotencyKeyRequired, ChargeDeclined, BalanceLimitReached, GatewayFailed, ChargingUnavailable]
);

/// Charge points
#[utoipa::path(
    post, path = "/v1/wallet/charges", tag = "wallet", operation_id = "wallet_charge", security(("bearer" = [])),
    params(RequiredKey), request_body = ChargeRequest,
    responses(
        (status = 201, description = "The points were credited.", body = ChargeResponse, headers(
            ("Location", description = "Where the charge is"),
            ("Idempotency-Replayed", description = "`true` if an earlier request made it"),
        )),
        Refusals,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.wallet.charge", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    Service(wallet): Service<WalletService>,
    SignedIn(identity): SignedIn,
    key: RequiredKey,
    Body(body): Body<ChargeRequest>,
) -> Result<Response, Problem> {
    let amount = body.parse(api.settings.rules.charge_points_max)?;
    let idempotency = key.naming(fingerprint::charge(amount.points()));
    let named = idempotency.clone();
    let act = async move { wallet.charge(identity, amount, named).await };
    let charged = api.run_idempotent(identity, Some(&idempotency), act).await??;
    let location = format!("/v1/wallet/charges/{}", charged.value.id);
    Ok(made(charged, StatusCode::CREATED, Some(&location), ChargeResponse::from))
}
