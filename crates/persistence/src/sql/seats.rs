//! Seats: their rows, and reading those of a performance.

use boxoffice_domain::{
    PerformanceId, Points, ReservationId, StorageError, Timestamp,
    catalog::NewPerformance,
    seats::{Seat, SeatLabel, SeatState},
};
use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::Store;
use crate::{
    row::row,
    schema::seats,
    seat_cache::Reading,
    statement::Bind,
    stored::{Stored, damaged, optional_id, ordinal_number, points},
};

row! {
    pub(super) struct SeatRow in seats, from (performance_id: PerformanceId, seat: &Seat) {
        performance_id: Vec<u8> = performance_id,
        label: String = &seat.label,
        ordinal: i32 = ordinal_number(seat.ordinal),
        price: i64 = seat.price,
        reservation_id: Option<Vec<u8>> = stored_state(&seat.state).0,
        held_until: Option<NaiveDateTime> = stored_state(&seat.state).1,
    }
}

row! {
    /// The columns of a seat that change.
    struct SeatStateRow in seats {
        ordinal: i32,
        price: i64,
        reservation_id: Option<Vec<u8>>,
        held_until: Option<NaiveDateTime>,
    }
}

impl TryFrom<SeatRow> for Seat {
    type Error = StorageError;

    fn try_from(row: SeatRow) -> Result<Self, StorageError> {
        let label = SeatLabel::new(&row.label).map_err(|_| damaged("seat label")())?;
        let ordinal = u32::try_from(row.ordinal).map_err(|_| damaged("seat")())?;
        let state = seat_state(row.reservation_id.as_ref(), row.held_until)?;
        Ok(Self { label, ordinal, price: points(row.price)?, state })
    }
}

impl TryFrom<SeatStateRow> for (Points, SeatState) {
    type Error = StorageError;

    fn try_from(row: SeatStateRow) -> Result<Self, StorageError> {
        Ok((points(row.price)?, seat_state(row.reservation_id.as_ref(), row.held_until)?))
    }
}

fn stored_state(state: &SeatState) -> (Option<ReservationId>, Option<Timestamp>) {
    match *state {
        SeatState::Free => (None, None),
        SeatState::Held { by, until } => (Some(by), Some(until)),
        SeatState::Sold { to } => (Some(to), None),
    }
}

fn seat_state(reservation_id: Option<&Vec<u8>>, held_until: Option<NaiveDateTime>) -> Result<SeatState, StorageError> {
    match (optional_id(reservation_id)?, held_until) {
        (None, None) => Ok(SeatState::Free),
        (Some(by), Some(until)) => Ok(SeatState::Held { by, until: until.and_utc() }),
        (Some(to), None) => Ok(SeatState::Sold { to }),
        (None, Some(_)) => Err(damaged("seat")()),
    }
}

/// The rows of the seats of a new performance.
pub(super) fn new_seats(performance: &NewPerformance) -> Vec<Vec<Bind>> {
    performance.seats().map(|seat| SeatRow::bind(performance.id, &seat)).collect()
}

/// Whether a seat is available at `$now`.
macro_rules! is_available {
    ($now:expr) => {
        seats::reservation_id.is_null().or(seats::held_until.le($now).assume_not_null())
    };
}

pub(super) use is_available;

impl Store {
    /// Reads the seats of a performance for its seat cache, which knows the labels of `known` seats already.
    pub(super) async fn read_seats(&self, id: PerformanceId, known: Option<usize>) -> Result<Reading, StorageError> {
        let Some(known) = known else {
            return Ok(Reading::Whole(self.stored_seats(id).await?));
        };
        let query = seats::table.filter(seats::performance_id.eq(id.stored())).select(SeatStateRow::as_select());
        let mut rows = self.read(query).await?;
        // A published performance gets no more seats. If it did, their labels would be missing.
        if rows.len() != known {
            return Ok(Reading::Whole(self.stored_seats(id).await?));
        }
        rows.sort_unstable_by_key(|row| row.ordinal);
        let states = rows.into_iter().map(<(Points, SeatState)>::try_from).collect::<Result<_, _>>()?;
        Ok(Reading::Changeable(states))
    }

    /// The seats of a performance, in the order of the plan.
    pub(super) async fn stored_seats(&self, id: PerformanceId) -> Result<Vec<Seat>, StorageError> {
        let query = seats::table.filter(seats::performance_id.eq(id.stored())).select(SeatRow::as_select());
        let rows = self.read(query).await?;
        let mut seats = rows.into_iter().map(Seat::try_from).collect::<Result<Vec<_>, _>>()?;
        seats.sort_unstable_by_key(|seat| seat.ordinal);
        Ok(seats)
    }
}
