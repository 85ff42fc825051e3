//! How a venue is drawn, and which of its seats are special.

use std::{
    collections::{HashMap, HashSet},
    str::FromStr,
};

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use super::plan::SeatingPlan;
use crate::seats::{PartName, SeatLabel};

/// The most seats that a layout may mark.
pub const MARKED_SEATS_MAX: usize = 5_000;
/// The most characters of all names in a layout together, so that it can be kept as one value.
pub const LAYOUT_NAMES_CHARACTERS_MAX: usize = 100_000;
/// How far from the stage, in each direction, something may be.
const DISTANCE_MAX: f64 = 10_000.0;
/// How many parts a whole has in which a measure is kept.
const PARTS: f64 = 1_000_000.0;

/// A measure of a drawing, to six decimals. A length of 1 is the distance of two seats in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(from = "f64", into = "f64"))]
pub struct Measure(i64);

impl From<f64> for Measure {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "what is too large is the largest number, which no bound allows"
    )]
    fn from(value: f64) -> Self {
        Self((value * PARTS).round() as i64)
    }
}

impl From<Measure> for f64 {
    #[expect(clippy::cast_precision_loss, reason = "measures within their bounds have less than 53 bits")]
    fn from(measure: Measure) -> Self {
        measure.0 as Self / PARTS
    }
}

impl Measure {
    fn is_within(self, least: f64, most: f64) -> bool {
        Self::from(least).0 <= self.0 && self.0 <= Self::from(most).0
    }
}

/// Where the stage is. The middle of a hall's front is the origin; `x` grows to the right of who looks at the stage, and
/// `y` away from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct StagePlace {
    /// Its left side.
    pub x: Measure,
    /// The side that is the farthest from the seats.
    pub y: Measure,
    pub width: Measure,
    pub depth: Measure,
}

/// Where a section is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct SectionPlace {
    /// The section.
    pub section: PartName,
    /// The middle of its front row.
    pub x: Measure,
    /// The same.
    pub y: Measure,
    /// By how many degrees it is turned clockwise; at 0 its rows face the stage straight ahead.
    pub angle: Measure,
    /// One divided by the radius of its front row, an arc around a point before it; 0 for straight rows.
    pub curvature: Measure,
}

/// What is special about a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum SeatMark {
    /// A place for a wheelchair.
    Wheelchair,
    /// Beside a wheelchair.
    Companion,
    /// Not all of the stage is seen from it.
    RestrictedView,
}

impl SeatMark {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wheelchair => "wheelchair",
            Self::Companion => "companion",
            Self::RestrictedView => "restricted_view",
        }
    }
}

/// The text names no mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be `wheelchair`, `companion` or `restricted_view`")]
pub struct UnknownSeatMark;

impl FromStr for SeatMark {
    type Err = UnknownSeatMark;

    fn from_str(text: &str) -> Result<Self, UnknownSeatMark> {
        let marks = [Self::Wheelchair, Self::Companion, Self::RestrictedView];
        marks.into_iter().find(|mark| mark.name() == text).ok_or(UnknownSeatMark)
    }
}

/// A seat that is special.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct MarkedSeat {
    pub seat: SeatLabel,
    pub mark: SeatMark,
}

/// How a venue is drawn. Sections that it leaves out are placed by who draws.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct Layout {
    pub stage: Option<StagePlace>,
    pub sections: Vec<SectionPlace>,
    pub marks: Vec<MarkedSeat>,
}

/// Why a layout does not fit a seating plan; the numbers are indexes into its lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A measure of the stage is out of bounds.
    #[error("a place is -10000 to 10000, and a width or depth at most 10000 and more than 0")]
    Stage {
        /// The field.
        field: &'static str,
    },
    /// A measure of a section is out of bounds.
    #[error("a place is -10000 to 10000, an angle -360 to 360, and a curvature 0 to 1")]
    Section {
        /// The section.
        section: usize,
        /// The field.
        field: &'static str,
    },
    /// A place is for a section that the venue does not have.
    #[error("the venue has no such section")]
    SectionUnknown {
        /// The section.
        section: usize,
    },
    /// A section has two places.
    #[error("the section has a place already")]
    SectionRepeated {
        /// The later of the two.
        section: usize,
    },
    /// A mark is for a seat that the venue does not have.
    #[error("the venue has no such seat")]
    SeatUnknown {
        /// The mark.
        mark: usize,
    },
    /// A seat has two marks.
    #[error("the seat has a mark already")]
    SeatRepeated {
        /// The later of the two.
        mark: usize,
    },
    /// More than [`LAYOUT_NAMES_CHARACTERS_MAX`] characters.
    #[error("the names of sections and seats in a layout have at most 100000 characters together")]
    NamesTooLong,
    /// More than [`MARKED_SEATS_MAX`] marks.
    #[error("a layout marks at most 5000 seats")]
    TooManyMarks,
}

