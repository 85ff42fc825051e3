//! Checking that what is stored keeps every promise.

use async_trait::async_trait;

use crate::{PerformanceId, StorageError, Timestamp, catalog::SeatingPlan};

/// One broken promise found in the storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The name of the invariant, in `snake_case`.
    pub invariant: &'static str,
    /// Which rows break it, in words.
    pub detail: String,
}

/// A seat of a performance as it is stored, right or wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the seat")]
pub struct StoredSeat<'s> {
    pub ordinal: i64,
    pub label: &'s str,
    pub price: i64,
}

/// What is stored of a performance about its seats, right or wrong.
///
/// ```
/// use boxoffice_domain::{PerformanceId, audit::{StoredHall, StoredSeat}, catalog::{Row, SeatingPlan, Section}};
/// use boxoffice_domain::{seats::PartName, uuid::Uuid};
/// let row = Row { name: PartName::new("1")?, seats: 2 };
/// let plan = SeatingPlan::new(vec![Section { name: PartName::new("A")?, rows: vec![row] }])?;
/// let hall = StoredHall { performance_id: PerformanceId::new(Uuid::nil()), seats_total: 2, price_min: 7, price_max: 7 };
/// let seat = |ordinal, label| StoredSeat { ordinal, label, price: 7 };
/// assert_eq!(hall.breaches(&plan, vec![seat(1, "A-1-2"), seat(0, "A-1-1")]), []);
/// let breaches = hall.breaches(&plan, vec![seat(0, "A-1-1"), seat(1, "A-1-3")]);
/// assert_eq!(breaches[0].invariant, "performance_has_all_its_seats");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the performance")]
pub struct StoredHall {
    pub performance_id: PerformanceId,
    pub seats_total: i64,
    pub price_min: i64,
    pub price_max: i64,
}

impl StoredHall {
    /// Compares the seats of the performance, in any order, with the plan of its venue and with what is stored of all of
    /// them. Each seat of the plan is there once, in its place; the seats of a section have one price, whether they are
    /// taken or not, because a new price is that of all of them. At most one breach for each invariant.
    pub fn breaches(&self, plan: &SeatingPlan, mut seats: Vec<StoredSeat<'_>>) -> Vec<Breach> {
        let (min, max) = (seats.iter().map(|seat| seat.price).min(), seats.iter().map(|seat| seat.price).max());
        let range_is_right = (min, max) == (Some(self.price_min), Some(self.price_max));
        seats.sort_unstable_by_key(|seat| (seat.ordinal, seat.label));
        let (mut misplaced, mut mispriced) = (Found::default(), Found::default());
        let mut stored = seats.into_iter().peekable();
        let mut section = None;
        for planned in plan.seats() {
            let ordinal = i64::from(planned.ordinal);
            while let Some(seat) = stored.next_if(|seat| seat.ordinal < ordinal) {
                misplaced.add(seat.label);
            }
            let is_planned = |seat: &StoredSeat<'_>| seat.ordinal == ordinal && seat.label == planned.label.as_str();
            let Some(seat) = stored.next_if(is_planned) else {
                misplaced.add(planned.label.as_str());
                continue;
            };
            match section {
                Some((name, price)) if name == planned.section => {
                    if price != seat.price {
                        mispriced.add(seat.label);
                    }
                }
                _ => section = Some((planned.section, seat.price)),
            }
        }
        stored.for_each(|seat| misplaced.add(seat.label));
        let breach =
            |invariant, detail: String| Breach { invariant, detail: format!("{}: {detail}", self.performance_id) };
        let misplaced = misplaced.detail("seats are not as the plan has them").or_else(|| {
            let total_is_right = self.seats_total == i64::from(plan.capacity());
            (!total_is_right).then(|| format!("seats {}, the plan has {}", self.seats_total, plan.capacity()))
        });
        let mispriced = mispriced.detail("seats have another price than the first of their section");
        let range = (!range_is_right).then(|| format!("prices {} to {}", self.price_min, self.price_max));
        let breaches = [
            misplaced.map(|detail| breach("performance_has_all_its_seats", detail)),
            mispriced.map(|detail| breach("section_has_one_price", detail)),
            range.map(|detail| breach("price_range_is_that_of_the_seats", detail)),
        ];
        breaches.into_iter().flatten().collect()
    }
}

