//! `/v1/payments`.

use std::sync::Arc;

use axum::{Json as Answer, extract::State, http::StatusCode, response::Response};
use boxoffice_application::payments::PayError;
use boxoffice_domain::{
    PaymentId, ReservationId, Timestamp,
    payments::{PaymentStatus, PaymentView, SettleRefusal},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;
use validator::Validate;

use crate::{
    api::Api,
    auth::{Queued, SignedIn},
    cursor::List,
    extract::{Id, Json, Query, page},
    idempotency::{Requested, RequiredKey, made},
    problem::{Code, Problem, refusals},
    reservations::ReservationAnswer,
};

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(pay, list)).routes(routes!(find))
}

#[derive(Deserialize, Serialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
struct NewPayment {
    /// What is paid. How many points that takes is the reservation's to say.
    reservation_id: Uuid,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct PaymentQuery {
    /// The most items to give.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<i64>,
    /// Where to go on: the `next_cursor` of the page before.
    cursor: Option<String>,
}

#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PaymentStatus)]
enum StatusAnswer {
    /// The points were taken.
    Completed,
    /// The points were given back.
    Refunded,
}

impl From<PaymentStatus> for StatusAnswer {
    fn from(status: PaymentStatus) -> Self {
        match status {
            PaymentStatus::Completed => Self::Completed,
            PaymentStatus::Refunded => Self::Refunded,
        }
    }
}

/// Points turned into confirmed seats.
#[derive(Serialize, ToSchema)]
#[schema(as = Payment)]
struct PaymentAnswer {
    id: Uuid,
    reservation_id: Uuid,
    /// How many points were taken.
    amount: i64,
    status: StatusAnswer,
    /// The balance after the payment.
    balance_after: i64,
    paid_at: DateTime<Utc>,
    /// When the points were given back; `null` where they were not.
    #[schema(required)]
    refunded_at: Option<DateTime<Utc>>,
    reservation: ReservationAnswer,
}

impl PaymentAnswer {
    fn new(view: PaymentView, at: Timestamp) -> Self {
        let PaymentView { payment, reservation } = view;
        Self {
            id: payment.id.uuid(),
            reservation_id: payment.reservation_id.uuid(),
            amount: payment.amount.get(),
            status: payment.status().into(),
            balance_after: payment.balance_after.get(),
            paid_at: payment.paid_at,
            refunded_at: payment.refunded_at(),
            reservation: ReservationAnswer::new(reservation, at),
        }
    }
}

impl From<PayError> for Problem {
    fn from(error: PayError) -> Self {
        match error {
            PayError::Gate(error) => error.into(),
            PayError::Refused(refusal) => refusal.into(),
            PayError::Storage(error) => error.into(),
        }
    }
}

impl From<SettleRefusal> for Problem {
    fn from(refusal: SettleRefusal) -> Self {
        match refusal {
            SettleRefusal::ReservationNotFound => Self::new(Code::ReservationNotFound),
            SettleRefusal::WrongConcert => Self::new(Code::QueueTokenInvalid),
            SettleRefusal::AlreadyPaid => Self::new(Code::ReservationAlreadyPaid),
            SettleRefusal::Cancelled => Self::new(Code::ReservationCancelled),
            SettleRefusal::HoldExpired => Self::new(Code::HoldExpired),
            SettleRefusal::PerformanceStarted => Self::new(Code::PerformanceStarted),
            SettleRefusal::InsufficientPoints { balance, required } => Self::insufficient_points(balance, required),
            SettleRefusal::KeyReused(error) => error.into(),
        }
    }
}

refusals!(PayProblems: [SIGNED_IN, ADMITTED, BODY, KEYED], [
    IdempotencyKeyRequired, ReservationNotFound, ReservationAlreadyPaid, ReservationCancelled, HoldExpired,
    PerformanceStarted, InsufficientPoints,
]);
refusals!(ListProblems: [SIGNED_IN, LIST], []);
refusals!(FindProblems: [SIGNED_IN, PATH], [PaymentNotFound]);

/// Pay a held reservation with points
///
/// With the payment of the last seats that the account holds of the concert, its queue token expires.
#[utoipa::path(
    post, path = "/v1/payments", tag = "payments", security(("bearer" = [])), request_body = NewPayment,
    params(
        ("Queue-Token" = String, Header, description = "An active queue token of the concert"),
        ("Idempotency-Key" = String, Header, description = "Names this request, so that it may be repeated"),
    ),
    responses(
        (status = 201, description = "The seats are owned.", body = PaymentAnswer, headers(
            ("Location", description = "Where the payment is"),
            ("Idempotency-Replayed", description = "`true` where an earlier request made it"),
        )),
        PayProblems,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.payments.pay", skip_all)]
async fn pay(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    RequiredKey(key): RequiredKey,
    Queued(place): Queued,
    Json(body): Json<NewPayment>,
) -> Result<Response, Problem> {
    let requested = Requested::with_body(Some(&key), "pay", "", &body);
    let reservation_id = ReservationId::new(body.reservation_id);
    let service = Arc::clone(&api.services.payments);
    let act = async move { service.pay(place, reservation_id, key).await };
    let paid = api.keyed_act(identity, &requested, act).await??;
    let location = format!("/v1/payments/{}", paid.value.payment.id);
    let paid_at = paid.value.payment.paid_at;
    Ok(made(paid, StatusCode::CREATED, Some(&location), |view| PaymentAnswer::new(view, paid_at)))
}

/// The payments of the account, newest first
#[utoipa::path(
    get, path = "/v1/payments", tag = "payments", security(("bearer" = [])), params(PaymentQuery),
    responses((status = 200, description = "One page.", body = List<PaymentAnswer>), ListProblems),
)]
#[tracing::instrument(level = "debug", name = "http.payments.list", skip_all)]
async fn list(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    Query(query): Query<PaymentQuery>,
) -> Result<Answer<List<PaymentAnswer>>, Problem> {
    let page = page(query.limit, query.cursor.as_deref())?;
    let page = api.services.payments.list(identity, page).await?;
    let now = api.now();
    Ok(Answer(List::new(page, |view| PaymentAnswer::new(view, now))))
}

/// A payment of the account
#[utoipa::path(
    get, path = "/v1/payments/{id}", tag = "payments", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The payment")),
    responses((status = 200, description = "The payment.", body = PaymentAnswer), FindProblems),
)]
#[tracing::instrument(level = "debug", name = "http.payments.find", skip_all)]
async fn find(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    Id(id): Id<PaymentId>,
) -> Result<Answer<PaymentAnswer>, Problem> {
    let view = api.services.payments.find(identity, id).await?;
    let view = view.ok_or_else(|| Problem::new(Code::PaymentNotFound))?;
    Ok(Answer(PaymentAnswer::new(view, api.now())))
}
