//! Small, fixed entities for the examples of this documentation and for tests of what is built on it.

use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, TimeDelta};
use uuid::Uuid;

use crate::{
    AccountId, ChargeId, ConcertId, PaymentId, PerformanceId, Points, ReservationId, Timestamp, VenueId,
    catalog::{PerformanceTerms, SalesWindow, VenueSummary},
    idempotency::{Fingerprint, Idempotency, IdempotencyKey},
    payments::SettleRequest,
    reservations::{
        CancelRequest, HOLD_SECONDS_DEFAULT, HoldRequest, Reservation, Seat, SeatLabel, SeatSelection, SeatState,
    },
    text::Name,
    wallet::{BALANCE_MAX, ChargeRequest},
};

/// What every seat of [`seats`] costs, in points.
pub const SEAT_PRICE: i64 = 55_000;

/// `seconds` after an instant at which [`terms`] are on sale.
pub fn instant(seconds: i64) -> Timestamp {
    DateTime::from_timestamp(1_800_000_000, 0).expect("in range") + TimeDelta::seconds(seconds)
}

/// An id that no other call in this process gives.
fn fresh() -> Uuid {
    static LAST: AtomicU64 = AtomicU64::new(0);
    Uuid::from_u64_pair(1, LAST.fetch_add(1, Ordering::Relaxed))
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a fixed name is right")
}

/// The terms of a performance that starts a year after [`instant`] 0, is on sale until then, and allows an
/// account 4 seats.
pub fn terms() -> PerformanceTerms {
    let starts_at = instant(365 * 86_400);
    PerformanceTerms {
        id: PerformanceId::new(fresh()),
        concert_id: ConcertId::new(fresh()),
        title: name("Night of Songs"),
        venue: VenueSummary { id: VenueId::new(fresh()), name: name("Rolling Hall"), location: name("Seoul") },
        starts_at,
        sales: SalesWindow::new(instant(-86_400), instant(364 * 86_400)).expect("opens before it closes"),
        max_seats_per_account: 4,
    }
}

/// Free seats of these labels, each at [`SEAT_PRICE`].
///
/// # Panics
///
/// Where a label is not one.
pub fn seats(labels: &[&str]) -> Vec<Seat> {
    let seat = |label: &&str| Seat {
        label: SeatLabel::new(label).expect("a seat label"),
        price: Points::new(SEAT_PRICE).expect("not negative"),
        state: SeatState::Free,
    };
    labels.iter().map(seat).collect()
}

/// A new account's request to hold these seats for 300 seconds.
///
/// # Panics
///
/// Where the labels are not a selection.
pub fn hold_request(terms: &PerformanceTerms, labels: &[&str]) -> HoldRequest {
    let labels = labels.iter().map(|label| SeatLabel::new(label).expect("a seat label")).collect();
    HoldRequest {
        reservation_id: ReservationId::new(fresh()),
        account_id: AccountId::new(fresh()),
        concert_id: terms.concert_id,
        performance_id: terms.id,
        seats: SeatSelection::new(labels).expect("a selection"),
        hold_seconds: HOLD_SECONDS_DEFAULT,
        idempotency: None,
    }
}

/// A key of its own for one request.
pub fn idempotency() -> Idempotency {
    let key = IdempotencyKey::new(&fresh().to_string()).expect("visible characters");
    Idempotency { key, fingerprint: Fingerprint([0; 16]) }
}

/// The owner's request to pay a reservation.
pub fn settle_request(reservation: &Reservation) -> SettleRequest {
    SettleRequest {
        payment_id: PaymentId::new(fresh()),
        reservation_id: reservation.id,
        account_id: reservation.account_id,
        concert_id: reservation.concert_id,
        queue_place: None,
        idempotency: idempotency(),
    }
}

/// The owner's request to cancel a reservation.
pub fn cancel_request(reservation: &Reservation) -> CancelRequest {
    CancelRequest { reservation_id: reservation.id, account_id: reservation.account_id, idempotency: None }
}

/// A new account's request to charge this many points.
///
/// # Panics
///
/// Where `amount` is negative.
pub fn charge_request(amount: i64) -> ChargeRequest {
    ChargeRequest {
        charge_id: ChargeId::new(fresh()),
        account_id: AccountId::new(fresh()),
        amount: Points::new(amount).expect("not negative"),
        balance_max: Points::new(BALANCE_MAX).expect("not negative"),
        idempotency: idempotency(),
    }
}
