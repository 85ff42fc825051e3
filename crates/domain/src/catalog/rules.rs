//! The rules for what is published and changed, for all who do it: the API, an import and the demo.

use chrono::{Months, TimeDelta};
#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use super::concert::SalesWindow;
use crate::{PerformanceId, Timestamp};

/// How long a performance lasts unless it says otherwise.
pub const DURATION_MINUTES: u32 = 180;
/// The longest that a performance lasts.
pub const DURATION_MINUTES_MAX: u32 = 1_440;
/// How many years ahead a time may be.
const YEARS_AHEAD_MAX: u32 = 10;

/// Why a sale cannot be when it is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SalesTimeError {
    /// It would open more than ten years ahead.
    #[error("a sale opens at most ten years ahead")]
    OpensTooFarAhead,
    /// It would close more than ten years ahead.
    #[error("a sale closes at most ten years ahead")]
    ClosesTooFarAhead,
    /// A performance that is still to come would start before it, or with it.
    #[error("a performance of the concert starts before the sale would open")]
    OpensAfterStart,
}

impl SalesTimeError {
    /// The field with the wrong time.
    pub fn field(self) -> &'static str {
        match self {
            Self::OpensTooFarAhead | Self::OpensAfterStart => "sales_open_at",
            Self::ClosesTooFarAhead => "sales_close_at",
        }
    }
}

/// Why a performance cannot start when it is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// That has been already.
    #[error("a performance starts later than now")]
    Past,
    /// No seat could be bought before.
    #[error("a performance starts after its sale opens")]
    BeforeSale,
    /// More than ten years ahead.
    #[error("a performance starts at most ten years ahead")]
    TooFarAhead,
}

fn is_too_far_ahead(now: Timestamp, at: Timestamp) -> bool {
    now.checked_add_months(Months::new(12 * YEARS_AHEAD_MAX)).is_some_and(|latest| at > latest)
}

/// Checks the times of a sale, as far as they differ from those `before`.
pub fn check_sales(now: Timestamp, before: Option<&SalesWindow>, sales: &SalesWindow) -> Result<(), SalesTimeError> {
    let is_wrong = |of: fn(&SalesWindow) -> Timestamp| {
        let at = of(sales);
        before.is_none_or(|before| of(before) != at) && is_too_far_ahead(now, at)
    };
    if is_wrong(SalesWindow::open_at) {
        return Err(SalesTimeError::OpensTooFarAhead);
    }
    if is_wrong(SalesWindow::close_at) {
        return Err(SalesTimeError::ClosesTooFarAhead);
    }
    Ok(())
}

/// Checks a sale whose opening has been moved against the start of a performance that stays.
pub fn check_opening(now: Timestamp, sales: &SalesWindow, starts_at: Timestamp) -> Result<(), SalesTimeError> {
    if now < starts_at && starts_at <= sales.open_at() { Err(SalesTimeError::OpensAfterStart) } else { Ok(()) }
}

/// Checks the start of a performance that is new or moved. `history` allows one that has been already.
pub fn check_start(now: Timestamp, sales: &SalesWindow, starts_at: Timestamp, history: bool) -> Result<(), StartError> {
    if starts_at <= now && !history {
        Err(StartError::Past)
    } else if starts_at <= sales.open_at() {
        Err(StartError::BeforeSale)
    } else if is_too_far_ahead(now, starts_at) {
        Err(StartError::TooFarAhead)
    } else {
        Ok(())
    }
}

/// When a performance takes its venue.
///
/// One that was withdrawn takes it only while seats of it are sold: their owners may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[expect(missing_docs, reason = "the fields are those of the performance")]
pub struct Booking {
    pub id: PerformanceId,
    pub starts_at: Timestamp,
    pub duration_minutes: u32,
}

impl Booking {
    /// The first instant at which the venue is free again.
    pub fn ends_at(&self) -> Timestamp {
        let duration = TimeDelta::minutes(i64::from(self.duration_minutes));
        self.starts_at.checked_add_signed(duration).unwrap_or(Timestamp::MAX_UTC)
    }

