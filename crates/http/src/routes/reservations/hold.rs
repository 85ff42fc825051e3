use axum::{extract::State, http::StatusCode, response::Response};
use boxoffice_application::{
    fingerprint,
    reservations::{HoldSeats, HoldSeatsError},
};
use boxoffice_domain::{
    PerformanceId,
    reservations::HoldRefusal,
    seats::{SeatLabel, SeatSelection, SelectionError},
    text::NAME_CHARACTERS_MAX,
};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::ReservationResponse;
use crate::{
    api::Api,
    reply::{Code, Problem, made, problem_from, refusals},
    request::{
        AtGate, Body, OptionalKey, Queued, SignedIn,
        validation::{Fields, parsed},
    },
    routes::{CHARACTER_BYTES_MAX, ENTRY_BYTES_MAX, FIELDS_BYTES_MAX, SeatLabelText},
};

/// Room for the longest labels of so many seats, in bytes.
pub(crate) fn body_bytes_max(seats_max: u32) -> usize {
    const LABEL_BYTES_MAX: usize = 2 * NAME_CHARACTERS_MAX * CHARACTER_BYTES_MAX + ENTRY_BYTES_MAX;
    LABEL_BYTES_MAX * seats_max as usize + FIELDS_BYTES_MAX
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewReservation)]
pub(crate) struct HoldRequest {
    performance_id: Uuid,
    /// The labels of the seats, all different; at most 4, unless the operator has set another number.
    #[schema(value_type = Vec<SeatLabelText>, example = json!(["A-1-12", "A-1-13"]), min_items = 1)]
    seats: Vec<String>,
}

impl HoldRequest {
    fn parse(&self, seats_max: u32) -> Result<SeatSelection, Problem> {
        let label = |fields: &mut Fields, pointer: &str, text: &String| {
            fields.check(pointer, "seat_label", SeatLabel::new(text))
        };
        let labels = parsed(|fields| fields.each("/seats", &self.seats, label))?;
        SeatSelection::with_max(labels, seats_max).map_err(Problem::from)
    }
}

impl From<SelectionError> for Problem {
    fn from(error: SelectionError) -> Self {
        let message = error.to_string();
        match error {
            SelectionError::Empty => Self::violation("/seats", "seats_empty", message),
            SelectionError::Repeated { index } => Self::violation(format!("/seats/{index}"), "seat_repeated", message),
            SelectionError::TooMany { seats_max } => Self::of_limit(Code::TooManySeats, seats_max),
        }
    }
}

impl From<HoldRefusal> for Problem {
    fn from(refusal: HoldRefusal) -> Self {
        match refusal {
            HoldRefusal::PerformanceNotFound => Self::new(Code::PerformanceNotFound),
            HoldRefusal::WrongConcert => Self::new(Code::QueueTokenInvalid),
            HoldRefusal::PerformanceStarted => Self::new(Code::PerformanceStarted),
            HoldRefusal::PerformanceWithdrawn => Self::new(Code::PerformanceWithdrawn),
            HoldRefusal::NotOnSale(error) => error.into(),
            HoldRefusal::SeatNotFound(seats) => Self::of_seats(Code::SeatNotFound, seats),
            HoldRefusal::Cooldown { seconds_left } => Self::new(Code::HoldCooldown)
                .detail(format!(
                    "Too many holds of this concert were cancelled or not paid in time. The next is possible in \
                     {seconds_left} s; paying a hold ends the wait."
                ))
                .retry_after(seconds_left),
            HoldRefusal::InsufficientPoints { balance, required } => Self::insufficient_points(balance, required),
            HoldRefusal::SeatLimitReached { limit } => Self::of_limit(Code::SeatLimitReached, limit),
            HoldRefusal::SeatUnavailable { seats, held_by_account } => Self::seats_unavailable(seats, held_by_account),
            HoldRefusal::KeyReused(error) => error.into(),
            refusal => Self::unexpected(&refusal),
        }
    }
}

problem_from!(HoldSeatsError: [], [Gate, Refused, Storage]);
refusals!(
    [SIGNED_IN, ADMITTED, BODY, KEYED],
    [
        PerformanceNotFound,
        SeatNotFound,
        SeatUnavailable,
        SeatLimitReached,
        SaleNotOpen,
        SaleClosed,
        PerformanceStarted,
        PerformanceWithdrawn,
        TooManySeats,
        HoldCooldown,
        InsufficientPoints,
    ]
);

/// Hold seats
///
/// All of them or none. They are held for five minutes, unless the operator has set another time.
#[utoipa::path(
    post, path = "/v1/reservations", tag = "reservations", operation_id = "reservations_hold",
    security(("bearer" = [])), params(Queued, OptionalKey), request_body = HoldRequest,
    responses(
        (status = 201, description = "The seats are held.", body = ReservationResponse, headers(
            ("Location", description = "Where the reservation is"),
            ("Idempotency-Replayed", description = "`true` if an earlier request made it"),
        )),
        Refusals,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.reservations.hold", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    AtGate(visitor): AtGate,
    key: OptionalKey,
    Body(body): Body<HoldRequest>,
) -> Result<Response, Problem> {
    let seats = body.parse(api.settings.rules.seats_per_reservation_max.get())?;
    let hold = HoldSeats { performance_id: PerformanceId::new(body.performance_id), seats };
    let idempotency = key.naming(|| fingerprint::hold(&hold));
    let (service, named) = (api.services.reservations.clone(), idempotency.clone());
    let act = async move { service.hold(visitor, hold, named).await };
    let held = api.run_idempotent(identity, idempotency.as_ref(), act).await??;
    let location = format!("/v1/reservations/{}", held.value.reservation.id);
    // A repeated request gets the first response, in which the seats are held, even if they no longer are.
    let first_at = held.value.reservation.created_at;
    Ok(made(held, StatusCode::CREATED, Some(&location), |view| ReservationResponse::new(view, first_at)))
}
