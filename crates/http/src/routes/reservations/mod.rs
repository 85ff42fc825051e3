//! `/v1/reservations`.

pub(crate) mod cancel;
pub(crate) mod find;
pub(crate) mod hold;
pub(crate) mod list;

use boxoffice_domain::{
    PaymentId, Timestamp,
    reservations::{ReservationStatus, ReservationView, ReservedSeat},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::catalog::VenueSummaryResponse;
use crate::reply::mirror;

#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ReservationStatus)]
enum StatusResponse {
    /// Waiting for its payment.
    Held,
    /// Paid: the account owns the seats.
    Confirmed,
    /// Cancelled by its owner.
    Cancelled,
    /// Not paid in time.
    Expired,
}

mirror!(ReservationStatus => StatusResponse: Held, Confirmed, Cancelled, Expired);

#[derive(Serialize, ToSchema)]
#[schema(as = ReservedPerformance)]
struct PerformanceResponse {
    id: Uuid,
    concert_id: Uuid,
    /// The concert's title.
    title: String,
    venue: VenueSummaryResponse,
    starts_at: DateTime<Utc>,
    /// Whether it was taken from sale: what is paid can be cancelled, also after the start.
    withdrawn: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ReservedSeat)]
struct SeatResponse {
    #[schema(example = "A-1-12")]
    label: String,
    /// What it costs, in points.
    price: i64,
}

impl From<ReservedSeat> for SeatResponse {
    fn from(seat: ReservedSeat) -> Self {
        Self { label: seat.label.into(), price: seat.price.get() }
    }
}

/// Some seats of one performance, held for or owned by one account.
#[derive(Serialize, ToSchema)]
#[schema(as = Reservation)]
pub(crate) struct ReservationResponse {
    id: Uuid,
    status: StatusResponse,
    performance: PerformanceResponse,
    seats: Vec<SeatResponse>,
    /// The sum of the prices, in points.
    total_amount: i64,
    /// Until when it can be paid; `null` if it is not held.
    #[schema(required)]
    held_until: Option<DateTime<Utc>>,
    /// The payment that confirmed it, even after its refund; `null` before.
    #[schema(required)]
    payment_id: Option<Uuid>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl ReservationResponse {
    /// The reservation as it is at `at`.
    pub(crate) fn new(view: ReservationView, at: Timestamp) -> Self {
        let ReservationView { reservation, performance } = view;
        let status = reservation.status(at);
        Self {
            id: reservation.id.uuid(),
            status: status.into(),
            updated_at: reservation.changed_at(at),
            held_until: (status == ReservationStatus::Held).then_some(reservation.held_until),
            payment_id: reservation.payment_id().map(PaymentId::uuid),
            performance: PerformanceResponse {
                id: performance.id.uuid(),
                concert_id: performance.concert_id.uuid(),
                title: performance.title.into(),
                venue: performance.venue.into(),
                starts_at: performance.starts_at,
                withdrawn: performance.withdrawn_at.is_some(),
            },
            seats: reservation.seats.into_iter().map(SeatResponse::from).collect(),
            total_amount: reservation.total_amount.get(),
            created_at: reservation.created_at,
        }
    }
}