    /// Before which instant another booking has to start to overlap with this one, and after which. No performance is
    /// longer than [`DURATION_MINUTES_MAX`].
    pub fn neighbourhood(&self) -> (Timestamp, Timestamp) {
        let longest = TimeDelta::minutes(i64::from(DURATION_MINUTES_MAX));
        (self.starts_at.checked_sub_signed(longest).unwrap_or(Timestamp::MIN_UTC), self.ends_at())
    }

    /// Whether both take the venue at one time. One may begin at the instant at which the other ends.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.id != other.id && self.starts_at < other.ends_at() && other.starts_at < self.ends_at()
    }

    /// The first of `others` that it overlaps with.
    pub fn conflict(&self, others: &[Self]) -> Option<Self> {
        others.iter().find(|other| self.overlaps(other)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::instant as at;
    use uuid::Uuid;

    fn sales(open_at: Timestamp, close_at: Timestamp) -> SalesWindow {
        SalesWindow::new(open_at, close_at).unwrap()
    }

    fn in_ten_years() -> Timestamp {
        at(0).checked_add_months(Months::new(120)).unwrap()
    }

    #[test]
    fn a_performance_starts_later_than_now_and_its_sale_and_within_ten_years() {
        let (past, coming) = (sales(at(-20), at(-15)), sales(at(5), at(9)));
        let moment = TimeDelta::microseconds(1);
        for (window, starts_at, history, expected) in [
            (past, at(0), false, Err(StartError::Past)),
            (past, at(-10), true, Ok(())),
            (past, at(-20), true, Err(StartError::BeforeSale)),
            (past, at(0) + moment, false, Ok(())),
            (coming, at(5), false, Err(StartError::BeforeSale)),
            (coming, at(5) + moment, false, Ok(())),
            (coming, in_ten_years(), false, Ok(())),
            (coming, in_ten_years() + moment, true, Err(StartError::TooFarAhead)),
        ] {
            assert_eq!(check_start(at(0), &window, starts_at, history), expected, "{starts_at}");
        }
    }

    #[test]
    fn a_sale_opens_and_closes_within_ten_years_as_far_as_it_is_changed() {
        let later = in_ten_years() + TimeDelta::seconds(1);
        assert_eq!(check_sales(at(0), None, &sales(at(0), in_ten_years())), Ok(()));
        let late = sales(at(0), later);
        assert_eq!(check_sales(at(0), None, &late), Err(SalesTimeError::ClosesTooFarAhead));
        assert_eq!(check_sales(at(0), Some(&late), &late), Ok(()));
        assert_eq!(check_sales(at(0), Some(&late), &sales(at(1), later)), Ok(()));
        let far = sales(later, later + TimeDelta::seconds(1));
        assert_eq!(check_sales(at(0), Some(&late), &far), Err(SalesTimeError::OpensTooFarAhead));
        assert_eq!(SalesTimeError::ClosesTooFarAhead.field(), "sales_close_at");
        assert_eq!(SalesTimeError::OpensAfterStart.field(), "sales_open_at");
    }

    #[test]
    fn a_sale_opens_before_each_performance_that_is_still_to_come() {
        let window = sales(at(10), at(20));
        for (now, starts_at, is_right) in [(0, 10, false), (0, 11, true), (5, 5, true), (5, 6, false)] {
            assert_eq!(check_opening(at(now), &window, at(starts_at)).is_ok(), is_right, "{starts_at} at {now}");
        }
    }

    #[test]
    fn bookings_overlap_if_they_take_one_instant() {
        let booking = |number, minute: i64, duration_minutes| Booking {
            id: PerformanceId::new(Uuid::from_u128(number)),
            starts_at: at(minute * 60),
            duration_minutes,
        };
        let evening = booking(1, 100, 60);
        assert_eq!(evening.ends_at(), at(160 * 60));
        assert_eq!(evening.neighbourhood(), (at((100 - 1_440) * 60), at(160 * 60)));
        for (minute, duration_minutes, expected) in
            [(40, 60, false), (40, 61, true), (159, 1, true), (160, 1, false), (120, 10, true), (0, 1_440, true)]
        {
            let other = booking(2, minute, duration_minutes);
            assert_eq!((evening.overlaps(&other), other.overlaps(&evening)), (expected, expected), "{other:?}");
            assert_eq!(evening.conflict(&[booking(1, 100, 60), other]), expected.then_some(other));
        }
        assert!(!evening.overlaps(&evening), "a booking is no other one");
    }
}
