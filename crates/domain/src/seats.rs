//! Seats of a performance: how they are named, and who has them.

use std::{collections::HashSet, fmt};

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use crate::{
    Points, ReservationId, Timestamp,
    text::{Name, TextError, characters, string_conversions},
};

/// The most seats that selling rules may allow in one reservation.
pub const SEATS_PER_RESERVATION_MAX: u32 = 100;

/// The name of a section or a row: a [distinct](Name::distinct) name without `-`, which separates the parts of a seat's label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "String", into = "String"))]
pub struct PartName(Name);

impl PartName {
    /// Normalizes and checks a name.
    pub fn new(text: &str) -> Result<Self, TextError> {
        let name = Name::distinct(text)?;
        if name.as_str().contains('-') { Err(TextError::Forbidden('-')) } else { Ok(Self(name)) }
    }
}

/// The label of a seat: `SECTION-ROW-NUMBER`, unique within its performance.
///
/// ```
/// use boxoffice_domain::seats::SeatLabel;
/// assert_eq!(SeatLabel::new("A-1-12")?.as_str(), "A-1-12");
/// assert!(SeatLabel::new("A-1").is_err());
/// assert!(SeatLabel::new("A-1-01").is_err());
/// # Ok::<(), boxoffice_domain::seats::InvalidSeatLabel>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "String", into = "String"))]
pub struct SeatLabel(String);

/// The text is not the label of a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a seat label is `SECTION-ROW-NUMBER`")]
pub struct InvalidSeatLabel;

impl SeatLabel {
    /// Normalizes and checks a label.
    pub fn new(text: &str) -> Result<Self, InvalidSeatLabel> {
        let text = characters::one_line(text);
        let mut parts = text.split('-');
        let (Some(section), Some(row), Some(number), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidSeatLabel);
        };
        let number_is_plain = number.parse::<u32>().is_ok_and(|parsed| parsed > 0 && parsed.to_string() == number);
        let name_is_plain =
            |name: &str| name.trim() == name && Name::check(name).and_then(|()| Name::check_distinct(name)).is_ok();
        if number_is_plain && name_is_plain(section) && name_is_plain(row) {
            Ok(Self(text.into_owned()))
        } else {
            Err(InvalidSeatLabel)
        }
    }

    /// The label of a seat in a plan.
    pub fn of(section: &PartName, row: &PartName, number: u32) -> Self {
        Self(format!("{}-{}-{number}", section.as_str(), row.as_str()))
    }

    /// The names of the section and the row, and the number in the row.
    ///
    /// ```
    /// use boxoffice_domain::seats::SeatLabel;
    /// assert_eq!(SeatLabel::new("A-1-12")?.parts(), ("A", "1", 12));
    /// # Ok::<(), boxoffice_domain::seats::InvalidSeatLabel>(())
    /// ```
    pub fn parts(&self) -> (&str, &str, u32) {
        // A label has three parts, the last of which is a number: it was checked when it was made.
        let mut parts = self.0.splitn(3, '-');
        let (section, row) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        (section, row, parts.next().and_then(|number| number.parse().ok()).unwrap_or_default())
    }
}

string_conversions! {
    PartName, TextError;
    SeatLabel, InvalidSeatLabel;
}

/// Seats that are wanted together: 1 to [`SEATS_PER_RESERVATION_MAX`] distinct labels.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Vec<SeatLabel>"))]
pub struct SeatSelection(Vec<SeatLabel>);

/// Why labels are not a selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// None at all.
    #[error("select at least one seat")]
    Empty,
    /// More than allowed.
    #[error("select at most {seats_max} seats")]
    TooMany {
        /// The most seats of one reservation.
        seats_max: u32,
    },
    /// One label twice.
    #[error("the seat is selected twice")]
    Repeated {
        /// The index of the later of the two.
        index: usize,
    },
}

impl SeatSelection {
    /// Checks labels; they keep their order.
    pub fn new(labels: Vec<SeatLabel>) -> Result<Self, SelectionError> {
        Self::with_max(labels, SEATS_PER_RESERVATION_MAX)
    }

    /// As [`Self::new`], under a rule that allows `seats_max` seats.
    pub fn with_max(labels: Vec<SeatLabel>, seats_max: u32) -> Result<Self, SelectionError> {
        if labels.is_empty() {
            return Err(SelectionError::Empty);
        }
        if labels.len() > seats_max as usize {
            return Err(SelectionError::TooMany { seats_max });
        }
        let mut seen = HashSet::new();
        match labels.iter().position(|label| !seen.insert(label)) {
            Some(index) => Err(SelectionError::Repeated { index }),
            None => Ok(Self(labels)),
        }
    }

    /// The labels.
    pub fn labels(&self) -> &[SeatLabel] {
        &self.0
    }
}

impl TryFrom<Vec<SeatLabel>> for SeatSelection {
    type Error = SelectionError;

    fn try_from(labels: Vec<SeatLabel>) -> Result<Self, SelectionError> {
        Self::new(labels)
    }
}

