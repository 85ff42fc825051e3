use axum::{extract::State, http::StatusCode, response::Response};
use boxoffice_application::{WalletService, fingerprint, wallet::ChargePointsError};
use boxoffice_domain::{
    Points,
    gateway::PaymentMethod,
    wallet::{ChargeAmount, ChargeRefusal},
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::ChargeResponse;
use crate::{
    api::Api,
    json,
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
    /// How the buyer pays, by the name that the payment gateway has for it; for Stripe the id of a `PaymentMethod`. Left out,
    /// the buyer chooses with the gateway's client.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(nullable = false, pattern = "^[A-Za-z0-9_-]{1,255}$", example = "pm_card_visa")]
    payment_method: Option<String>,
}

/// A charge of so many points, and how they are paid.
type NewCharge = (ChargeAmount, Option<PaymentMethod>);

impl ChargeRequest {
    fn parse(&self, amount_max: Points) -> Result<NewCharge, Problem> {
        parsed(|fields| {
            let amount = fields.number("/amount", self.amount, 1..=amount_max.get());
            let amount = amount.and_then(|amount| fields.check("/amount", "range", ChargeAmount::new(amount)));
            let method = self.payment_method.as_ref().map(|name| {
                let method = PaymentMethod::new(name.as_str()).ok_or(METHOD_FORMAT);
                fields.check("/payment_method", "wrong_format", method)
            });
            match method {
                Some(method) => Some((amount?, Some(method?))),
                None => Some((amount?, None)),
            }
        })
    }
}

const METHOD_FORMAT: &str = "a way to pay is named by 1 to 255 letters, digits, `_` and `-`";

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
///
/// Repeated under its key, it tells how the charge stands now.
#[utoipa::path(
    post, path = "/v1/wallet/charges", tag = "wallet", operation_id = "wallet_charge", security(("bearer" = [])),
    params(RequiredKey), request_body = ChargeRequest,
    responses(
        (status = 201, description = "The points were credited.", body = ChargeResponse, headers(
            ("Location", description = "Where the charge is"),
            ("Idempotency-Replayed", description = "`true` if an earlier request made it"),
        )),
        (status = 202, description = "The buyer has to act first, or the gateway has not decided yet.", body = ChargeResponse,
            headers(
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
    let (amount, method) = body.parse(api.settings.rules.charge_points_max)?;
    let idempotency = key.naming(fingerprint::charge(amount.points(), method.as_ref()));
    let named = idempotency.clone();
    let act = async move { wallet.charge(identity, amount, method, named).await };
    let charged = api.run_idempotent(identity, Some(&idempotency), act).await??;
    let charge = &charged.value.charge;
    let location = format!("/v1/wallet/charges/{}", charge.id);
    let status = if charge.state.is_open() { StatusCode::ACCEPTED } else { StatusCode::CREATED };
    Ok(made(charged, status, Some(&location), ChargeResponse::from))
}
