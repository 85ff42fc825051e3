//! `/v1/reservations`.

use std::sync::Arc;

use axum::{Json as Answer, extract::State, http::StatusCode, response::Response};
use boxoffice_application::reservations::HoldSeatsError;
use boxoffice_domain::{
    PerformanceId, ReservationId, Timestamp,
    catalog::VenueSummary,
    reservations::{
        CancelError, CancelRefusal, HoldRefusal, ReservationStatus, ReservationView, SeatLabel, SeatSelection,
        SelectionError,
    },
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
    idempotency::{OptionalKey, Requested, made},
    problem::{Code, Problem, Violation, refusals},
};

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(hold, list)).routes(routes!(find)).routes(routes!(cancel))
}

#[derive(Deserialize, Serialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
struct NewReservation {
    performance_id: Uuid,
    /// The labels of the seats, all different; at most 4, unless the operator has set another number.
    #[schema(example = json!(["A-1-12", "A-1-13"]), min_items = 1)]
    seats: Vec<String>,
}

impl NewReservation {
    fn parse(&self, seats_max: usize) -> Result<SeatSelection, Problem> {
        let labels: Vec<_> = self.seats.iter().map(|label| SeatLabel::new(label)).collect();
        let broken = labels.iter().enumerate().filter_map(|(index, label)| {
            let error = label.as_ref().err()?;
            let message = error.to_string().into();
            Some(Violation { pointer: format!("/seats/{index}"), code: "seat_label".into(), message })
        });
        let broken: Vec<_> = broken.collect();
        if !broken.is_empty() {
            return Err(Problem::violations(broken));
        }
        SeatSelection::with_max(labels.into_iter().flatten().collect(), seats_max).map_err(Problem::from)
    }
}

