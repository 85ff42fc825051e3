//! What is stored of a catalog, as an import needs it.

use std::collections::BTreeMap;

use super::super::{
    import::{CatalogKey, Named},
    performance::Moved,
    plan::{PlannedSeat, SeatingPlan, Section},
    rules::Booking,
};
use crate::{
    AccountId, ConcertId, PerformanceId, Points, Timestamp, VenueId,
    seats::{PartName, SeatLabel},
};

/// Something that is stored under a key, with its owner: a promoter, or the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct Owned<T> {
    pub owner: Option<AccountId>,
    pub value: T,
}

/// The seats of a section of a performance, which stand together in the order of the plan, and what each of them costs
/// when it is free.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct SectionPrice {
    pub name: PartName,
    /// The ordinal of its first seat.
    pub first_ordinal: u32,
    pub seats_count: u32,
    pub price: Points,
}

impl SectionPrice {
    /// The sections of seats, in the order of the plan. `None` if the label of a seat names no section.
    pub fn of_seats<'s>(seats: impl IntoIterator<Item = (u32, &'s SeatLabel, Points)>) -> Option<Vec<Self>> {
        let mut by_ordinal: BTreeMap<u32, (&str, Points)> = BTreeMap::new();
        by_ordinal.extend(seats.into_iter().map(|(ordinal, label, price)| (ordinal, (label.parts().0, price))));
        let mut sections: Vec<Self> = Vec::new();
        for (ordinal, (name, price)) in by_ordinal {
            if let Some(section) = sections.last_mut().filter(|section| section.name.as_str() == name) {
                section.seats_count += 1;
            } else {
                let name = PartName::new(name).ok()?;
                sections.push(Self { name, first_ordinal: ordinal, seats_count: 1, price });
            }
        }
        Some(sections)
    }

    /// The sections of a plan, at the prices of their [first seats](SeatingPlan::first_seats), by label. `None` if one has no
    /// price.
    pub fn of_plan(plan: &SeatingPlan, prices: &BTreeMap<SeatLabel, Points>) -> Option<Vec<Self>> {
        let of_section = |(section, first, seats_count): (&Section, PlannedSeat<'_>, u32)| {
            let price = *prices.get(&first.label)?;
            Some(Self { name: section.name.clone(), first_ordinal: first.ordinal, seats_count, price })
        };
        plan.first_seats().map(of_section).collect()
    }
}

/// A performance that is stored under the key of an imported one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct StoredPerformance {
    pub id: PerformanceId,
    pub concert_id: ConcertId,
    pub venue_id: VenueId,
    pub starts_at: Timestamp,
    pub duration_minutes: u32,
    pub moved: Option<Moved>,
    pub withdrawn_at: Option<Timestamp>,
    pub sections: Vec<SectionPrice>,
    /// Whether a seat of it is sold.
    pub is_sold: bool,
}

impl StoredPerformance {
    /// When it takes its venue.
    pub fn booking(&self) -> Booking {
        Booking { id: self.id, starts_at: self.starts_at, duration_minutes: self.duration_minutes }
    }

    /// How many seats it has.
    pub fn seats_count(&self) -> u64 {
        self.sections.iter().map(|section| u64::from(section.seats_count)).sum()
    }

    /// What its cheapest seat costs.
    pub fn price_min(&self) -> Points {
        self.sections.iter().map(|section| section.price).min().unwrap_or_default()
    }

    /// What its dearest seat costs.
    pub fn price_max(&self) -> Points {
        self.sections.iter().map(|section| section.price).max().unwrap_or_default()
    }
}

/// A performance of a concert that is imported. One that was not imported has no key, and belongs to the owner of the
/// concert.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct KnownPerformance {
    pub id: PerformanceId,
    pub owner: Option<AccountId>,
    pub key: Option<CatalogKey>,
    pub starts_at: Timestamp,
    pub withdrawn_at: Option<Timestamp>,
}

impl KnownPerformance {
    /// Whether it becomes this promoter's with its concert: it was imported by the operator.
    pub(super) fn is_adopted_by(&self, promoter_id: Option<AccountId>) -> bool {
        promoter_id.is_some() && self.owner.is_none() && self.key.is_some()
    }

    /// It by its key, or else by its id.
    pub(super) fn named(&self) -> Named {
        let id = || CatalogKey::new(&self.id.to_string()).expect("the text of an id can be a key");
        Named::Performance(self.key.clone().unwrap_or_else(id))
    }
}

/// What an import makes of the performances of a concert that the catalog does not name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtherPerformances {
    /// These get the owner of the import.
    pub adopted: Vec<PerformanceId>,
    /// These are taken from sale.
    pub withdrawn: Vec<PerformanceId>,
}

/// How a venue is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VenueBookings {
    /// Whether performances may overlap there.
    pub overlaps_allowed: bool,
    /// Its performances, in any order.
    pub bookings: Vec<Booking>,
}
