use axum::{extract::State, http::StatusCode, response::Response};
use boxoffice_application::{catalog::NewVenue, fingerprint};
use boxoffice_domain::{
    TimeZone,
    catalog::{
        LAYOUT_NAMES_CHARACTERS_MAX, MARKED_SEATS_MAX, PlanError, Row, SeatingPlan, Section,
        VENUE_NAMES_CHARACTERS_MAX, VENUE_SEATS_MAX, VENUE_SECTIONS_MAX, Venue,
    },
    seats::PartName,
    text::{NAME_CHARACTERS_MAX, Name},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use validator::Validate;

use super::layout::LayoutBody;
use crate::{
    api::Api,
    json,
    reply::{Problem, made, refusals},
    request::{
        Body, OptionalKey, Publisher, RequestId,
        validation::{Fields, validated},
    },
    routes::{CHARACTER_BYTES_MAX, ENTRY_BYTES_MAX, FIELDS_BYTES_MAX},
};

/// Room for the largest venue with the longest names.
pub(crate) const BODY_BYTES_MAX: usize = (VENUE_NAMES_CHARACTERS_MAX + 2 * NAME_CHARACTERS_MAX) * CHARACTER_BYTES_MAX
    + (VENUE_SECTIONS_MAX + VENUE_SEATS_MAX as usize) * ENTRY_BYTES_MAX
    + LAYOUT_BYTES_MAX
    + FIELDS_BYTES_MAX;
/// Room for a place of each section, and for as many marks as there may be.
const LAYOUT_BYTES_MAX: usize = LAYOUT_NAMES_CHARACTERS_MAX * CHARACTER_BYTES_MAX
    + (3 * VENUE_SECTIONS_MAX + 2 * MARKED_SEATS_MAX) * ENTRY_BYTES_MAX;

#[derive(Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[schema(as = NewVenue)]
pub(crate) struct PublishVenueRequest {
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = r"^[\t-\r \x85]*[^\x00-\x1f\x7f-\x9f]+[\t-\r \x85]*$",
        example = "Rolling Hall"
    )]
    name: String,
    /// Where it is.
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = r"^[\t-\r \x85]*[^\x00-\x1f\x7f-\x9f]+[\t-\r \x85]*$",
        example = "Seoul"
    )]
    location: String,
    /// Its sections, of unique names; together 1 to 200,000 seats. The names of all sections and rows together have at
    /// most 2,400,000 characters.
    #[serde(deserialize_with = "json::objects")]
    #[validate(nested)]
    #[schema(min_items = 1, max_items = 1_000)]
    sections: Vec<SectionBody>,
    /// Whether it may have several performances at one time, as a house with two stages may.
    #[serde(default)]
    overlaps_allowed: bool,
    /// The time zone of the IANA database in which its clocks show the times of performances; `Asia/Seoul` if absent.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(nullable = false, example = "Asia/Seoul")]
    time_zone: Option<String>,
    #[serde(default, deserialize_with = "json::object")]
    #[schema(nullable = false)]
    layout: Option<LayoutBody>,
}

/// A section, in requests and responses.
#[derive(Deserialize, Serialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[schema(as = Section)]
struct SectionBody {
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = r"^[\t-\r \x85]*[^\x00-\x1f\x7f-\x9f-]+[\t-\r \x85]*$",
        example = "A"
    )]
    name: String,
    /// Its rows, of unique names, front to back.
    #[serde(deserialize_with = "json::objects")]
    #[validate(nested)]
    #[schema(min_items = 1, max_items = 200_000)]
    rows: Vec<RowBody>,
}

/// A row, in requests and responses.
#[derive(Deserialize, Serialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[schema(as = Row)]
struct RowBody {
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = r"^[\t-\r \x85]*[^\x00-\x1f\x7f-\x9f-]+[\t-\r \x85]*$",
        example = "1"
    )]
    name: String,
    /// How many seats it has, numbered from 1.
    #[validate(range(min = 1, max = i64::from(VENUE_SEATS_MAX)))]
    #[schema(minimum = 1, maximum = 200_000, example = 20)]
    seats: i64,
}

impl PublishVenueRequest {
    fn parse(&self) -> Result<NewVenue, Problem> {
        let (layout, location, name, sections, time_zone) = validated(self, |fields| {
            let layout = self.layout.as_ref().map(|layout| layout.parse(fields));
            let location = fields.text("/location", Name::new(&self.location));
            let name = fields.text("/name", Name::new(&self.name));
            let parse = |fields: &mut _, pointer: &_, section: &SectionBody| section.parse(fields, pointer);
            let sections = fields.each("/sections", &self.sections, parse);
            let time_zone = self.time_zone.as_deref().map_or(Ok(TimeZone::default()), TimeZone::new);
            let time_zone = fields.check("/time_zone", "time_zone_unknown", time_zone);
            let layout = layout.map_or(Some(None), |layout| layout.map(Some));
            Some((layout?, location?, name?, sections?, time_zone?))
        })?;
        let plan = SeatingPlan::new(sections)?;
        Ok(NewVenue { name, location, plan, layout, overlaps_allowed: self.overlaps_allowed, time_zone })
    }
}

