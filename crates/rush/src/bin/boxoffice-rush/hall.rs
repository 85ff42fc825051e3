//! The hall as a buyer sees it.

use std::{cmp::Reverse, collections::HashMap};

use anyhow::bail;
use boxoffice_rush::buyer::{SeatMap, SeatStatus};
use rand::{Rng, RngExt};
use serde::Deserialize;

/// How many stretches of free seats buyers look past, on average, before they reach for one.
const LOOKED_PAST: f64 = 24.0;

/// The part of a map that changes.
#[derive(Deserialize)]
pub(crate) struct Statuses {
    seats: Vec<StatusOnly>,
}

#[derive(Deserialize)]
struct StatusOnly {
    status: SeatStatus,
}

/// The seats of a performance that the crowd is after.
#[derive(Debug)]
pub(crate) struct Hall {
    /// The labels of all seats, in the order of the hall.
    labels: Vec<String>,
    /// The rows from the front to the back, each with its wanted seats: their index in `labels`, and their number in the
    /// row.
    rows: Vec<Vec<(usize, u32)>>,
}

/// The seats of a hall at one instant.
#[derive(Debug)]
pub(crate) struct View {
    statuses: Vec<SeatStatus>,
}

impl Hall {
    /// The hall with its wanted seats: the available seats nearest to the front, at most `wanted_max`. Dearer sections
    /// are before the others, and in them the first rows.
    pub(crate) fn new(map: SeatMap, wanted_max: usize) -> Self {
        // A row, its price, and how many rows of its section lie before it.
        let (mut rows, mut sections) = (Vec::<(Reverse<u64>, usize, Vec<_>)>::new(), HashMap::<&str, usize>::new());
        let mut last = None;
        for (index, seat) in map.seats.iter().enumerate() {
            let name = Some((&seat.section, &seat.row));
            if last != name {
                last = name;
                let rows_before = sections.entry(&seat.section).or_default();
                rows.push((Reverse(seat.price), *rows_before, Vec::new()));
                *rows_before += 1;
            }
            if let (SeatStatus::Available, Some((_, _, seats))) = (seat.status, rows.last_mut()) {
                seats.push((index, seat.number));
            }
        }
        rows.sort_by_key(|(price, rows_before, _)| (*price, *rows_before));
        let mut left = wanted_max;
        let mut rows: Vec<_> = rows.into_iter().map(|(_, _, seats)| seats).collect();
        for seats in &mut rows {
            seats.truncate(left);
            left -= seats.len();
        }
        rows.retain(|seats| !seats.is_empty());
        Self { labels: map.seats.into_iter().map(|seat| seat.label).collect(), rows }
    }

    /// How many seats the crowd is after.
    pub(crate) fn wanted(&self) -> usize {
        self.rows.iter().map(Vec::len).sum()
    }

    pub(crate) fn labels(&self, seats: &[usize]) -> Vec<String> {
        seats.iter().map(|index| self.labels[*index].clone()).collect()
    }

    /// The seats as a map shows them.
    pub(crate) fn view(&self, Statuses { seats }: Statuses) -> anyhow::Result<View> {
        if seats.len() != self.labels.len() {
            bail!("the hall had {} seats, and now has {}", self.labels.len(), seats.len());
        }
        Ok(View { statuses: seats.into_iter().map(|seat| seat.status).collect() })
    }

    /// Whether one of the wanted seats is held, so that it may come free again.
    pub(crate) fn any_held(&self, view: &View) -> bool {
        self.rows.iter().flatten().any(|(index, _)| view.statuses[*index] == SeatStatus::Held)
    }

    /// Chooses free seats beside each other for the party, or fewer if there are not as many; `None` if none is free.
    /// Most buyers choose near the front. With each loss to others a buyer looks twice as far to the back.
    pub(crate) fn choose(
        &self,
        view: &View,
        party: usize,
        lost_before: u32,
        numbers: &mut impl Rng,
    ) -> Option<Vec<usize>> {
        for size in (1..=party).rev() {
            let stretches = self.stretches(view, size);
            if stretches.is_empty() {
                continue;
            }
            let stretch = stretches[rank(stretches.len(), lost_before, numbers)];
            let start = numbers.random_range(0..=stretch.len() - size);
            return Some(stretch[start..start + size].iter().map(|(index, _)| *index).collect());
        }
        None
    }

    /// The stretches of at least `size` free seats beside each other, from the front to the back.
    fn stretches(&self, view: &View, size: usize) -> Vec<&[(usize, u32)]> {
        let free = |seat: &(usize, u32)| view.statuses[seat.0] == SeatStatus::Available;
        let beside = |a: &(usize, u32), b: &(usize, u32)| free(a) && free(b) && a.1 + 1 == b.1;
        let stretches = self.rows.iter().flat_map(|row| row.chunk_by(beside));
        stretches.filter(|stretch| stretch.len() >= size && free(&stretch[0])).collect()
    }
}