/// Seats that are wrong: how many, and the first.
#[derive(Default)]
struct Found(Option<(u64, String)>);

impl Found {
    fn add(&mut self, label: &str) {
        self.0.get_or_insert_with(|| (0, label.to_owned())).0 += 1;
    }

    fn detail(self, what: &str) -> Option<String> {
        self.0.map(|(count, first)| format!("{count} {what}, such as {first}"))
    }
}

/// Reads the whole storage and compares it with the invariants of [the crate](crate#what-always-holds).
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Audit: Send + Sync {
    /// Every breach found, in one consistent view of the storage; empty where all is well.
    async fn breaches(&self) -> Result<Vec<Breach>, StorageError>;
}

/// Tells whether the storage can serve.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Readiness: Send + Sync {
    /// `Ok` if the storage answers, takes what is written, and its schema is the one this build needs.
    async fn ready(&self) -> Result<(), StorageError>;

    /// The present instant by the clock of the storage; `None` if that is the clock of this machine.
    async fn clock(&self) -> Result<Option<Timestamp>, StorageError> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalog::{Row, Section},
        seats::PartName,
    };

    /// Two seats of section A, in two rows, and one of section B.
    fn plan() -> SeatingPlan {
        let part = |name: &str| PartName::new(name).unwrap();
        let section = |name, rows: &[&str]| {
            let rows = rows.iter().map(|name| Row { name: part(name), seats: 1 }).collect();
            Section { name: part(name), rows }
        };
        SeatingPlan::new(vec![section("A", &["1", "2"]), section("B", &["1"])]).unwrap()
    }

    /// What is found in a hall of these seats: ordinal, label and price.
    fn found(seats_total: i64, range: (i64, i64), seats: &[(i64, &str, i64)]) -> Vec<(&'static str, String)> {
        let performance_id = PerformanceId::new(uuid::Uuid::nil());
        let hall = StoredHall { performance_id, seats_total, price_min: range.0, price_max: range.1 };
        let seats = seats.iter().map(|(ordinal, label, price)| StoredSeat { ordinal: *ordinal, label, price: *price });
        let start = format!("{performance_id}: ");
        let breaches = hall.breaches(&plan(), seats.collect()).into_iter();
        breaches.map(|breach| (breach.invariant, breach.detail.strip_prefix(&start).unwrap().to_owned())).collect()
    }

    #[test]
    fn a_hall_has_the_seats_of_its_plan_each_in_its_place() {
        let (one, two, three) = ((0, "A-1-1", 9), (1, "A-2-1", 9), (2, "B-1-1", 5));
        assert_eq!(found(3, (5, 9), &[three, one, two]), []);
        let first = |count, label| format!("{count} seats are not as the plan has them, such as {label}");
        for (seats, detail) in [
            (vec![one, two], first(1, "B-1-1")),
            (vec![two, three], first(1, "A-1-1")),
            (vec![one, (2, "A-2-1", 9), (1, "B-1-1", 5)], first(4, "A-2-1")),
            (vec![one, (1, "A-2-2", 9), three], first(2, "A-2-1")),
            (vec![one, two, (1, "A-3-1", 9), three], first(1, "A-3-1")),
            (vec![one, two, three, (3, "B-1-2", 5)], first(1, "B-1-2")),
            (vec![(-1, "A-0-1", 9), one, two, three], first(1, "A-0-1")),
        ] {
            let breaches = found(3, (5, 9), &seats);
            assert!(breaches.contains(&("performance_has_all_its_seats", detail)), "{seats:?}: {breaches:?}");
        }
        let total = "seats 4, the plan has 3".to_owned();
        assert_eq!(found(4, (5, 9), &[one, two, three]), [("performance_has_all_its_seats", total)]);
    }

    #[test]
    fn the_seats_of_a_section_have_one_price_and_all_of_them_the_range() {
        let seats = |price| [(0, "A-1-1", 9), (1, "A-2-1", price), (2, "B-1-1", 5)];
        let detail = "1 seats have another price than the first of their section, such as A-2-1".to_owned();
        assert_eq!(found(3, (5, 9), &seats(5)), [("section_has_one_price", detail)]);
        for range in [(4, 9), (5, 10), (6, 9)] {
            let detail = format!("prices {} to {}", range.0, range.1);
            assert_eq!(found(3, range, &seats(9)), [("price_range_is_that_of_the_seats", detail)]);
        }
    }
}
