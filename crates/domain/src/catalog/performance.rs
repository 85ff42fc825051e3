//! Performances: one concert at one venue at one time, and what its seats cost.

use std::collections::{HashMap, HashSet};

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use super::{
    concert::{Concert, SalesWindow},
    plan::{PlannedSeat, SeatingPlan, Venue, VenueSummary},
    rules::Booking,
};
use crate::{
    ConcertId, PerformanceId, Points, ReservationId, Timestamp,
    reservations::Reservation,
    seats::{PartName, Seat, SeatState, SeatStatus},
    text::Name,
};

/// The most points that one seat costs.
pub const PRICE_MAX: i64 = 100_000_000;

/// What the seats of each section cost. Every section of the venue has exactly one price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceList(Vec<Points>);

/// Why prices do not fit a venue; the numbers are indexes into the prices.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// A section has no price.
    #[error("the section `{0}` has no price")]
    SectionMissing(String),
    /// A price is for a section that the venue does not have.
    #[error("the venue has no such section")]
    SectionUnknown {
        /// The price.
        price: usize,
    },
    /// A section has two prices.
    #[error("the section has a price already")]
    SectionRepeated {
        /// The later of the two.
        price: usize,
    },
    /// More than [`PRICE_MAX`].
    #[error("a price is 0 to 100000000 points")]
    TooHigh {
        /// The price.
        price: usize,
    },
}

impl PriceError {
    /// The field that is wrong, as the rest of a JSON pointer to the performance.
    pub fn field(&self) -> String {
        match self {
            Self::SectionMissing(_) => "prices".to_owned(),
            Self::SectionUnknown { price } | Self::SectionRepeated { price } => format!("prices/{price}/section"),
            Self::TooHigh { price } => format!("prices/{price}/price"),
        }
    }
}

impl PriceList {
    /// Checks prices, each for the section of that name, against the plan they are for.
    pub fn new(plan: &SeatingPlan, prices: &[(PartName, Points)]) -> Result<Self, PriceError> {
        Self::of_sections(plan.sections().iter().map(|section| &section.name), prices)
    }

    /// As [`Self::new`], for sections of these names.
    pub fn of_sections<'s>(
        names: impl Iterator<Item = &'s PartName>,
        prices: &[(PartName, Points)],
    ) -> Result<Self, PriceError> {
        let names: Vec<&PartName> = names.collect();
        let sections: HashSet<&PartName> = names.iter().copied().collect();
        let mut by_section = HashMap::new();
        for (price_index, (section, price)) in prices.iter().enumerate() {
            if price.get() > PRICE_MAX {
                return Err(PriceError::TooHigh { price: price_index });
            }
            if !sections.contains(section) {
                return Err(PriceError::SectionUnknown { price: price_index });
            }
            if by_section.insert(section, *price).is_some() {
                return Err(PriceError::SectionRepeated { price: price_index });
            }
        }
        let of_section = |name: &PartName| {
            by_section.get(name).copied().ok_or_else(|| PriceError::SectionMissing(name.as_str().to_owned()))
        };
        names.into_iter().map(of_section).collect::<Result<_, _>>().map(Self)
    }

    /// The prices, in the order of the plan's sections.
    pub fn by_section(&self) -> &[Points] {
        &self.0
    }

    /// The lowest price.
    pub fn min(&self) -> Points {
        self.0.iter().min().copied().unwrap_or_default()
    }

    /// The highest price.
    pub fn max(&self) -> Points {
        self.0.iter().max().copied().unwrap_or_default()
    }

    /// Every seat of the plan with its price.
    pub fn seats<'a>(&'a self, plan: &'a SeatingPlan) -> impl Iterator<Item = (PlannedSeat<'a>, Points)> {
        let prices = plan.sections().iter().zip(&self.0).flat_map(|(section, price)| {
            let seats: usize = section.rows.iter().map(|row| row.seats as usize).sum();
            std::iter::repeat_n(*price, seats)
        });
        plan.seats().zip(prices)
    }
}

/// What the cheapest and the dearest seat cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct PriceRange {
    pub min: Points,
    pub max: Points,
}

impl PriceRange {
    /// The range of several ranges; `None` if there are none.
    pub fn of(ranges: impl IntoIterator<Item = Self>) -> Option<Self> {
        let join = |one: Self, other: Self| Self { min: one.min.min(other.min), max: one.max.max(other.max) };
        ranges.into_iter().reduce(join)
    }
}

/// The most dates that are shown with a concert.
pub const DATES_SHOWN_MAX: usize = 100;