/// The stretch that a buyer takes of so many: geometrically distributed, so the first most likely.
fn rank(count: usize, lost_before: u32, numbers: &mut impl Rng) -> usize {
    let mean = LOOKED_PAST * f64::from(1_u32 << lost_before.min(10));
    let uniform: f64 = numbers.random();
    let rank = ((1.0 - uniform).ln() / (1.0 - 1.0 / (mean + 1.0)).ln()).floor();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is a small whole number, or too large for any hall"
    )]
    let rank = rank as usize;
    if rank < count { rank } else { numbers.random_range(0..count) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use boxoffice_rush::buyer::Seat;
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    /// Two sections of ten rows of ten; the second one is dearer.
    fn map(status: impl Fn(usize) -> SeatStatus) -> SeatMap {
        let mut seats = Vec::new();
        for (section, price) in [("A", 50_u64), ("B", 90)] {
            for row in 1..=10 {
                for number in 1..=10 {
                    let label = format!("{section}-{row}-{number}");
                    let status = status(seats.len());
                    let (section, row) = (section.to_owned(), row.to_string());
                    seats.push(Seat { label, section, row, number, price, status });
                }
            }
        }
        SeatMap { seats }
    }

    fn all_free() -> (Hall, View) {
        (Hall::new(map(|_| SeatStatus::Available), 1_000), View { statuses: vec![SeatStatus::Available; 200] })
    }

    fn choices(hall: &Hall, view: &View, party: usize, seed: u64) -> Vec<Vec<usize>> {
        let mut numbers = StdRng::seed_from_u64(seed);
        (0..500).map(|_| hall.choose(view, party, 0, &mut numbers).unwrap()).collect()
    }

    #[test]
    fn seats_are_beside_each_other_and_in_the_hall() {
        let (hall, view) = all_free();
        for party in 1..=4 {
            for seats in choices(&hall, &view, party, 7) {
                assert_eq!(seats.len(), party);
                assert!(seats.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{seats:?}");
                assert_eq!(seats[0] / 10, seats[party - 1] / 10, "they are in one row");
                assert!(seats[party - 1] < 200);
            }
        }
    }

    #[test]
    fn most_sit_near_the_front_and_the_dearer_section_is_the_front() {
        let (hall, view) = all_free();
        let first = choices(&hall, &view, 2, 7).into_iter().map(|seats| seats[0] / 10).collect::<Vec<_>>();
        let of = |rows: std::ops::Range<usize>| first.iter().filter(|row| rows.contains(row)).count();
        let (front, middle, back) = (of(10..15), of(15..20), of(0..10));
        assert!(front > middle, "{front} {middle} {back}");
        assert!(front + middle > 200, "{front} {middle} {back}");
    }

    #[test]
    fn the_same_seed_makes_the_same_choices() {
        let (hall, view) = all_free();
        assert_eq!(choices(&hall, &view, 3, 7), choices(&hall, &view, 3, 7));
        assert_ne!(choices(&hall, &view, 3, 7), choices(&hall, &view, 3, 8));
    }

    #[test]
    fn what_is_taken_is_not_chosen_and_a_party_takes_fewer_where_it_must() {
        let hall = Hall::new(map(|_| SeatStatus::Available), 1_000);
        // Only the pairs 3 and 4, and 103 alone, are free.
        let statuses =
            (0..200).map(|seat| if [3, 4, 103].contains(&seat) { SeatStatus::Available } else { SeatStatus::Sold });
        let view = View { statuses: statuses.collect() };
        assert!(choices(&hall, &view, 4, 1).iter().all(|seats| *seats == [3, 4]));
        let alone: BTreeSet<_> = choices(&hall, &view, 1, 1).into_iter().flatten().collect();
        assert_eq!(alone, BTreeSet::from([3, 4, 103]));
        let nothing = View { statuses: vec![SeatStatus::Sold; 200] };
        assert_eq!(hall.choose(&nothing, 4, 0, &mut StdRng::seed_from_u64(1)), None);
        assert!(!hall.any_held(&nothing));
    }

    #[test]
    fn only_as_many_seats_as_are_wanted_and_none_that_was_gone_before() {
        let hall = Hall::new(map(|seat| if seat == 100 { SeatStatus::Sold } else { SeatStatus::Available }), 15);
        assert_eq!(hall.wanted(), 15);
        let view = View { statuses: vec![SeatStatus::Available; 200] };
        let chosen: BTreeSet<_> = choices(&hall, &view, 1, 1).into_iter().flatten().collect();
        assert_eq!(chosen, (101..116).collect(), "the dearer section is the front");
        assert_eq!(hall.labels(&[101]), ["B-1-2"]);
    }

    #[test]
    fn a_map_that_has_become_another_is_no_map_of_the_hall() {
        let hall = Hall::new(map(|_| SeatStatus::Available), 1_000);
        let other = serde_json::from_str(r#"{"seats": [{"label": "A", "status": "sold"}]}"#).unwrap();
        assert!(hall.view(other).is_err());
    }
}