impl From<SelectionError> for Problem {
    fn from(error: SelectionError) -> Self {
        let message = error.to_string();
        match error {
            SelectionError::Empty => Self::violation("/seats", "seats_empty", message),
            SelectionError::Repeated { index } => Self::violation(format!("/seats/{index}"), "seat_repeated", message),
            SelectionError::TooMany { seats_max } => {
                Self::of_limit(Code::TooManySeats, u32::try_from(seats_max).unwrap_or(u32::MAX))
            }
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ReservationQuery {
    /// Only those of this status.
    #[param(inline)]
    status: Option<StatusAnswer>,
    /// The most items to give.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<i64>,
    /// Where to go on: the `next_cursor` of the page before.
    cursor: Option<String>,
}

#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ReservationStatus)]
enum StatusAnswer {
    /// Waiting for its payment.
    Held,
    /// Paid: the seats are owned.
    Confirmed,
    /// Given up by its owner.
    Cancelled,
    /// Not paid in time.
    Expired,
}

impl From<ReservationStatus> for StatusAnswer {
    fn from(status: ReservationStatus) -> Self {
        match status {
            ReservationStatus::Held => Self::Held,
            ReservationStatus::Confirmed => Self::Confirmed,
            ReservationStatus::Cancelled => Self::Cancelled,
            ReservationStatus::Expired => Self::Expired,
        }
    }
}

impl From<StatusAnswer> for ReservationStatus {
    fn from(status: StatusAnswer) -> Self {
        match status {
            StatusAnswer::Held => Self::Held,
            StatusAnswer::Confirmed => Self::Confirmed,
            StatusAnswer::Cancelled => Self::Cancelled,
            StatusAnswer::Expired => Self::Expired,
        }
    }
}

/// A hall as it is named beside a performance.
#[derive(Serialize, ToSchema)]
#[schema(as = VenueSummary)]
pub(crate) struct VenueSummaryAnswer {
    id: Uuid,
    name: String,
    location: String,
}

impl From<VenueSummary> for VenueSummaryAnswer {
    fn from(venue: VenueSummary) -> Self {
        Self { id: venue.id.uuid(), name: venue.name.into(), location: venue.location.into() }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = ReservedPerformance)]
struct PerformanceAnswer {
    id: Uuid,
    concert_id: Uuid,
    /// The concert's title.
    title: String,
    venue: VenueSummaryAnswer,
    starts_at: DateTime<Utc>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ReservedSeat)]
struct SeatAnswer {
    #[schema(example = "A-1-12")]
    label: String,
    /// What it costs, in points.
    price: i64,
}

/// Some seats of one performance, held for or owned by one account.
#[derive(Serialize, ToSchema)]
#[schema(as = Reservation)]
pub(crate) struct ReservationAnswer {
    id: Uuid,
    status: StatusAnswer,
    performance: PerformanceAnswer,
    seats: Vec<SeatAnswer>,
    /// The sum of the prices, in points.
    total_amount: i64,
    /// Until when it can be paid; `null` when it is not held.
    #[schema(required)]
    held_until: Option<DateTime<Utc>>,
    /// The payment that it was confirmed by, also after its refund; `null` before.
    #[schema(required)]
    payment_id: Option<Uuid>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl ReservationAnswer {
    /// How a reservation is shown at `at`.
    pub(crate) fn new(view: ReservationView, at: Timestamp) -> Self {
        let ReservationView { reservation, performance } = view;
        let (status, updated_at) = (reservation.status(at), reservation.changed_at(at));
        let held_until = (status == ReservationStatus::Held).then_some(reservation.held_until);
        let payment_id = reservation.payment_id().map(boxoffice_domain::PaymentId::uuid);
        let seat = |seat: boxoffice_domain::reservations::ReservedSeat| SeatAnswer {
            label: seat.label.into(),
            price: seat.price.get(),
        };
        Self {
            id: reservation.id.uuid(),
            status: status.into(),
            performance: PerformanceAnswer {
                id: performance.id.uuid(),
                concert_id: performance.concert_id.uuid(),
                title: performance.title.into(),
                venue: performance.venue.into(),
                starts_at: performance.starts_at,
            },
            seats: reservation.seats.into_iter().map(seat).collect(),
            total_amount: reservation.total_amount.get(),
            held_until,
            payment_id,
            created_at: reservation.created_at,
            updated_at,
        }
    }
}

impl From<HoldSeatsError> for Problem {
    fn from(error: HoldSeatsError) -> Self {
        match error {
            HoldSeatsError::Gate(error) => error.into(),
            HoldSeatsError::Refused(refusal) => refusal.into(),
            HoldSeatsError::Storage(error) => error.into(),
        }
    }
}

impl From<HoldRefusal> for Problem {
    fn from(refusal: HoldRefusal) -> Self {
        match refusal {
            HoldRefusal::PerformanceNotFound => Self::new(Code::PerformanceNotFound),
            HoldRefusal::WrongConcert => Self::new(Code::QueueTokenInvalid),
            HoldRefusal::PerformanceStarted => Self::new(Code::PerformanceStarted),
            HoldRefusal::NotOnSale(error) => error.into(),
            HoldRefusal::SeatNotFound(seats) => Self::of_seats(Code::SeatNotFound, seats),
            HoldRefusal::SeatLimitReached { limit } => Self::of_limit(Code::SeatLimitReached, limit),
            HoldRefusal::SeatUnavailable(seats) => Self::of_seats(Code::SeatUnavailable, seats),
            HoldRefusal::KeyReused(error) => error.into(),
        }
    }
}

impl From<CancelError> for Problem {
    fn from(error: CancelError) -> Self {
        match error {
            CancelError::Refused(CancelRefusal::NotFound) => Self::new(Code::ReservationNotFound),
            CancelError::Refused(CancelRefusal::AlreadyCancelled) => Self::new(Code::ReservationCancelled),
            CancelError::Refused(CancelRefusal::HoldExpired) => Self::new(Code::HoldExpired),
            CancelError::Refused(CancelRefusal::Closed) => Self::new(Code::CancellationClosed),
            CancelError::Refused(CancelRefusal::KeyReused(error)) => error.into(),
            CancelError::Storage(error) => error.into(),
        }
    }
}

refusals!(HoldProblems: [SIGNED_IN, ADMITTED, BODY, KEYED], [
    PerformanceNotFound, SeatNotFound, SeatUnavailable, SeatLimitReached, SaleNotOpen, SaleClosed,
    PerformanceStarted, TooManySeats,
]);
refusals!(ListProblems: [SIGNED_IN, LIST], []);
refusals!(FindProblems: [SIGNED_IN, PATH], [ReservationNotFound]);
refusals!(CancelProblems: [SIGNED_IN, PATH, KEYED], [
    ReservationNotFound, ReservationCancelled, CancellationClosed, HoldExpired,
]);

/// Hold seats
///
/// All of them or none. They are held for five minutes, unless the operator has set another time.
#[utoipa::path(
    post, path = "/v1/reservations", tag = "reservations", security(("bearer" = [])), request_body = NewReservation,
    params(
        ("Queue-Token" = String, Header, description = "An active queue token of the concert"),
        ("Idempotency-Key" = Option<String>, Header, description = "Names this request, so that it may be repeated"),
    ),
    responses(
        (status = 201, description = "The seats are held.", body = ReservationAnswer, headers(
            ("Location", description = "Where the reservation is"),
            ("Idempotency-Replayed", description = "`true` where an earlier request made it"),
        )),
        HoldProblems,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.reservations.hold", skip_all)]
async fn hold(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    Queued(place): Queued,
    OptionalKey(key): OptionalKey,
    Json(body): Json<NewReservation>,
) -> Result<Response, Problem> {
    let seats = body.parse(api.settings.seats_per_reservation_max)?;
    let requested = Requested::with_body(key.as_ref(), "hold", "", &body);
    let performance_id = PerformanceId::new(body.performance_id);
    let service = Arc::clone(&api.services.reservations);
    let act = async move { service.hold(place, performance_id, seats, key).await };
    let held = api.keyed_act(identity, &requested, act).await??;
    let location = format!("/v1/reservations/{}", held.value.reservation.id);
    // A repeated request gets the first answer, in which the seats are held, even when they no longer are.
    let first_at = held.value.reservation.created_at;
    Ok(made(held, StatusCode::CREATED, Some(&location), |view| ReservationAnswer::new(view, first_at)))
}

/// The reservations of the account, newest first
#[utoipa::path(
    get, path = "/v1/reservations", tag = "reservations", security(("bearer" = [])), params(ReservationQuery),
    responses((status = 200, description = "One page.", body = List<ReservationAnswer>), ListProblems),
)]
#[tracing::instrument(level = "debug", name = "http.reservations.list", skip_all)]
async fn list(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    Query(query): Query<ReservationQuery>,
) -> Result<Answer<List<ReservationAnswer>>, Problem> {
    let page = page(query.limit, query.cursor.as_deref())?;
    let status = query.status.map(ReservationStatus::from);
    let page = api.services.reservations.list(identity, status, page).await?;
    let now = api.now();
    Ok(Answer(List::new(page, |view| ReservationAnswer::new(view, now))))
}

/// A reservation of the account
#[utoipa::path(
    get, path = "/v1/reservations/{id}", tag = "reservations", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The reservation")),
    responses((status = 200, description = "The reservation.", body = ReservationAnswer), FindProblems),
)]
#[tracing::instrument(level = "debug", name = "http.reservations.find", skip_all)]
async fn find(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    Id(id): Id<ReservationId>,
) -> Result<Answer<ReservationAnswer>, Problem> {
    let view = api.services.reservations.find(identity, id).await?;
    let view = view.ok_or_else(|| Problem::new(Code::ReservationNotFound))?;
    Ok(Answer(ReservationAnswer::new(view, api.now())))
}

/// Give a reservation up
///
/// A held one until it lapses; a paid one until the performance starts, and its points are refunded.
#[utoipa::path(
    post, path = "/v1/reservations/{id}/cancel", tag = "reservations", security(("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The reservation"),
        ("Idempotency-Key" = Option<String>, Header, description = "Names this request, so that it may be repeated"),
    ),
    responses(
        (status = 200, description = "The reservation is cancelled.", body = ReservationAnswer, headers(
            ("Idempotency-Replayed", description = "`true` where an earlier request cancelled it"),
        )),
        CancelProblems,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.reservations.cancel", skip_all)]
async fn cancel(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    Id(id): Id<ReservationId>,
    OptionalKey(key): OptionalKey,
) -> Result<Response, Problem> {
    let requested = Requested::new(key.as_ref(), "cancel", [id.to_string().as_str()]);
    let service = Arc::clone(&api.services.reservations);
    let act = async move { service.cancel(identity, id, key).await };
    let cancelled = api.keyed_act(identity, &requested, act).await??;
    let now = api.now();
    Ok(made(cancelled, StatusCode::OK, None, |view| ReservationAnswer::new(view, now)))
}
