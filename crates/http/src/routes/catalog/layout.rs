//! How a venue is drawn, in requests and responses.

use boxoffice_domain::{
    catalog::{Layout, LayoutError, MarkedSeat, SectionPlace, StagePlace},
    seats::{PartName, SeatLabel},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{json, reply::Problem, request::validation::Fields, routes::SeatLabelText};

/// How a venue is drawn. A length of 1 is the distance of two seats in a row; `x` grows to the right of one who looks at the
/// stage, and `y` away from it. Numbers are kept to six decimals. Sections that are left out are placed by the page that draws.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Layout)]
pub(super) struct LayoutBody {
    #[serde(default, deserialize_with = "json::object", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    stage: Option<StageBody>,
    /// Where sections are, each at most once.
    #[serde(default, deserialize_with = "json::objects")]
    #[schema(max_items = 1_000)]
    sections: Vec<SectionPlaceBody>,
    /// Seats that are special, each at most once.
    #[serde(default, deserialize_with = "json::objects")]
    #[schema(max_items = 5_000)]
    marks: Vec<MarkBody>,
}

/// Where the stage is: its left side, the side that is the farthest from the seats, and how large it is.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StagePlace)]
struct StageBody {
    #[schema(minimum = -10_000, maximum = 10_000, example = -12)]
    x: f64,
    #[schema(minimum = -10_000, maximum = 10_000, example = -8)]
    y: f64,
    #[schema(minimum = 0.000_001, maximum = 10_000, example = 24)]
    width: f64,
    #[schema(minimum = 0.000_001, maximum = 10_000, example = 6)]
    depth: f64,
}

/// Where a section is: the middle of its front row, and how it is turned.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SectionPlace)]
struct SectionPlaceBody {
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = r"^[\t-\r \x85]*[^\x00-\x1f\x7f-\x9f-]+[\t-\r \x85]*$",
        example = "A"
    )]
    section: String,
    #[schema(minimum = -10_000, maximum = 10_000)]
    x: f64,
    #[schema(minimum = -10_000, maximum = 10_000)]
    y: f64,
    /// By how many degrees it is turned clockwise; 0 if absent, when its rows face straight ahead.
    #[serde(default)]
    #[schema(minimum = -360, maximum = 360)]
    angle: f64,
    /// One divided by the radius of the arc that its front row is, around a point before it; 0 if absent, for straight
    /// rows.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1)]
    curvature: f64,
}

/// A seat that is special.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MarkedSeat)]
struct MarkBody {
    #[schema(value_type = SeatLabelText)]
    seat: String,
    #[schema(value_type = MarkOfSeat)]
    mark: String,
}

/// What is special about a seat.
#[derive(ToSchema)]
#[schema(as = SeatMark, rename_all = "snake_case")]
#[expect(dead_code, reason = "it describes what a mark may be")]
enum MarkOfSeat {
    /// A place for a wheelchair.
    Wheelchair,
    /// Beside a wheelchair.
    Companion,
    /// Not all of the stage is seen from it.
    RestrictedView,
}

impl LayoutBody {
    /// The layout; whether it fits its plan is checked later.
    pub(super) fn parse(&self, fields: &mut Fields) -> Option<Layout> {
        let section = |fields: &mut Fields, pointer: &str, place: &SectionPlaceBody| {
            let section = fields.text(&format!("{pointer}/section"), PartName::new(&place.section))?;
            let [x, y, angle, curvature] = [place.x, place.y, place.angle, place.curvature].map(Into::into);
            Some(SectionPlace { section, x, y, angle, curvature })
        };
        let mark = |fields: &mut Fields, pointer: &str, marked: &MarkBody| {
            let seat = fields.check(&format!("{pointer}/seat"), "seat_label", SeatLabel::new(&marked.seat));
            let mark = fields.check(&format!("{pointer}/mark"), "mark_unknown", marked.mark.parse());
            Some(MarkedSeat { seat: seat?, mark: mark? })
        };
        let sections = fields.each("/layout/sections", &self.sections, section);
        let marks = fields.each("/layout/marks", &self.marks, mark);
        let stage = self.stage.as_ref().map(|stage| {
            let [x, y, width, depth] = [stage.x, stage.y, stage.width, stage.depth].map(Into::into);
            StagePlace { x, y, width, depth }
        });
        Some(Layout { stage, sections: sections?, marks: marks? })
    }
}

impl From<Layout> for LayoutBody {
    fn from(layout: Layout) -> Self {
        let stage = layout.stage.map(|stage| StageBody {
            x: stage.x.into(),
            y: stage.y.into(),
            width: stage.width.into(),
            depth: stage.depth.into(),
        });
        let section = |place: SectionPlace| SectionPlaceBody {
            section: place.section.as_str().to_owned(),
            x: place.x.into(),
            y: place.y.into(),
            angle: place.angle.into(),
            curvature: place.curvature.into(),
        };
        let mark = |marked: MarkedSeat| MarkBody { seat: marked.seat.into(), mark: marked.mark.name().to_owned() };
        Self {
            stage,
            sections: layout.sections.into_iter().map(section).collect(),
            marks: layout.marks.into_iter().map(mark).collect(),
        }
    }
}

impl From<LayoutError> for Problem {
    fn from(error: LayoutError) -> Self {
        let code = match error {
            LayoutError::Stage { .. } | LayoutError::Section { .. } => "range",
            LayoutError::SectionUnknown { .. } => "section_unknown",
            LayoutError::SectionRepeated { .. } => "section_repeated",
            LayoutError::SeatUnknown { .. } => "seat_unknown",
            LayoutError::SeatRepeated { .. } => "seat_repeated",
            LayoutError::TooManyMarks | LayoutError::NamesTooLong => "venue_too_large",
        };
        Self::violation(format!("/layout/{}", error.field()), code, error.to_string())
    }
}