/// When and where a concert is performed, as everyone sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct PerformanceDate {
    pub id: PerformanceId,
    pub venue: VenueSummary,
    pub starts_at: Timestamp,
}

impl From<PerformanceSummary> for PerformanceDate {
    fn from(PerformanceSummary { id, venue, starts_at, .. }: PerformanceSummary) -> Self {
        Self { id, venue, starts_at }
    }
}

impl PerformanceDate {
    /// Those of all dates of a concert, ascending, that are shown at `now`: [`DATES_SHOWN_MAX`] from the next one on, and as
    /// many of those before it as there is room for.
    pub fn shown(mut dates: Vec<Self>, now: Timestamp) -> Vec<Self> {
        let next = dates.partition_point(|date| date.starts_at < now);
        let left_out = next.min(dates.len().saturating_sub(DATES_SHOWN_MAX));
        dates.drain(..left_out);
        dates.truncate(DATES_SHOWN_MAX);
        dates
    }
}

/// One concert at one venue at one time, to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct NewPerformance {
    pub id: PerformanceId,
    pub concert_id: ConcertId,
    /// The venue, whose plan the prices were checked against.
    pub venue: Venue,
    pub starts_at: Timestamp,
    /// How long it takes the venue, 1 to [`DURATION_MINUTES_MAX`](super::DURATION_MINUTES_MAX).
    pub duration_minutes: u32,
    pub prices: PriceList,
    pub created_at: Timestamp,
}

impl NewPerformance {
    /// When it takes its venue.
    pub fn booking(&self) -> Booking {
        Booking { id: self.id, starts_at: self.starts_at, duration_minutes: self.duration_minutes }
    }

    /// Its seats, all of them free.
    pub fn seats(&self) -> impl Iterator<Item = Seat> {
        let seats = self.prices.seats(&self.venue.plan);
        seats.map(|(PlannedSeat { label, ordinal, .. }, price)| Seat { label, ordinal, price, state: SeatState::Free })
    }
}

/// A performance as buyers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct PerformanceSummary {
    pub id: PerformanceId,
    pub concert_id: ConcertId,
    pub venue: VenueSummary,
    pub starts_at: Timestamp,
    pub duration_minutes: u32,
    /// Whether it was taken from sale.
    pub withdrawn: bool,
    pub seats_total: u32,
    /// How many of them are neither sold nor held.
    pub seats_available: u32,
    pub price_min: Points,
    pub price_max: Points,
}

impl PerformanceSummary {
    /// Where a list goes on after it.
    pub fn key(&self) -> PerformanceKey {
        PerformanceKey { starts_at: self.starts_at, id: self.id }
    }

    /// What its seats cost.
    pub fn prices(&self) -> PriceRange {
        PriceRange { min: self.price_min, max: self.price_max }
    }
}

/// Where a list of performances goes on: they are sorted by start, then by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[expect(missing_docs, reason = "the fields are those of the last performance seen")]
pub struct PerformanceKey {
    pub starts_at: Timestamp,
    pub id: PerformanceId,
}

/// That a performance starts at another time than it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct Moved {
    /// When it was moved. What was held until then was held for an earlier start.
    pub at: Timestamp,
    /// The latest start that it ever had before. Until then, what was held before can be cancelled.
    pub cancel_until: Timestamp,
}

impl Moved {
    /// That a performance is moved at `now`, which was to start at `starts_at` and may have been `moved` before.
    pub fn from(starts_at: Timestamp, moved: Option<Self>, now: Timestamp) -> Self {
        let cancel_until = moved.map_or(starts_at, |moved| moved.cancel_until.max(starts_at));
        Self { at: now, cancel_until }
    }
}

/// What the rules of selling need to know of a performance, and what a reservation shows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct PerformanceTerms {
    pub id: PerformanceId,
    pub concert_id: ConcertId,
    pub title: Name,
    pub venue: VenueSummary,
    pub starts_at: Timestamp,
    pub sales: SalesWindow,
    /// How many seats of the concert one account may hold and own together.
    pub max_seats_per_account: u32,
    /// Whether an account may hold seats only if its wallet covers all that it holds.
    pub holds_need_balance: bool,
    /// Since when it is taken from sale.
    pub withdrawn_at: Option<Timestamp>,
    pub moved: Option<Moved>,
}

