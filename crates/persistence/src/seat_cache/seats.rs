//! The seats of one performance as they were last read, and as updates have changed them since.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use boxoffice_domain::{
    PerformanceId, Points, Timestamp,
    catalog::{MappedSeats, SeatLabels, SeatMap, Stock},
    seats::{Seat, SeatLabel, SeatState, SeatStatus},
};
use hashbrown::HashTable;
use tokio::time::Instant;

use super::updates::{Now, SeatUpdate};

/// What was read of a performance.
#[derive(Debug)]
pub(crate) enum Reading {
    /// Every seat with its label, in the order of the plan; none if there is no such performance.
    Whole(Vec<Seat>),
    /// What may have changed of the seats that are known already, in the order of the plan.
    Changeable(Vec<(Points, SeatState)>),
}

pub(super) struct Seats {
    pub(super) labels: Arc<SeatLabels>,
    by_label: ByLabel,
    prices: Arc<[Points]>,
    pub(super) states: Vec<SeatState>,
    /// When the reading began: everything that was written before is in it.
    pub(super) read_at: Instant,
    /// The same moment, as it is compared with the times of reservations.
    read_time: Timestamp,
    /// Whether a state comes from the refusal of a hold, and may be outdated.
    pub(super) found_out: bool,
}

impl Seats {
    /// The seats as they were read; `None` if there are none.
    pub(super) fn of(reading: Reading, former: Option<Self>, began_at: (Instant, Timestamp)) -> Option<Self> {
        let (read_at, read_time) = began_at;
        match reading {
            Reading::Whole(seats) if seats.is_empty() => None,
            Reading::Whole(seats) => {
                let prices = seats.iter().map(|seat| seat.price).collect();
                let states = seats.iter().map(|seat| seat.state).collect();
                let labels: SeatLabels = seats.into_iter().map(|seat| seat.label).collect();
                let labels = Arc::new(labels);
                let by_label = ByLabel::of(&labels);
                Some(Self { labels, by_label, prices, states, read_at, read_time, found_out: false })
            }
            Reading::Changeable(read) => {
                let former = former.filter(|former| former.labels.len() == read.len())?;
                let same_prices = former.prices.iter().zip(&read).all(|(former, (price, _))| former == price);
                let prices = if same_prices { former.prices } else { read.iter().map(|(price, _)| *price).collect() };
                let states = read.into_iter().map(|(_, state)| state).collect();
                Some(Self { prices, states, read_at, read_time, found_out: false, ..former })
            }
        }
    }

    pub(super) fn map(&self, id: PerformanceId, now: Timestamp) -> SeatMap {
        let (labels, prices) = (Arc::clone(&self.labels), Arc::clone(&self.prices));
        SeatMap::at(now, MappedSeats { performance_id: id, labels, prices }, &self.states)
    }

    pub(super) fn available(&self, now: Timestamp) -> usize {
        self.states.iter().filter(|state| state.status(now) == SeatStatus::Available).count()
    }

    /// What is left.
    pub(super) fn stock(&self, now: Timestamp) -> Stock {
        let mut stock = Stock { total: self.states.len() as u64, ..Stock::default() };
        for state in &self.states {
            match state.status(now) {
                SeatStatus::Available => stock.available += 1,
                SeatStatus::Held => stock.held += 1,
                SeatStatus::Sold => {}
            }
        }
        stock
    }

    /// Applies an update. Returns `false` if it does not continue from what is here: a peer has written before or after it,
    /// or an import has changed the prices.
    pub(super) fn apply(&mut self, update: &SeatUpdate, now: Timestamp) -> bool {
        let prices_agree = self.prices_agree(update);
        self.apply_states(update, now) && prices_agree
    }

    /// Whether the seats cost here what an update says. A reservation keeps its prices: one that was made before the
    /// reading says nothing about it.
    fn prices_agree(&self, update: &SeatUpdate) -> bool {
        let agrees = |label: &SeatLabel, price: Points| {
            self.by_label.find(label, &self.labels).is_none_or(|place| self.prices[place] == price)
        };
        match update {
            SeatUpdate::Changed(change) | SeatUpdate::Replayed(change) => {
                let prices = change.prices.as_ref().filter(|prices| prices.held_at >= self.read_time);
                let prices = prices.into_iter().flat_map(|prices| &prices.of_seats);
                change.seats.iter().zip(prices).all(|(label, price)| agrees(label, *price))
            }
            SeatUpdate::Unavailable { seats, .. } => seats.iter().all(|seat| agrees(&seat.label, seat.price)),
        }
    }

