use axum::{extract::State, http::StatusCode, response::Response};
use boxoffice_application::{WalletService, fingerprint, wallet::RefundPointsError};
use boxoffice_domain::{
    ChargeId, Points,
    wallet::{ChargeAmount, ChargeRefund, ChargeRefundRefusal, ChargeRefundState},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    api::Api,
    json,
    reply::{Code, Problem, made, refusals},
    request::{Body, Id, RequiredKey, Service, SignedIn, validation::parsed},
};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewChargeRefund)]
pub(crate) struct RefundRequest {
    /// How many points; left out, as many as are left of the charge and in the wallet.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(nullable = false, minimum = 1, maximum = 1_000_000_000_000_i64, example = 30_000)]
    amount: Option<i64>,
}

impl RefundRequest {
    fn parse(&self, amount_max: Points) -> Result<Option<ChargeAmount>, Problem> {
        let Some(amount) = self.amount else { return Ok(None) };
        parsed(|fields| {
            let amount = fields.number("/amount", amount, 1..=amount_max.get())?;
            fields.check("/amount", "range", ChargeAmount::new(amount)).map(Some)
        })
    }
}

#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ChargeRefundStatus)]
enum StatusResponse {
    /// The points have left the wallet; the payment gateway has not answered yet.
    Pending,
    /// The payment gateway gives the money back.
    Completed,
    /// The payment gateway gives nothing back, and the points are in the wallet again.
    Refused,
}

/// Points of a charge that become money again.
#[derive(Serialize, ToSchema)]
#[schema(as = ChargeRefund)]
pub(crate) struct RefundResponse {
    id: Uuid,
    charge_id: Uuid,
    amount: i64,
    status: StatusResponse,
    created_at: DateTime<Utc>,
}

impl From<ChargeRefund> for RefundResponse {
    fn from(refund: ChargeRefund) -> Self {
        Self {
            id: refund.id.uuid(),
            charge_id: refund.charge_id.uuid(),
            amount: refund.amount.get(),
            status: match refund.state {
                ChargeRefundState::Pending => StatusResponse::Pending,
                ChargeRefundState::Completed { .. } => StatusResponse::Completed,
                ChargeRefundState::Refused { .. } => StatusResponse::Refused,
            },
            created_at: refund.created_at,
        }
    }
}

impl From<ChargeRefundRefusal> for Problem {
    fn from(refusal: ChargeRefundRefusal) -> Self {
        match refusal {
            ChargeRefundRefusal::NoSuchCharge => Self::new(Code::ChargeNotFound),
            ChargeRefundRefusal::NotRefundable => Self::new(Code::ChargeNotRefundable),
            ChargeRefundRefusal::ExceedsCharge { rest } => Self::new(Code::ChargeNotRefundable)
                .detail(format!("Of the charge, {rest} points are left that can be given back.")),
            ChargeRefundRefusal::InsufficientPoints { balance, required } => {
                Self::insufficient_points(balance, required)
            }
            ChargeRefundRefusal::KeyReused(reused) => reused.into(),
            other => Self::unexpected(&other),
        }
    }
}

impl From<RefundPointsError> for Problem {
    fn from(error: RefundPointsError) -> Self {
        match error {
            RefundPointsError::Refused(refusal) => refusal.into(),
            RefundPointsError::Unavailable => Self::new(Code::ChargingUnavailable),
            RefundPointsError::Declined(refund) => Self::of_charge(Code::ChargeRefundRefused, refund.charge_id),
            RefundPointsError::Gateway { charge_id, .. } => {
                tracing::warn!(%charge_id, error = &error as &dyn std::error::Error, "a refund has no verdict yet");
                Self::of_charge(Code::GatewayFailed, charge_id)
                    .detail("The payment gateway gave no answer. The refund stays pending and is resolved later.")
            }
            RefundPointsError::Storage(error) => error.into(),
        }
    }
}

refusals!(
    [SIGNED_IN, PATH, BODY, KEYED],
    [
        IdempotencyKeyRequired,
        ChargeNotFound,
        ChargeNotRefundable,
        InsufficientPoints,
        ChargeRefundRefused,
        GatewayFailed,
        ChargingUnavailable,
    ]
);

/// Give points back for money
///
/// Points that were not spent go back to where they came from: no more than is left of the charge, and than the wallet has.
#[utoipa::path(
    post, path = "/v1/wallet/charges/{id}/refund", tag = "wallet", operation_id = "wallet_refund_charge",
    security(("bearer" = [])), params(("id" = Uuid, Path, description = "The charge"), RequiredKey),
    request_body = RefundRequest,
    responses(
        (status = 200, description = "The payment gateway gives the money back.", body = RefundResponse, headers(
            ("Idempotency-Replayed", description = "`true` if an earlier request made the refund"),
        )),
        Refusals,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.wallet.refund_charge", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    Service(wallet): Service<WalletService>,
    SignedIn(identity): SignedIn,
    Id(id): Id<ChargeId>,
    key: RequiredKey,
    Body(body): Body<RefundRequest>,
) -> Result<Response, Problem> {
    let amount = body.parse(api.settings.rules.charge_points_max)?;
    let idempotency = key.naming(fingerprint::charge_refund(id, amount));
    let named = idempotency.clone();
    let act = async move { wallet.refund(identity, id, amount, named).await };
    let refunded = api.run_idempotent(identity, Some(&idempotency), act).await??;
    Ok(made(refunded, StatusCode::OK, None, RefundResponse::from))
}
