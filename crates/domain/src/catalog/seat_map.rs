//! The seats of a performance as buyers see them.

use std::{
    ops::{Deref, Range},
    sync::Arc,
};

use crate::{
    PerformanceId, Points, Timestamp,
    seats::{Seat, SeatLabel, SeatState, SeatStatus},
};

/// A seat as buyers see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct SeatView<'m> {
    pub label: &'m SeatLabel,
    pub section: &'m str,
    pub row: &'m str,
    /// Its number in the row.
    pub number: u32,
    pub price: Points,
    /// Whether it can be had.
    pub status: SeatStatus,
}

/// The labels of all seats of a performance in the order of the plan, in which the seats of a section stand together.
/// A search for a section does not read the others.
///
/// ```
/// use boxoffice_domain::{catalog::SeatLabels, seats::SeatLabel};
/// let labels = ["A-1-1", "A-2-1", "B-1-1"].map(|text| SeatLabel::new(text).unwrap());
/// let labels = SeatLabels::from_iter(labels);
/// assert_eq!(labels.section("A").collect::<Vec<_>>(), [0, 1]);
/// assert_eq!((labels.section("B").count(), labels.section("C").count()), (1, 0));
/// assert_eq!(labels[2].as_str(), "B-1-1");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeatLabels {
    labels: Vec<SeatLabel>,
    /// Runs of labels of one section. A section has one, where the labels are in the order of a plan.
    runs: Vec<Range<usize>>,
}

impl SeatLabels {
    /// The places of a section's labels among all.
    pub fn section(&self, name: &str) -> impl Iterator<Item = usize> {
        self.runs.iter().filter(move |run| self.labels[run.start].parts().0 == name).cloned().flatten()
    }
}

impl FromIterator<SeatLabel> for SeatLabels {
    fn from_iter<I: IntoIterator<Item = SeatLabel>>(labels: I) -> Self {
        let labels: Vec<_> = labels.into_iter().collect();
        let mut begin = 0;
        let runs = labels.chunk_by(|one, next| one.parts().0 == next.parts().0).map(|run| {
            let end = begin + run.len();
            std::mem::replace(&mut begin, end)..end
        });
        Self { runs: runs.collect(), labels }
    }
}

impl Deref for SeatLabels {
    type Target = [SeatLabel];

    fn deref(&self) -> &[SeatLabel] {
        &self.labels
    }
}

/// What rarely changes about the seats of a performance, in the order of the plan. The maps of a performance share it,
/// so that a map is cheap to make and to compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedSeats {
    /// The performance.
    pub performance_id: PerformanceId,
    /// The label of each seat.
    pub labels: Arc<SeatLabels>,
    /// What each seat costs.
    pub prices: Arc<[Points]>,
}

/// The seats of a performance at one instant, in the order of the plan.
///
/// ```
/// use std::sync::Arc;
/// use boxoffice_domain::{
///     Points, catalog::{MappedSeats, SeatLabels, SeatMap}, fixtures::{self, instant},
///     seats::{SeatLabel, SeatState, SeatStatus},
/// };
/// let labels = ["A-1-1", "A-1-2"].map(|text| SeatLabel::new(text).unwrap());
/// let terms = fixtures::terms();
/// let seats = MappedSeats {
///     performance_id: terms.id,
///     labels: Arc::new(SeatLabels::from_iter(labels)),
///     prices: [Points::ZERO; 2].into(),
/// };
/// let by = fixtures::hold_request(&terms, &["A-1-2"]).reservation_id;
/// let states = [SeatState::Free, SeatState::Held { by, until: instant(300) }];
/// let map = SeatMap::at(instant(299), seats.clone(), &states);
/// assert_eq!((map.available(), map.lapses_at()), (1, Some(instant(300))));
/// let second = map.seats().nth(1).unwrap();
/// assert_eq!((second.section, second.row, second.number, second.status), ("A", "1", 2, SeatStatus::Held));
/// // The hold is over at its end, and from then on nothing changes by itself.
/// let map = SeatMap::at(instant(300), seats, &states);
/// assert_eq!((map.available(), map.lapses_at()), (2, None));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatMap {
    seats: MappedSeats,
    statuses: Vec<SeatStatus>,
    available: usize,
    lapses_at: Option<Timestamp>,
}

