use axum::{extract::State, http::StatusCode, response::Response};
use boxoffice_application::{catalog::PublishPerformance, fingerprint};
use boxoffice_domain::{
    ConcertId, Points, VenueId,
    catalog::{Booking, DURATION_MINUTES, DURATION_MINUTES_MAX, PRICE_MAX, PriceError, StartError, VENUE_SECTIONS_MAX},
    rfc3339,
    seats::PartName,
    text::NAME_CHARACTERS_MAX,
};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use validator::Validate;

use super::PerformanceResponse;
use crate::{
    api::Api,
    json::{self, Time, present},
    reply::{Code, Problem, made, refusals},
    request::{
        Body, Id, OptionalKey, Publisher, RequestId,
        validation::{Fields, validated},
    },
    routes::{CHARACTER_BYTES_MAX, ENTRY_BYTES_MAX, FIELDS_BYTES_MAX},
};

/// Room for the prices of as many sections as a venue may have.
pub(crate) const BODY_BYTES_MAX: usize =
    VENUE_SECTIONS_MAX * (NAME_CHARACTERS_MAX * CHARACTER_BYTES_MAX + ENTRY_BYTES_MAX) + FIELDS_BYTES_MAX;

#[derive(Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPerformance)]
pub(crate) struct PublishPerformanceRequest {
    venue_id: Uuid,
    /// After the concert's sale opens, later than now, and at most ten years ahead.
    starts_at: Time,
    /// How long it takes the venue, which has one performance at a time; 180 by default.
    #[serde(default, deserialize_with = "present")]
    #[validate(range(min = 1, max = i64::from(DURATION_MINUTES_MAX)))]
    #[schema(minimum = 1, maximum = 1_440, nullable = false)]
    duration_minutes: Option<i64>,
    /// One price for each section of the venue.
    #[serde(deserialize_with = "json::objects")]
    #[validate(nested)]
    #[schema(max_items = 1_000)]
    prices: Vec<PriceRequest>,
}

#[derive(Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[schema(as = Price)]
struct PriceRequest {
    /// The section's name.
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = r"^[\t-\r \x85]*[^\x00-\x1f\x7f-\x9f-]+[\t-\r \x85]*$",
        example = "A"
    )]
    section: String,
    /// What a seat of it costs, in points.
    #[validate(range(min = 0, max = PRICE_MAX))]
    #[schema(minimum = 0, maximum = 100_000_000, example = 55_000)]
    price: i64,
}

impl PublishPerformanceRequest {
    fn parse(&self, concert_id: ConcertId) -> Result<PublishPerformance, Problem> {
        validated(self, |fields| {
            let prices = fields.each("/prices", &self.prices, |fields, pointer, price| price.parse(fields, pointer));
            let starts_at = fields.instant("/starts_at", self.starts_at);
            let venue_id = VenueId::new(self.venue_id);
            let duration_minutes = self.duration_minutes.and_then(|minutes| u32::try_from(minutes).ok());
            Some(PublishPerformance {
                concert_id,
                venue_id,
                starts_at: starts_at?,
                duration_minutes: duration_minutes.unwrap_or(DURATION_MINUTES),
                prices: prices?,
            })
        })
    }
}

impl PriceRequest {
    fn parse(&self, fields: &mut Fields, pointer: &str) -> Option<(PartName, Points)> {
        let section = fields.text(&format!("{pointer}/section"), PartName::new(&self.section));
        Some((section?, Points::new(self.price).ok()?))
    }
}

impl From<PriceError> for Problem {
    fn from(error: PriceError) -> Self {
        let (pointer, code) = match &error {
            PriceError::SectionMissing(_) => ("/prices".to_owned(), "section_missing"),
            PriceError::SectionUnknown { price } => (format!("/prices/{price}/section"), "section_unknown"),
            PriceError::SectionRepeated { price } => (format!("/prices/{price}/section"), "section_repeated"),
            PriceError::TooHigh { price } => (format!("/prices/{price}/price"), "range"),
        };
        Self::violation(pointer, code, error.to_string())
    }
}

impl From<StartError> for Problem {
    fn from(error: StartError) -> Self {
        let code = match error {
            StartError::Past => "in_the_past",
            StartError::BeforeSale => "before_sale",
            StartError::TooFarAhead => "too_far_ahead",
        };
        Self::violation("/starts_at", code, error.to_string())
    }
}

impl From<Booking> for Problem {
    fn from(other: Booking) -> Self {
        let (starts_at, ends_at) = (rfc3339(other.starts_at), rfc3339(other.ends_at()));
        let detail = format!("The venue has another performance from {starts_at} to {ends_at}.");
        Self::new(Code::PerformanceOverlaps).detail(detail)
    }
}

refusals!([SIGNED_IN, PATH, BODY, KEYED], [Forbidden, ConcertNotFound, VenueNotFound, PerformanceOverlaps]);

/// Publish a performance of a concert, for its promoter
#[utoipa::path(
    post, path = "/v1/concerts/{id}/performances", tag = "catalog", operation_id = "catalog_publish_performance",
    security(("bearer" = [])), params(("id" = Uuid, Path, description = "The concert"), OptionalKey),
    request_body = PublishPerformanceRequest,
    responses(
        (status = 201, description = "The performance, with all its seats available.", body = PerformanceResponse,
            headers(
                ("Location", description = "Where the performance is"),
                ("Idempotency-Replayed", description = "`true` if an earlier request made it"),
            )),
        Refusals,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.catalog.publish_performance", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    Publisher(identity): Publisher,
    request_id: RequestId,
    Id(id): Id<ConcertId>,
    key: OptionalKey,
    Body(body): Body<PublishPerformanceRequest>,
) -> Result<Response, Problem> {
    let new = body.parse(id)?;
    let idempotency = key.naming(|| fingerprint::publish_performance(&new));
    let (service, named) = (api.services.catalog.clone(), idempotency.clone());
    let staff = request_id.staff(identity);
    let act = async move { service.publish_performance(staff, new, named).await };
    let performance = api.run_idempotent(identity, idempotency.as_ref(), act).await??;
    let location = format!("/v1/performances/{}", performance.value.id);
    Ok(made(performance, StatusCode::CREATED, Some(&location), PerformanceResponse::from))
}
