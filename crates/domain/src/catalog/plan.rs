//! Venues, and where their seats are.

use std::collections::HashSet;

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use super::layout::Layout;
use crate::{
    TimeZone, Timestamp, VenueId,
    seats::{PartName, SeatLabel},
    text::Name,
};

/// The most seats of a venue.
pub const VENUE_SEATS_MAX: u32 = 200_000;
/// The most sections of a venue.
pub const VENUE_SECTIONS_MAX: usize = 1_000;
/// The most characters of the names of all sections and rows of a venue together: room for the longest names in rows of
/// 24 seats. An adapter may keep a plan as one value, and can then rely on its size.
pub const VENUE_NAMES_CHARACTERS_MAX: usize = 2_400_000;

/// A row of seats, numbered from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct Row {
    /// Its name, unique within its section.
    pub name: PartName,
    /// How many seats it has, at least 1.
    pub seats: u32,
}

/// A section of a venue; seats of one section cost the same.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct Section {
    /// Its name, unique within its venue.
    pub name: PartName,
    /// Its rows, front to back.
    pub rows: Vec<Row>,
}

/// Where the seats of a venue are. Checked once, and right from then on.
///
/// ```
/// use boxoffice_domain::{catalog::{Row, SeatingPlan, Section}, seats::PartName};
/// let row = |name: &str, seats| Row { name: PartName::new(name).unwrap(), seats };
/// let stalls = Section { name: PartName::new("A").unwrap(), rows: vec![row("1", 2), row("2", 3)] };
/// let plan = SeatingPlan::new(vec![stalls])?;
/// assert_eq!(plan.capacity(), 5);
/// let labels: Vec<_> = plan.seats().map(|seat| seat.label.to_string()).collect();
/// assert_eq!(labels, ["A-1-1", "A-1-2", "A-2-1", "A-2-2", "A-2-3"]);
/// # Ok::<(), boxoffice_domain::catalog::PlanError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Vec<Section>", into = "Vec<Section>"))]
pub struct SeatingPlan {
    sections: Vec<Section>,
    capacity: u32,
}

impl TryFrom<Vec<Section>> for SeatingPlan {
    type Error = PlanError;

    fn try_from(sections: Vec<Section>) -> Result<Self, PlanError> {
        Self::new(sections)
    }
}

impl From<SeatingPlan> for Vec<Section> {
    fn from(plan: SeatingPlan) -> Self {
        plan.sections
    }
}

/// Why sections do not make a seating plan; the numbers are indexes into them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No section, or one without rows.
    #[error("a venue has at least one section, and a section at least one row")]
    NoSeats {
        /// The section without rows; `None` where there is no section at all.
        section: Option<usize>,
    },
    /// Two sections of one name.
    #[error("section names are unique in their venue")]
    SectionRepeated {
        /// The later of the two.
        section: usize,
    },
    /// Two rows of one name in one section.
    #[error("row names are unique in their section")]
    RowRepeated {
        /// The section.
        section: usize,
        /// The later of the two rows.
        row: usize,
    },
    /// A row without seats.
    #[error("a row has at least one seat")]
    EmptyRow {
        /// The section.
        section: usize,
        /// The row.
        row: usize,
    },
    /// More than [`VENUE_SEATS_MAX`] seats.
    #[error("a venue has at most 200000 seats")]
    TooManySeats,
    /// More than [`VENUE_SECTIONS_MAX`] sections.
    #[error("a venue has at most 1000 sections")]
    TooManySections,
    /// More than [`VENUE_NAMES_CHARACTERS_MAX`] characters.
    #[error("the names of all sections and rows together have at most 2400000 characters")]
    NamesTooLong,
}

/// A seat as the plan has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct PlannedSeat<'a> {
    /// Its place in the order of the plan, from 0.
    pub ordinal: u32,
    pub label: SeatLabel,
    pub section: &'a str,
    pub row: &'a str,
    /// Its number in the row, from 1.
    pub number: u32,
}

impl SeatingPlan {
    /// Checks sections.
    pub fn new(sections: Vec<Section>) -> Result<Self, PlanError> {
        if sections.is_empty() {
            return Err(PlanError::NoSeats { section: None });
        }
        if sections.len() > VENUE_SECTIONS_MAX {
            return Err(PlanError::TooManySections);
        }
        let mut capacity = 0u64;
        let mut section_names = HashSet::new();
        for (section_index, section) in sections.iter().enumerate() {
            if !section_names.insert(&section.name) {
                return Err(PlanError::SectionRepeated { section: section_index });
            }
            capacity += Self::check_rows(section_index, section)?;
        }
        let capacity = u32::try_from(capacity).ok().filter(|capacity| *capacity <= VENUE_SEATS_MAX);
        let capacity = capacity.ok_or(PlanError::TooManySeats)?;
        if names_characters(&sections) > VENUE_NAMES_CHARACTERS_MAX {
            return Err(PlanError::NamesTooLong);
        }
        Ok(Self { sections, capacity })
    }

    fn check_rows(section_index: usize, section: &Section) -> Result<u64, PlanError> {
        if section.rows.is_empty() {
            return Err(PlanError::NoSeats { section: Some(section_index) });
        }
        let mut row_names = HashSet::new();
        for (row_index, row) in section.rows.iter().enumerate() {
            if row.seats == 0 {
                return Err(PlanError::EmptyRow { section: section_index, row: row_index });
            }
            if !row_names.insert(&row.name) {
                return Err(PlanError::RowRepeated { section: section_index, row: row_index });
            }
        }
        Ok(section.rows.iter().map(|row| u64::from(row.seats)).sum())
    }