impl PerformanceTerms {
    /// From when on seats that were held at `held_at` and then paid cannot be cancelled any more: from the start, or the
    /// latest start that was announced since; `None` while the performance is taken from sale.
    pub fn cancellation_closes_at(&self, held_at: Timestamp) -> Option<Timestamp> {
        if self.withdrawn_at.is_some() {
            return None;
        }
        let moved = self.moved.filter(|moved| held_at <= moved.at);
        Some(moved.map_or(self.starts_at, |moved| self.starts_at.max(moved.cancel_until)))
    }

    /// The terms of a performance of this concert.
    pub fn new(concert: &Concert, id: PerformanceId, venue: VenueSummary, starts_at: Timestamp) -> Self {
        Self {
            id,
            concert_id: concert.id,
            title: concert.title.clone(),
            venue,
            starts_at,
            sales: concert.sales,
            max_seats_per_account: concert.max_seats_per_account,
            holds_need_balance: concert.holds_need_balance,
            withdrawn_at: None,
            moved: None,
        }
    }
}

/// How a performance sells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct Sales {
    /// Seats that can be had.
    pub available: u32,
    /// Seats that are held and not paid.
    pub held: u32,
    /// Seats that are sold.
    pub sold: u32,
    /// The points paid for the sold ones.
    pub revenue: Points,
}