impl SeatMap {
    /// Shows seats as they are at `now`. The labels, prices and states are those of the same seats; what one of the lists
    /// has beyond the others is left out.
    pub fn at(now: Timestamp, seats: MappedSeats, states: &[SeatState]) -> Self {
        let count = seats.labels.len().min(seats.prices.len()).min(states.len());
        let (mut statuses, mut available, mut lapses_at) = (Vec::with_capacity(count), 0, None::<Timestamp>);
        for state in &states[..count] {
            let status = state.status(now);
            match (status, state) {
                (SeatStatus::Available, _) => available += 1,
                (SeatStatus::Held, SeatState::Held { until, .. }) => {
                    lapses_at = Some(lapses_at.map_or(*until, |first| first.min(*until)));
                }
                _ => {}
            }
            statuses.push(status);
        }
        Self { seats, statuses, available, lapses_at }
    }

    /// Shows seats, which are in the order of the plan, as they are at `now`.
    pub fn of(now: Timestamp, performance_id: PerformanceId, seats: &[&Seat]) -> Self {
        let labels = Arc::new(seats.iter().map(|seat| seat.label.clone()).collect());
        let prices = seats.iter().map(|seat| seat.price).collect();
        let states: Vec<_> = seats.iter().map(|seat| seat.state).collect();
        Self::at(now, MappedSeats { performance_id, labels, prices }, &states)
    }

    /// The performance.
    pub fn performance_id(&self) -> PerformanceId {
        self.seats.performance_id
    }

    /// Every seat.
    pub fn seats(&self) -> impl ExactSizeIterator<Item = SeatView<'_>> {
        (0..self.statuses.len()).map(|place| self.seat(place))
    }

    /// The seats of a section.
    pub fn section(&self, name: &str) -> impl Iterator<Item = SeatView<'_>> {
        let places = self.seats.labels.section(name).take_while(|place| *place < self.statuses.len());
        places.map(|place| self.seat(place))
    }

    fn seat(&self, place: usize) -> SeatView<'_> {
        let label = &self.seats.labels[place];
        let (section, row, number) = label.parts();
        SeatView { label, section, row, number, price: self.seats.prices[place], status: self.statuses[place] }
    }

    /// The status of every seat.
    pub fn statuses(&self) -> &[SeatStatus] {
        &self.statuses
    }

    /// How many of the seats can be had.
    pub fn available(&self) -> usize {
        self.available
    }

    /// When the next hold shown here ends, so that its seat can be had: from then on this map is out of date.
    pub fn lapses_at(&self) -> Option<Timestamp> {
        self.lapses_at
    }

    /// Whether two maps are of the same seats at the same prices; only statuses may differ.
    pub fn has_seats_of(&self, other: &Self) -> bool {
        // An `Arc` compares its value only if the other one is at another place.
        self.seats == other.seats
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ReservationId,
        fixtures::{self, instant},
    };
    use uuid::Uuid;

    #[test]
    fn a_map_shows_the_seats_of_which_everything_is_known() {
        let labels = ["A-1-1", "A-1-2", "B-1-1", "B-1-2"].map(|text| SeatLabel::new(text).unwrap());
        let seats = MappedSeats {
            performance_id: fixtures::terms().id,
            labels: Arc::new(SeatLabels::from_iter(labels)),
            prices: [Points::ZERO; 4].into(),
        };
        let by = ReservationId::new(Uuid::from_u128(1));
        let held = |seconds| SeatState::Held { by, until: instant(seconds) };
        let map = SeatMap::at(instant(100), seats.clone(), &[held(300), held(200), held(100)]);
        assert_eq!(map.statuses(), [SeatStatus::Held, SeatStatus::Held, SeatStatus::Available]);
        assert_eq!((map.available(), map.lapses_at()), (1, Some(instant(200))));
        let free = SeatMap::at(instant(300), seats.clone(), &[held(300), held(200), SeatState::Free]);
        assert_eq!((free.available(), free.lapses_at()), (3, None));
        let labels = |section| map.section(section).map(|seat| seat.label.as_str()).collect::<Vec<_>>();
        assert_eq!((labels("A"), labels("B"), labels("C")), (vec!["A-1-1", "A-1-2"], vec!["B-1-1"], vec![]));

        assert!(map.has_seats_of(&SeatMap::at(instant(0), seats.clone(), &[])));
        let dearer = MappedSeats { prices: [Points::new(1).unwrap(); 4].into(), ..seats };
        assert!(!map.has_seats_of(&SeatMap::at(instant(0), dearer, &[])));
    }
}
