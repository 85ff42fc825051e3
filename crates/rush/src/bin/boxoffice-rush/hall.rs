//! The hall as a buyer sees it.

use std::{cmp::Reverse, collections::HashMap};

use anyhow::ensure;
use boxoffice_rush::buyer::{Seat, SeatMap, SeatStatus};
use rand::{Rng, RngExt};
use serde::Deserialize;

/// How many stretches of free seats buyers look past, on average, before they choose one.
const LOOKED_PAST: f64 = 24.0;

/// The part of a seat that changes.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Status {
    status: SeatStatus,
}

/// The seats of a performance that the crowd wants.
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
    pub(crate) tag: String,
    seats: Vec<Status>,
}

impl View {
    fn is(&self, seat: usize, status: SeatStatus) -> bool {
        self.seats[seat].status == status
    }
}

impl Hall {
    /// The hall with its wanted seats: the available seats nearest to the front, at most `wanted_max`. Dearer sections
    /// are before the others, and in them the first rows.
    pub(crate) fn new(map: SeatMap, wanted_max: usize) -> Self {
        let seats: Vec<_> = map.seats.iter().enumerate().collect();
        let is_same_row = |(_, a): &(_, &Seat), (_, b): &(_, &Seat)| (&a.section, &a.row) == (&b.section, &b.row);
        let mut rows_of_sections = HashMap::<&str, usize>::new();
        // Each row with its price and the number of rows of its section up to it.
        let mut rows = Vec::new();
        for row in seats.chunk_by(is_same_row) {
            let (_, first) = row[0];
            let row_number = rows_of_sections.entry(&first.section).or_default();
            *row_number += 1;
            let available = row.iter().filter(|(_, seat)| seat.status == SeatStatus::Available);
            let seats: Vec<_> = available.map(|(index, seat)| (*index, seat.number)).collect();
            rows.push((Reverse(first.price), *row_number, seats));
        }
        rows.sort_by_key(|(price, row_number, _)| (*price, *row_number));
        let mut left = wanted_max;
        let mut rows: Vec<_> = rows.into_iter().map(|(_, _, seats)| seats).collect();
        for seats in &mut rows {
            seats.truncate(left);
            left -= seats.len();
        }
        rows.retain(|seats| !seats.is_empty());
        Self { labels: map.seats.into_iter().map(|seat| seat.label).collect(), rows }
    }

    pub(crate) fn wanted(&self) -> usize {
        self.rows.iter().map(Vec::len).sum()
    }

    pub(crate) fn labels(&self, seats: &[usize]) -> Vec<String> {
        seats.iter().map(|index| self.labels[*index].clone()).collect()
    }

    /// The seats as a map shows them.
    pub(crate) fn view(&self, tag: &str, SeatMap { seats }: SeatMap<Status>) -> anyhow::Result<View> {
        let (before, now) = (self.labels.len(), seats.len());
        ensure!(now == before, "the hall had {before} seats, and now has {now}");
        Ok(View { tag: tag.to_owned(), seats })
    }

    /// Whether one of the wanted seats is held, so that it may come free again.
    pub(crate) fn any_held(&self, view: &View) -> bool {
        self.rows.iter().flatten().any(|(index, _)| view.is(*index, SeatStatus::Held))
    }

    /// Chooses free seats beside each other for the party, or fewer if there are not as many; `None` if none is free.
    /// Most buyers choose near the front. With each loss to others a buyer looks twice as far to the back.
    pub(crate) fn choose(&self, view: &View, party: usize, lost: u32, numbers: &mut impl Rng) -> Option<Vec<usize>> {
        let mut sizes = (1..=party).rev().map(|size| (size, self.stretches(view, size)));
        let (size, stretches) = sizes.find(|(_, stretches)| !stretches.is_empty())?;
        let stretch = stretches[rank(stretches.len(), lost, numbers)];
        let start = numbers.random_range(0..=stretch.len() - size);
        Some(stretch[start..start + size].iter().map(|(index, _)| *index).collect())
    }

    /// The stretches of at least `size` free seats beside each other, from the front to the back.
    fn stretches(&self, view: &View, size: usize) -> Vec<&[(usize, u32)]> {
        let free = |seat: &(usize, u32)| view.is(seat.0, SeatStatus::Available);
        let beside = |a: &(usize, u32), b: &(usize, u32)| free(a) && free(b) && a.1 + 1 == b.1;
        let stretches = self.rows.iter().flat_map(|row| row.chunk_by(beside));
        stretches.filter(|stretch| stretch.len() >= size && free(&stretch[0])).collect()
    }
}