    fn apply_states(&mut self, update: &SeatUpdate, now: Timestamp) -> bool {
        let available = |state: &SeatState| state.status(now) == SeatStatus::Available;
        match update {
            SeatUpdate::Changed(change) => {
                let (state, its) = (change.state(), Some(change.reservation_id));
                if change.now == Now::Free {
                    return self.each(&change.seats, |known| {
                        if known.reservation_id() == its {
                            *known = SeatState::Free;
                        }
                        available(known)
                    });
                }
                self.each(&change.seats, |known| {
                    let has = known.reservation_id() == its;
                    let continues = available(known) || has;
                    // The hold may arrive from a peer after this process has sold the seats.
                    if continues && !(has && matches!(known, SeatState::Sold { .. })) {
                        *known = state;
                    }
                    continues
                })
            }
            SeatUpdate::Replayed(change) if change.now == Now::Free => {
                self.each(&change.seats, |known| known.reservation_id() != Some(change.reservation_id))
            }
            // The time of the first outcome may be over.
            SeatUpdate::Replayed(change) => {
                available(&change.state()) || self.each(&change.seats, |known| !available(known))
            }
            SeatUpdate::Unavailable { seats, .. } => seats.iter().all(|seat| {
                let mut found_out = false;
                let known = self.each([&seat.label], |known| {
                    if available(known) {
                        *known = seat.state;
                        found_out = true;
                    }
                    true
                });
                self.found_out |= found_out;
                known
            }),
        }
    }

    /// Whether `change` returns `true` for each of these seats; it is called for all of them.
    fn each<'l>(
        &mut self,
        labels: impl IntoIterator<Item = &'l SeatLabel>,
        mut change: impl FnMut(&mut SeatState) -> bool,
    ) -> bool {
        let mut all = true;
        for label in labels {
            let place = self.by_label.find(label, &self.labels);
            all &= place.is_some_and(|place| change(&mut self.states[place]));
        }
        all
    }
}

/// Finds a label in the list of all labels, of which it keeps the places alone.
struct ByLabel {
    hasher: RandomState,
    places: HashTable<u32>,
}

impl ByLabel {
    fn of(labels: &[SeatLabel]) -> Self {
        let hasher = RandomState::new();
        let mut places = HashTable::with_capacity(labels.len());
        for (place, label) in (0..).zip(labels) {
            places.insert_unique(hasher.hash_one(label), place, |other| hasher.hash_one(&labels[index(*other)]));
        }
        Self { hasher, places }
    }

    fn find(&self, label: &SeatLabel, labels: &[SeatLabel]) -> Option<usize> {
        let found = self.places.find(self.hasher.hash_one(label), |place| labels[index(*place)] == *label);
        found.map(|place| index(*place))
    }
}

/// A performance has up to 200,000 seats.
fn index(place: u32) -> usize {
    place as usize
}

#[cfg(test)]
mod tests {
    use boxoffice_domain::{
        PerformanceId, ReservationId,
        fixtures::{self, instant},
    };
    use uuid::Uuid;

    use super::{
        super::updates::{Prices, SeatChange},
        *,
    };

    #[test]
    fn a_reservation_that_is_older_than_the_reading_says_nothing_about_prices() {
        let read = || Reading::Whole(fixtures::seats(&["A-1-1"]));
        let price = fixtures::seats(&["A-1-1"])[0].price;
        let other = Points::new(price.get() + 1).unwrap();
        let paid = |held_at, price| {
            SeatUpdate::Changed(SeatChange {
                performance_id: PerformanceId::new(Uuid::from_u128(1)),
                reservation_id: ReservationId::new(Uuid::from_u128(2)),
                account_id: None,
                now: Now::Sold,
                seats: vec![SeatLabel::new("A-1-1").unwrap()],
                prices: Some(Prices { held_at: instant(held_at), of_seats: vec![price] }),
            })
        };
        for (held_at, price, agrees) in [(9, other, true), (10, other, false), (11, other, false), (11, price, true)] {
            let mut seats = Seats::of(read(), None, (Instant::now(), instant(10))).unwrap();
            assert_eq!(seats.apply(&paid(held_at, price), instant(20)), agrees, "{held_at} {price:?}");
            assert_eq!(seats.states[0].status(instant(20)), SeatStatus::Sold);
        }
    }
}