impl LayoutError {
    /// The field that is wrong, as the rest of a JSON pointer to the layout.
    pub fn field(self) -> String {
        match self {
            Self::Stage { field } => format!("stage/{field}"),
            Self::Section { section, field } => format!("sections/{section}/{field}"),
            Self::SectionUnknown { section } | Self::SectionRepeated { section } => {
                format!("sections/{section}/section")
            }
            Self::SeatUnknown { mark } | Self::SeatRepeated { mark } => format!("marks/{mark}/seat"),
            Self::TooManyMarks | Self::NamesTooLong => "marks".to_owned(),
        }
    }
}

impl Layout {
    /// Checks the layout against the plan that it draws.
    ///
    /// ```
    /// use boxoffice_domain::{catalog::{Layout, LayoutError, MarkedSeat, Row, SeatMark, SeatingPlan, Section}, seats::*};
    /// let name = |text| PartName::new(text).unwrap();
    /// let plan = SeatingPlan::new(vec![Section { name: name("A"), rows: vec![Row { name: name("1"), seats: 2 }] }]).unwrap();
    /// let mark = |label| MarkedSeat { seat: SeatLabel::new(label).unwrap(), mark: SeatMark::Wheelchair };
    /// let layout = |marks| Layout { marks, ..Layout::default() };
    /// assert_eq!(layout(vec![mark("A-1-2")]).check(&plan), Ok(()));
    /// assert_eq!(layout(vec![mark("A-1-3")]).check(&plan), Err(LayoutError::SeatUnknown { mark: 0 }));
    /// ```
    pub fn check(&self, plan: &SeatingPlan) -> Result<(), LayoutError> {
        self.stage.map_or(Ok(()), StagePlace::check)?;
        let known: HashSet<_> = plan.sections().iter().map(|section| section.name.as_str()).collect();
        let mut placed = HashSet::new();
        for (section, place) in self.sections.iter().enumerate() {
            if !known.contains(place.section.as_str()) {
                return Err(LayoutError::SectionUnknown { section });
            }
            if !placed.insert(place.section.as_str()) {
                return Err(LayoutError::SectionRepeated { section });
            }
            place.check().map_err(|field| LayoutError::Section { section, field })?;
        }
        self.check_marks(plan)
    }

    /// What a layout has, in words for people.
    pub(crate) fn said(layout: Option<&Self>) -> String {
        layout.map_or_else(
            || "none".to_owned(),
            |layout| format!("{} sections placed, {} seats marked", layout.sections.len(), layout.marks.len()),
        )
    }

    fn check_marks(&self, plan: &SeatingPlan) -> Result<(), LayoutError> {
        if self.marks.len() > MARKED_SEATS_MAX {
            return Err(LayoutError::TooManyMarks);
        }
        let places = self.sections.iter().map(|place| place.section.as_str());
        let names = places.chain(self.marks.iter().map(|marked| marked.seat.as_str()));
        if names.map(|name| name.chars().count()).sum::<usize>() > LAYOUT_NAMES_CHARACTERS_MAX {
            return Err(LayoutError::NamesTooLong);
        }
        if self.marks.is_empty() {
            return Ok(());
        }
        let sections = plan.sections().iter();
        let rows = sections.flat_map(|section| section.rows.iter().map(|row| (section.name.as_str(), row)));
        let seats: HashMap<_, _> = rows.map(|(section, row)| ((section, row.name.as_str()), row.seats)).collect();
        let mut marked = HashSet::new();
        for (mark, MarkedSeat { seat, .. }) in self.marks.iter().enumerate() {
            let (section, row, number) = seat.parts();
            if seats.get(&(section, row)).is_none_or(|seats| *seats < number) {
                return Err(LayoutError::SeatUnknown { mark });
            }
            if !marked.insert(seat) {
                return Err(LayoutError::SeatRepeated { mark });
            }
        }
        Ok(())
    }
}