/// The stretch that a buyer takes of so many, of which the first is the most likely.
fn rank(count: usize, lost: u32, numbers: &mut impl Rng) -> usize {
    let mean = LOOKED_PAST * f64::from(1_u32 << lost.min(10));
    let uniform: f64 = numbers.random();
    let rank = -mean * (1.0 - uniform).ln();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is not negative")]
    let rank = rank as usize;
    if rank < count { rank } else { numbers.random_range(0..count) }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, ops::Range};

    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn free(_: usize) -> SeatStatus {
        SeatStatus::Available
    }

    /// Two sections of ten rows of ten; the second one is dearer.
    fn hall(status: impl Fn(usize) -> SeatStatus, wanted_max: usize) -> Hall {
        let seat = |index: usize| {
            let (section, price) = if index < 100 { ("A", 50) } else { ("B", 90) };
            let (row, number) = (index % 100 / 10 + 1, index % 10 + 1);
            Seat {
                label: format!("{section}-{row}-{number}"),
                section: section.to_owned(),
                row: row.to_string(),
                number: u32::try_from(number).unwrap(),
                price,
                status: status(index),
            }
        };
        Hall::new(SeatMap { seats: (0..200).map(seat).collect() }, wanted_max)
    }

    fn view(status: impl Fn(usize) -> SeatStatus) -> View {
        View { tag: String::new(), seats: (0..200).map(|seat| Status { status: status(seat) }).collect() }
    }

    fn choices(hall: &Hall, view: &View, party: usize, seed: u64) -> Vec<Vec<usize>> {
        let mut numbers = StdRng::seed_from_u64(seed);
        (0..500).map(|_| hall.choose(view, party, 0, &mut numbers).unwrap()).collect()
    }

    #[test]
    fn seats_are_beside_each_other_and_follow_from_the_seed() {
        let (hall, view) = (hall(free, 1_000), view(free));
        for party in 1..=4 {
            for seats in choices(&hall, &view, party, 7) {
                assert_eq!(seats.len(), party);
                assert!(seats.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{seats:?}");
                assert_eq!(seats[0] / 10, seats[party - 1] / 10, "they are in one row");
                assert!(seats[party - 1] < 200);
            }
        }
        assert_eq!(choices(&hall, &view, 3, 7), choices(&hall, &view, 3, 7));
        assert_ne!(choices(&hall, &view, 3, 7), choices(&hall, &view, 3, 8));
    }

    #[test]
    fn most_sit_near_the_front_and_the_dearer_section_is_the_front() {
        let rows: Vec<_> = choices(&hall(free, 1_000), &view(free), 2, 7).iter().map(|seats| seats[0] / 10).collect();
        let of = |range: Range<usize>| rows.iter().filter(|row| range.contains(row)).count();
        let (front, middle, back) = (of(10..15), of(15..20), of(0..10));
        assert!(front > middle && front + middle > 200, "{front} {middle} {back}");
    }

    #[test]
    fn taken_seats_are_not_chosen_and_a_party_takes_fewer_if_it_must() {
        let hall = hall(free, 1_000);
        let few = view(|seat| if [3, 4, 103].contains(&seat) { SeatStatus::Available } else { SeatStatus::Sold });
        assert!(choices(&hall, &few, 4, 1).iter().all(|seats| *seats == [3, 4]));
        let alone: BTreeSet<_> = choices(&hall, &few, 1, 1).into_iter().flatten().collect();
        assert_eq!(alone, BTreeSet::from([3, 4, 103]));
        let nothing = view(|_| SeatStatus::Sold);
        assert_eq!(hall.choose(&nothing, 4, 0, &mut StdRng::seed_from_u64(1)), None);
        assert!(!hall.any_held(&nothing));
    }

    #[test]
    fn only_as_many_seats_as_are_wanted_and_none_that_was_gone_before() {
        let hall = hall(|seat| if seat == 100 { SeatStatus::Sold } else { SeatStatus::Available }, 15);
        assert_eq!(hall.wanted(), 15);
        let chosen: BTreeSet<_> = choices(&hall, &view(free), 1, 1).into_iter().flatten().collect();
        assert_eq!(chosen, (101..116).collect(), "the dearer section is the front");
        assert_eq!(hall.labels(&[101]), ["B-1-2"]);
    }

    #[test]
    fn a_map_of_another_hall_is_an_error() {
        let other = serde_json::from_str(r#"{"seats": [{"label": "A", "status": "sold"}]}"#).unwrap();
        assert!(hall(free, 1_000).view("", other).is_err());
    }
}