impl Sales {
    /// How these seats sell at `now`; `None` if there are no seats. `reservation` finds
    /// the one that has a seat, with what was paid: the price of the seat itself is for its next buyer.
    ///
    /// # Panics
    ///
    /// If the revenue is more than points can count. At most [`PRICE_MAX`] a seat, no hall reaches that.
    pub fn of<'s>(
        seats: impl IntoIterator<Item = &'s Seat>,
        now: Timestamp,
        reservation: impl Fn(ReservationId) -> Option<&'s Reservation>,
    ) -> Option<Self> {
        seats.into_iter().fold(None, |sales, seat| {
            let mut sales: Self = sales.unwrap_or_default();
            match (seat.state.status(now), seat.state.reservation_id()) {
                (SeatStatus::Available, _) => sales.available += 1,
                (SeatStatus::Held, _) => sales.held += 1,
                (SeatStatus::Sold, to) => {
                    sales.sold += 1;
                    let seats = to.and_then(&reservation).into_iter().flat_map(|reservation| &reservation.seats);
                    let paid = seats.filter(|paid| paid.label == seat.label).map(|paid| paid.price).next();
                    let revenue = sales.revenue.checked_add(paid.unwrap_or_default());
                    sales.revenue = revenue.expect("the sum of a hall fits");
                }
            }
            Some(sales)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalog::plan::tests::{part, section},
        fixtures::{self, instant as at},
    };
    use uuid::Uuid;

    fn points(number: i64) -> Points {
        Points::new(number).unwrap()
    }

    #[test]
    fn a_new_performance_has_all_seats_of_the_plan_free_at_their_prices() {
        let plan = SeatingPlan::new(vec![section("A", &[("1", 1)]), section("B", &[("1", 2)])]).unwrap();
        let prices = PriceList::new(&plan, &[(part("A"), points(9)), (part("B"), points(5))]).unwrap();
        let VenueSummary { id, name, location, time_zone } = fixtures::terms().venue;
        let venue =
            Venue { id, name, location, plan, layout: None, overlaps_allowed: false, time_zone, created_at: at(0) };
        let (id, concert_id) = (PerformanceId::new(Uuid::from_u128(1)), ConcertId::new(Uuid::from_u128(2)));
        let (starts_at, duration_minutes, created_at) = (at(9), 180, at(0));
        let performance = NewPerformance { id, concert_id, venue, starts_at, duration_minutes, prices, created_at };
        let seats: Vec<_> = performance.seats().map(|seat| (seat.ordinal, seat.price, seat.state)).collect();
        assert_eq!(
            seats,
            [(0, points(9)), (1, points(5)), (2, points(5))].map(|(at, price)| (at, price, SeatState::Free))
        );
    }

    #[test]
    fn sales_count_seats_by_status_and_the_points_that_were_paid() {
        let terms = fixtures::terms();
        let mut sold = fixtures::held(&terms, &["A-1-5", "A-1-6", "A-1-7"]);
        for (seat, price) in sold.seats.iter_mut().zip([16, 32, 64]) {
            seat.price = points(price);
        }
        let (to, by) = (sold.id, ReservationId::new(Uuid::from_u128(1)));
        let states = [
            SeatState::Free,
            SeatState::Held { by, until: at(1) },
            SeatState::Held { by, until: at(2) },
            SeatState::Held { by, until: at(3) },
            SeatState::Sold { to },
            SeatState::Sold { to },
            SeatState::Sold { to },
        ];
        let mut seats = fixtures::seats(&["A-1-1", "A-1-2", "A-1-3", "A-1-4", "A-1-5", "A-1-6", "A-1-7"]);
        for (seat, state) in seats.iter_mut().zip(states) {
            seat.state = state;
        }
        let reservation = |id| (id == to).then_some(&sold);
        let sales = Sales { available: 2, held: 2, sold: 3, revenue: points(16 + 32 + 64) };
        assert_eq!(Sales::of(&seats, at(1), reservation), Some(sales));
        assert_eq!(Sales::of([], at(1), reservation), None);
    }

    #[test]
    fn the_dates_to_come_are_shown_and_earlier_ones_while_there_is_room() {
        let now = at(0);
        let venue = fixtures::terms().venue;
        let shown = |from: i64, to: i64| {
            let date = |seconds| PerformanceDate {
                id: PerformanceId::new(Uuid::from_u128(1)),
                venue: venue.clone(),
                starts_at: at(seconds),
            };
            let shown = PerformanceDate::shown((from..to).map(date).collect(), now);
            let ends = [shown.first(), shown.last()].map(|date| Some((date?.starts_at - now).num_seconds()));
            (shown.len(), ends)
        };
        assert_eq!(shown(0, 0), (0, [None, None]));
        assert_eq!(shown(-3, 2), (5, [Some(-3), Some(1)]));
        assert_eq!(shown(-50, 51), (100, [Some(-49), Some(50)]));
        assert_eq!(shown(-150, 200), (100, [Some(0), Some(99)]));
        assert_eq!(shown(-150, 0), (100, [Some(-100), Some(-1)]));
    }

    #[test]
    fn every_section_has_exactly_one_price() {
        let plan = SeatingPlan::new(vec![section("A", &[("1", 1)]), section("B", &[("1", 2)])]).unwrap();
        let list = PriceList::new(&plan, &[(part("B"), points(5)), (part("A"), points(9))]).unwrap();
        let prices: Vec<_> = list.seats(&plan).map(|(seat, price)| (seat.label.to_string(), price.get())).collect();
        assert_eq!(prices, [("A-1-1".to_owned(), 9), ("B-1-1".to_owned(), 5), ("B-1-2".to_owned(), 5)]);
        assert_eq!((list.min().get(), list.max().get()), (5, 9));
        assert_eq!(list.by_section(), [points(9), points(5)]);

        let error = |prices: &[(PartName, Points)]| PriceList::new(&plan, prices).unwrap_err();
        assert_eq!(error(&[(part("A"), points(1))]), PriceError::SectionMissing("B".to_owned()));
        assert_eq!(error(&[(part("C"), points(1))]), PriceError::SectionUnknown { price: 0 });
        assert_eq!(error(&[(part("A"), points(1)), (part("A"), points(1))]), PriceError::SectionRepeated { price: 1 });
        assert_eq!(error(&[(part("A"), points(PRICE_MAX + 1))]), PriceError::TooHigh { price: 0 });
        let fields = [&[][..], &[(part("C"), points(1))], &[(part("A"), points(PRICE_MAX + 1))]];
        assert_eq!(fields.map(|prices| error(prices).field()), ["prices", "prices/0/section", "prices/0/price"]);
    }

    #[test]
    fn what_was_held_before_a_move_is_cancelled_until_the_latest_start_and_while_withdrawn_at_any_time() {
        let terms = PerformanceTerms { starts_at: at(100), ..fixtures::terms() };
        assert_eq!(terms.cancellation_closes_at(at(0)), Some(at(100)));
        let earlier = Moved::from(at(100), None, at(10));
        assert_eq!(earlier, Moved { at: at(10), cancel_until: at(100) });
        let moved = PerformanceTerms { starts_at: at(50), moved: Some(earlier), ..terms.clone() };
        assert_eq!(moved.cancellation_closes_at(at(10)), Some(at(100)));
        assert_eq!(moved.cancellation_closes_at(at(11)), Some(at(50)), "it was held for the new start");
        let again = Moved::from(at(50), Some(earlier), at(20));
        assert_eq!(again, Moved { at: at(20), cancel_until: at(100) });
        let later = PerformanceTerms { starts_at: at(200), moved: Some(again), ..terms.clone() };
        assert_eq!(later.cancellation_closes_at(at(0)), Some(at(200)));
        assert_eq!(Moved::from(at(200), Some(again), at(21)).cancel_until, at(200));
        let withdrawn = PerformanceTerms { withdrawn_at: Some(at(30)), ..terms };
        assert_eq!(withdrawn.cancellation_closes_at(at(0)), None);
    }
}