impl SectionBody {
    fn parse(&self, fields: &mut Fields, pointer: &str) -> Option<Section> {
        let name = fields.text(&format!("{pointer}/name"), PartName::new(&self.name));
        let parse = |fields: &mut _, pointer: &_, row: &RowBody| row.parse(fields, pointer);
        let rows = fields.each(&format!("{pointer}/rows"), &self.rows, parse);
        Some(Section { name: name?, rows: rows? })
    }
}

impl RowBody {
    fn parse(&self, fields: &mut Fields, pointer: &str) -> Option<Row> {
        let name = fields.text(&format!("{pointer}/name"), PartName::new(&self.name));
        Some(Row { name: name?, seats: u32::try_from(self.seats).ok()? })
    }
}

impl From<PlanError> for Problem {
    fn from(error: PlanError) -> Self {
        let (pointer, code) = match error {
            PlanError::NoSeats { section: None } => ("/sections".to_owned(), "sections_empty"),
            PlanError::NoSeats { section: Some(section) } => (format!("/sections/{section}/rows"), "rows_empty"),
            PlanError::SectionRepeated { section } => (format!("/sections/{section}/name"), "section_repeated"),
            PlanError::RowRepeated { section, row } => (format!("/sections/{section}/rows/{row}/name"), "row_repeated"),
            PlanError::EmptyRow { section, row } => (format!("/sections/{section}/rows/{row}/seats"), "range"),
            PlanError::TooManySeats | PlanError::TooManySections | PlanError::NamesTooLong => {
                ("/sections".to_owned(), "venue_too_large")
            }
        };
        Self::violation(pointer, code, error.to_string())
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Venue)]
pub(crate) struct VenueResponse {
    id: Uuid,
    name: String,
    location: String,
    /// How many seats it has.
    capacity: u32,
    sections: Vec<SectionBody>,
    /// How it is drawn; absent if its promoter has not said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    layout: Option<LayoutBody>,
    /// Whether it may have several performances at one time.
    overlaps_allowed: bool,
    /// The time zone of the IANA database in which its clocks show the times of performances.
    #[schema(example = "Asia/Seoul")]
    time_zone: &'static str,
    created_at: DateTime<Utc>,
}

impl From<Venue> for VenueResponse {
    fn from(venue: Venue) -> Self {
        let row = |row: &Row| RowBody { name: row.name.as_str().to_owned(), seats: row.seats.into() };
        let section = |section: &Section| SectionBody {
            name: section.name.as_str().to_owned(),
            rows: section.rows.iter().map(row).collect(),
        };
        Self {
            id: venue.id.uuid(),
            name: venue.name.into(),
            location: venue.location.into(),
            capacity: venue.plan.capacity(),
            sections: venue.plan.sections().iter().map(section).collect(),
            layout: venue.layout.map(LayoutBody::from),
            overlaps_allowed: venue.overlaps_allowed,
            time_zone: venue.time_zone.as_str(),
            created_at: venue.created_at,
        }
    }
}

refusals!([SIGNED_IN, BODY, KEYED], [Forbidden]);

/// Publish a venue, for promoters
#[utoipa::path(
    post, path = "/v1/venues", tag = "catalog", operation_id = "catalog_publish_venue", security(("bearer" = [])),
    params(OptionalKey), request_body = PublishVenueRequest,
    responses(
        (status = 201, description = "The venue.", body = VenueResponse, headers(
            ("Idempotency-Replayed", description = "`true` if an earlier request made it"),
        )),
        Refusals,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.catalog.publish_venue", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    Publisher(identity): Publisher,
    request_id: RequestId,
    key: OptionalKey,
    Body(body): Body<PublishVenueRequest>,
) -> Result<Response, Problem> {
    let new = body.parse()?;
    let idempotency = key.naming(|| fingerprint::publish_venue(&new));
    let (service, named) = (api.services.catalog.clone(), idempotency.clone());
    let staff = request_id.staff(identity);
    let act = async move { service.publish_venue(staff, new, named).await };
    let venue = api.run_idempotent(identity, idempotency.as_ref(), act).await??;
    Ok(made(venue, StatusCode::CREATED, None, VenueResponse::from))
}