impl StagePlace {
    fn check(self) -> Result<(), LayoutError> {
        let is_place = |measure: Measure| measure.is_within(-DISTANCE_MAX, DISTANCE_MAX);
        let is_length = |measure: Measure| measure.is_within(1.0 / PARTS, DISTANCE_MAX);
        let checked = [
            ("x", is_place(self.x)),
            ("y", is_place(self.y)),
            ("width", is_length(self.width)),
            ("depth", is_length(self.depth)),
        ];
        first_wrong(checked).map_or(Ok(()), |field| Err(LayoutError::Stage { field }))
    }
}

impl SectionPlace {
    fn check(&self) -> Result<(), &'static str> {
        let checked = [
            ("x", self.x.is_within(-DISTANCE_MAX, DISTANCE_MAX)),
            ("y", self.y.is_within(-DISTANCE_MAX, DISTANCE_MAX)),
            ("angle", self.angle.is_within(-360.0, 360.0)),
            ("curvature", self.curvature.is_within(0.0, 1.0)),
        ];
        first_wrong(checked).map_or(Ok(()), Err)
    }
}

fn first_wrong<const N: usize>(checked: [(&'static str, bool); N]) -> Option<&'static str> {
    checked.into_iter().find(|(_, is_right)| !is_right).map(|(field, _)| field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Row, Section};

    fn name(text: &str) -> PartName {
        PartName::new(text).unwrap()
    }

    /// Sections A and B, each with a row 1 of two seats and a row 2 of three.
    fn plan() -> SeatingPlan {
        let row = |row, seats| Row { name: name(row), seats };
        let section = |section| Section { name: name(section), rows: vec![row("1", 2), row("2", 3)] };
        SeatingPlan::new(vec![section("A"), section("B")]).unwrap()
    }

    fn stage(x: f64, y: f64, width: f64, depth: f64) -> Layout {
        let stage = StagePlace { x: x.into(), y: y.into(), width: width.into(), depth: depth.into() };
        Layout { stage: Some(stage), ..Layout::default() }
    }

    fn place(section: &str, [x, y, angle, curvature]: [f64; 4]) -> SectionPlace {
        let [x, y, angle, curvature] = [x, y, angle, curvature].map(Measure::from);
        SectionPlace { section: name(section), x, y, angle, curvature }
    }

    fn sections(sections: Vec<SectionPlace>) -> Layout {
        Layout { sections, ..Layout::default() }
    }

    fn marks(labels: &[&str]) -> Layout {
        let mark = |label: &&str| MarkedSeat { seat: SeatLabel::new(label).unwrap(), mark: SeatMark::Companion };
        Layout { marks: labels.iter().map(mark).collect(), ..Layout::default() }
    }

    #[test]
    fn a_measure_has_six_decimals() {
        for (given, kept) in [(0.1, 0.1), (-12.345_678_9, -12.345_679), (1e-7, 0.0), (9_999.999_999, 9_999.999_999)] {
            assert_eq!(f64::from(Measure::from(given)).to_string(), f64::to_string(&kept), "{given}");
        }
    }

    #[test]
    fn measures_have_bounds() {
        let far = 10_000.0;
        for [x, y, width, depth] in [[0.0, 0.0, 1.0, 1.0], [-far, far, far, 0.000_001]] {
            assert_eq!(stage(x, y, width, depth).check(&plan()), Ok(()));
        }
        let beyond = far + 0.000_001;
        for ([x, y, width, depth], field) in [
            ([beyond, 0.0, 1.0, 1.0], "x"),
            ([0.0, -beyond, 1.0, 1.0], "y"),
            ([0.0, 0.0, 0.0, 1.0], "width"),
            ([0.0, 0.0, beyond, 1.0], "width"),
            ([0.0, 0.0, 1.0, -1.0], "depth"),
            ([f64::MAX, 0.0, 1.0, 1.0], "x"),
        ] {
            assert_eq!(stage(x, y, width, depth).check(&plan()), Err(LayoutError::Stage { field }));
        }
        for measures in [[far, -far, 360.0, 1.0], [0.0, 0.0, -360.0, 0.0]] {
            assert_eq!(sections(vec![place("A", measures)]).check(&plan()), Ok(()));
        }
        for (measures, field) in [
            ([-beyond, 0.0, 0.0, 0.0], "x"),
            ([0.0, beyond, 0.0, 0.0], "y"),
            ([0.0, 0.0, 360.1, 0.0], "angle"),
            ([0.0, 0.0, 0.0, -0.1], "curvature"),
            ([0.0, 0.0, 0.0, 1.1], "curvature"),
        ] {
            let refused = sections(vec![place("A", [0.0; 4]), place("B", measures)]).check(&plan());
            assert_eq!(refused, Err(LayoutError::Section { section: 1, field }));
        }
    }

    #[test]
    fn sections_and_seats_are_those_of_the_plan_and_named_once() {
        let (a, b, unknown) = (place("A", [0.0; 4]), place("B", [0.0; 4]), place("C", [0.0; 4]));
        assert_eq!(sections(vec![b.clone(), a.clone()]).check(&plan()), Ok(()));
        for (places, error) in [
            (vec![a.clone(), unknown], LayoutError::SectionUnknown { section: 1 }),
            (vec![a.clone(), b, a], LayoutError::SectionRepeated { section: 2 }),
        ] {
            assert_eq!(sections(places).check(&plan()), Err(error));
        }
        assert_eq!(marks(&["A-1-2", "B-2-3", "A-2-3"]).check(&plan()), Ok(()));
        for (labels, error) in [
            (["A-1-2", "A-1-3"], LayoutError::SeatUnknown { mark: 1 }),
            (["C-1-1", "A-1-1"], LayoutError::SeatUnknown { mark: 0 }),
            (["A-3-1", "A-1-1"], LayoutError::SeatUnknown { mark: 0 }),
            (["A-1-1", "A-1-1"], LayoutError::SeatRepeated { mark: 1 }),
        ] {
            assert_eq!(marks(&labels).check(&plan()), Err(error));
        }
        let too_many =
            Layout { marks: vec![marks(&["A-1-1"]).marks.remove(0); MARKED_SEATS_MAX + 1], ..Layout::default() };
        assert_eq!(too_many.check(&plan()), Err(LayoutError::TooManyMarks));
    }

    #[test]
    fn names_have_room_together() {
        let long = "s".repeat(96);
        let plan =
            SeatingPlan::new(vec![Section { name: name(&long), rows: vec![Row { name: name("r"), seats: 9_999 }] }]);
        // 100 characters each.
        let label = |number| SeatLabel::of(&name(&long), &name("r"), number);
        let mark = |number: u32| MarkedSeat { seat: label(number % 9 + 1), mark: SeatMark::Companion };
        let plan = plan.unwrap();
        let marked = |count| Layout { marks: (0..count).map(mark).collect(), ..Layout::default() };
        assert_eq!(marked(1_000).check(&plan), Err(LayoutError::SeatRepeated { mark: 9 }), "not too long");
        assert_eq!(marked(1_001).check(&plan), Err(LayoutError::NamesTooLong));
    }

    #[test]
    fn a_mark_has_a_name() {
        for (name, mark) in [
            ("wheelchair", SeatMark::Wheelchair),
            ("companion", SeatMark::Companion),
            ("restricted_view", SeatMark::RestrictedView),
        ] {
            assert_eq!((name.parse(), mark.name()), (Ok(mark), name));
        }
        assert_eq!("Wheelchair".parse::<SeatMark>(), Err(UnknownSeatMark));
    }

    #[test]
    fn an_error_has_its_field() {
        for (error, field) in [
            (LayoutError::Stage { field: "x" }, "stage/x"),
            (LayoutError::Section { section: 1, field: "angle" }, "sections/1/angle"),
            (LayoutError::SectionUnknown { section: 2 }, "sections/2/section"),
            (LayoutError::SectionRepeated { section: 3 }, "sections/3/section"),
            (LayoutError::SeatUnknown { mark: 4 }, "marks/4/seat"),
            (LayoutError::SeatRepeated { mark: 5 }, "marks/5/seat"),
            (LayoutError::TooManyMarks, "marks"),
            (LayoutError::NamesTooLong, "marks"),
        ] {
            assert_eq!(error.field(), field);
        }
    }
}