    /// The sections.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// How many seats there are.
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Each section with its first seat and how many seats it has. The seats of a section stand together.
    pub fn first_seats(&self) -> impl Iterator<Item = (&Section, PlannedSeat<'_>, u32)> {
        let mut next_ordinal = 0;
        self.sections.iter().map(move |section| {
            let (ordinal, count) = (next_ordinal, section.rows.iter().map(|row| row.seats).sum::<u32>());
            next_ordinal += count;
            // A plan was checked to have a row in each section.
            let row = &section.rows[0].name;
            let label = SeatLabel::of(&section.name, row, 1);
            (
                section,
                PlannedSeat { ordinal, label, section: section.name.as_str(), row: row.as_str(), number: 1 },
                count,
            )
        })
    }

    /// Every seat, in the order of the plan.
    pub fn seats(&self) -> impl Iterator<Item = PlannedSeat<'_>> {
        let rows = self.sections.iter().flat_map(|section| section.rows.iter().map(move |row| (section, row)));
        let seats = rows.flat_map(|(section, row)| (1..=row.seats).map(move |number| (section, row, number)));
        seats.zip(0..).map(|((section, row, number), ordinal)| PlannedSeat {
            ordinal,
            label: SeatLabel::of(&section.name, &row.name, number),
            section: section.name.as_str(),
            row: row.name.as_str(),
            number,
        })
    }
}

/// How many characters the names of all sections and rows have together.
fn names_characters(sections: &[Section]) -> usize {
    let characters = |name: &PartName| name.as_str().chars().count();
    let of_section = |section: &Section| {
        characters(&section.name) + section.rows.iter().map(|row| characters(&row.name)).sum::<usize>()
    };
    sections.iter().map(of_section).sum()
}

/// A hall.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct Venue {
    pub id: VenueId,
    pub name: Name,
    pub location: Name,
    pub plan: SeatingPlan,
    /// How it is drawn, if its promoter has said so.
    #[cfg_attr(feature = "serde", serde(default))]
    pub layout: Option<Layout>,
    /// Whether it may have several performances at one time, as a house with two stages may.
    pub overlaps_allowed: bool,
    /// Where its clocks show the times of its performances.
    pub time_zone: TimeZone,
    pub created_at: Timestamp,
}

impl Venue {
    /// How it is named beside a performance.
    pub fn summary(&self) -> VenueSummary {
        VenueSummary {
            id: self.id,
            name: self.name.clone(),
            location: self.location.clone(),
            time_zone: self.time_zone,
        }
    }
}

/// A hall as it is named beside a performance.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct VenueSummary {
    pub id: VenueId,
    pub name: Name,
    pub location: Name,
    /// What was stored before there were zones has the default.
    #[cfg_attr(feature = "serde", serde(default))]
    pub time_zone: TimeZone,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn part(text: &str) -> PartName {
        PartName::new(text).unwrap()
    }

    pub(crate) fn section(name: &str, rows: &[(&str, u32)]) -> Section {
        let rows = rows.iter().map(|(name, seats)| Row { name: part(name), seats: *seats }).collect();
        Section { name: part(name), rows }
    }

    #[test]
    fn plans_without_seats_or_with_repeated_names_are_refused() {
        let one = section("A", &[("1", 1)]);
        for (sections, error) in [
            (vec![], PlanError::NoSeats { section: None }),
            (vec![section("A", &[])], PlanError::NoSeats { section: Some(0) }),
            (vec![section("A", &[("1", 0)])], PlanError::EmptyRow { section: 0, row: 0 }),
            (vec![one.clone(), one], PlanError::SectionRepeated { section: 1 }),
            (vec![section("A", &[("1", 1), ("1", 1)])], PlanError::RowRepeated { section: 0, row: 1 }),
        ] {
            assert_eq!(SeatingPlan::new(sections), Err(error));
        }
    }

    #[test]
    fn a_venue_has_at_most_200_000_seats() {
        assert_eq!(SeatingPlan::new(vec![section("A", &[("1", 200_000)])]).unwrap().capacity(), 200_000);
        assert_eq!(SeatingPlan::new(vec![section("A", &[("1", 200_001)])]), Err(PlanError::TooManySeats));
        let sections = vec![section("A", &[("1", 1)])];
        assert_eq!(Vec::from(SeatingPlan::new(sections.clone()).unwrap()), sections);
        let huge = section("A", &[("1", u32::MAX), ("2", u32::MAX)]);
        assert_eq!(SeatingPlan::new(vec![huge]), Err(PlanError::TooManySeats));
    }

    #[test]
    fn the_names_of_sections_and_rows_are_counted() {
        assert_eq!(names_characters(&[section("가나", &[("1", 1), ("222", 1)]), section("B", &[("12", 1)])]), 9);
    }

    #[test]
    fn a_venue_has_at_most_1_000_sections() {
        let sections = |count: usize| (0..count).map(|index| section(&format!("S{index}"), &[("1", 1)])).collect();
        assert_eq!(SeatingPlan::new(sections(1_000)).unwrap().capacity(), 1_000);
        assert_eq!(SeatingPlan::new(sections(1_001)), Err(PlanError::TooManySections));
    }

    #[test]
    fn the_names_of_a_venue_have_their_longest_form_in_rows_of_24_seats() {
        let row = |index: usize, seats| Row { name: part(&format!("{index:가>255}")), seats };
        let plan = |rows: usize, seats| {
            SeatingPlan::new(vec![Section {
                name: part("A"),
                rows: (0..rows).map(|index| row(index, seats)).collect(),
            }])
        };
        assert_eq!(plan(8_333, 24).unwrap().capacity(), 199_992);
        assert_eq!(plan(9_412, 1), Err(PlanError::NamesTooLong));
    }
}