/// Whether a seat can be had, as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum SeatStatus {
    /// It can be had.
    Available,
    /// Somebody has it in hand and has not paid yet.
    Held,
    /// It is sold.
    Sold,
}

impl SeatStatus {
    /// The name of the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Held => "held",
            Self::Sold => "sold",
        }
    }
}

/// Whose a seat is. Written by the decisions of this crate alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub enum SeatState {
    /// Without an owner.
    Free,
    /// Held; available from `until` on, whether a worker has marked it or not.
    Held {
        /// The reservation that holds it.
        by: ReservationId,
        /// The first instant at which the hold is over.
        until: Timestamp,
    },
    /// Sold.
    Sold {
        /// The reservation that owns it.
        to: ReservationId,
    },
}

impl SeatState {
    /// How the seat is shown at `now`.
    pub fn status(&self, now: Timestamp) -> SeatStatus {
        match self {
            Self::Sold { .. } => SeatStatus::Sold,
            Self::Held { until, .. } if now < *until => SeatStatus::Held,
            Self::Held { .. } | Self::Free => SeatStatus::Available,
        }
    }

    /// The reservation written on the seat, lapsed or not.
    pub fn reservation_id(&self) -> Option<ReservationId> {
        match self {
            Self::Free => None,
            Self::Held { by, .. } => Some(*by),
            Self::Sold { to } => Some(*to),
        }
    }
}

/// One place of one performance.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct Seat {
    pub label: SeatLabel,
    /// Its place in the order of the venue's plan, from 0.
    pub ordinal: u32,
    pub price: Points,
    pub state: SeatState,
}

impl fmt::Display for SeatStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_shown_by_its_name() {
        let names = [SeatStatus::Available, SeatStatus::Held, SeatStatus::Sold].map(|status| status.to_string());
        assert_eq!(names, ["available", "held", "sold"]);
    }

    #[test]
    fn labels_are_section_row_and_plain_number() {
        assert_eq!(PartName::new("A-1"), Err(TextError::Forbidden('-')));
        for good in ["A-1-1", "VIP석-나-120", "F 1-B-7"] {
            assert_eq!(SeatLabel::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "A", "A-1", "A-1-0", "A-1-01", "A-1-+1", "A-1-x", "A-1-1-1", " A-1-1", "-1-1", "A--1"] {
            assert!(SeatLabel::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn parts_and_labels_that_look_the_same_are_the_same() {
        let (decomposed, composed) = ("\u{1102}\u{1161}\u{110e}\u{1173}\u{11bc}", "나층");
        assert_eq!(PartName::new(decomposed).unwrap(), PartName::new(composed).unwrap());
        let label = SeatLabel::new(&format!("{decomposed}-E\u{301}\u{a0} 1-7")).unwrap();
        assert_eq!(label.as_str(), format!("{composed}-É 1-7"));
        assert_eq!(label, SeatLabel::of(&part(decomposed), &part("E\u{301} 1"), 7));
        let twice = vec![SeatLabel::new("e\u{301}-1-1").unwrap(), SeatLabel::new("é-1-1").unwrap()];
        assert_eq!(SeatSelection::new(twice), Err(SelectionError::Repeated { index: 1 }));
        for hidden in ["A\u{200b}-1-1", "\u{3164}-1-1", "A-\u{202e}1-1", "A-\u{301}-1"] {
            assert!(SeatLabel::new(hidden).is_err(), "{hidden:?}");
        }
    }

    #[test]
    fn no_two_parts_differ_by_what_is_not_seen() {
        for hidden in ["A\u{200c}", "👩\u{200d}💻", "❤\u{fe0e}", "❤\u{fe0f}", "葛\u{e0100}", "د\u{200c}ر"] {
            assert!(matches!(PartName::new(hidden), Err(TextError::Invisible(_))), "{hidden:?}");
            assert!(SeatLabel::new(&format!("{hidden}-1-1")).is_err(), "{hidden:?}");
        }
        assert_eq!(PartName::new("A\u{e000}"), Err(TextError::Undefined('\u{e000}')));
        assert_eq!(SeatLabel::new("می\u{200c}خواهم-❤-1").unwrap().parts(), ("می\u{200c}خواهم", "❤", 1));
    }

    fn part(text: &str) -> PartName {
        PartName::new(text).unwrap()
    }

    #[test]
    fn a_selection_is_distinct_seats_and_at_most_as_many_as_allowed() {
        let labels = |texts: &[&str]| texts.iter().map(|text| SeatLabel::new(text).unwrap()).collect::<Vec<_>>();
        assert_eq!(SeatSelection::new(vec![]), Err(SelectionError::Empty));
        assert_eq!(
            SeatSelection::new(labels(&["A-1-1", "A-1-2", "A-1-1"])),
            Err(SelectionError::Repeated { index: 2 })
        );
        let seats = labels(&["A-1-1", "A-1-2", "A-1-3"]);
        assert!(SeatSelection::with_max(seats.clone(), 3).is_ok());
        assert_eq!(SeatSelection::with_max(seats, 2), Err(SelectionError::TooMany { seats_max: 2 }));
    }
}
