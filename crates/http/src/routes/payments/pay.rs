use axum::{extract::State, http::StatusCode, response::Response};
use boxoffice_application::{PaymentService, fingerprint, payments::PayError};
use boxoffice_domain::{ReservationId, payments::PayRefusal};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::PaymentResponse;
use crate::{
    api::Api,
    reply::{Code, Problem, made, problem_from, refusals},
    request::{AtGate, Body, Queued, RequiredKey, Service, SignedIn},
};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPayment)]
pub(crate) struct PayRequest {
    /// What to pay. The amount is that of the reservation.
    reservation_id: Uuid,
}

impl From<PayRefusal> for Problem {
    fn from(refusal: PayRefusal) -> Self {
        match refusal {
            PayRefusal::ReservationNotFound => Self::new(Code::ReservationNotFound),
            PayRefusal::WrongConcert => Self::new(Code::QueueTokenInvalid),
            PayRefusal::AlreadyPaid => Self::new(Code::ReservationAlreadyPaid),
            PayRefusal::Cancelled => Self::new(Code::ReservationCancelled),
            PayRefusal::HoldExpired => Self::new(Code::HoldExpired),
            PayRefusal::PerformanceStarted => Self::new(Code::PerformanceStarted),
            PayRefusal::PerformanceWithdrawn => Self::new(Code::PerformanceWithdrawn),
            PayRefusal::InsufficientPoints { balance, required } => Self::insufficient_points(balance, required),
            PayRefusal::KeyReused(error) => error.into(),
            refusal => Self::unexpected(&refusal),
        }
    }
}

problem_from!(PayError: [], [Gate, Refused, Storage]);
refusals!(
    [SIGNED_IN, ADMITTED, BODY, KEYED],
    [
        IdempotencyKeyRequired,
        ReservationNotFound,
        ReservationAlreadyPaid,
        ReservationCancelled,
        HoldExpired,
        PerformanceStarted,
        PerformanceWithdrawn,
        InsufficientPoints,
    ]
);

/// Pay a held reservation with points
///
/// With the payment of the last seats that the account holds of the concert, its queue token expires.
#[utoipa::path(
    post, path = "/v1/payments", tag = "payments", operation_id = "payments_pay", security(("bearer" = [])),
    params(Queued, RequiredKey), request_body = PayRequest,
    responses(
        (status = 201, description = "The account owns the seats.", body = PaymentResponse, headers(
            ("Location", description = "Where the payment is"),
            ("Idempotency-Replayed", description = "`true` if an earlier request made it"),
        )),
        Refusals,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.payments.pay", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    Service(payments): Service<PaymentService>,
    SignedIn(identity): SignedIn,
    key: RequiredKey,
    AtGate(visitor): AtGate,
    Body(body): Body<PayRequest>,
) -> Result<Response, Problem> {
    let reservation_id = ReservationId::new(body.reservation_id);
    let idempotency = key.naming(fingerprint::pay(reservation_id));
    let named = idempotency.clone();
    let act = async move { payments.pay(visitor, reservation_id, named).await };
    let paid = api.run_idempotent(identity, Some(&idempotency), act).await??;
    let location = format!("/v1/payments/{}", paid.value.payment.id);
    let paid_at = paid.value.payment.paid_at;
    Ok(made(paid, StatusCode::CREATED, Some(&location), |view| PaymentResponse::new(view, paid_at)))
}
