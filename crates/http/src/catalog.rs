//! `/v1/concerts`, `/v1/performances` and `/v1/venues`.

use std::sync::Arc;

use axum::{
    Json as Answer,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use boxoffice_application::{
    Identity,
    catalog::{CatalogError, NewConcert, NewVenue},
    draw,
};
use boxoffice_domain::{
    ConcertId, PerformanceId, Points, Timestamp, VenueId,
    catalog::{
        ACTIVE_MAX, Concert, ConcertChange, ConcertSummary, DrawError, InvalidSalesWindow, PRICE_MAX, PartName,
        PerformanceKey, PerformanceSummary, PlanError, PriceError, Row, SEATS_PER_ACCOUNT_MAX, Sales, SalesWindow,
        SeatMap, SeatView, SeatingPlan, Section, VENUE_SEATS_MAX, Venue,
    },
    idempotency::Made,
    page::PageRequest,
    reservations::SeatStatus,
    text::{Description, Name},
};
use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;
use validator::Validate;

use crate::{
    HttpSettings,
    api::Api,
    auth::{Queued, SignedIn},
    cursor::List,
    etag::{self, Kept, Tagged},
    extract::{Id, Json, Query, page, parsed, present},
    idempotency::{OptionalKey, Requested, made},
    problem::{Code, Problem, refusals},
    reads::{ConcertsAsked, PerformancesAsked},
    reservations::VenueSummaryAnswer,
    validation::{self, in_microseconds},
};

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(concerts, publish_concert))
        .routes(routes!(concert, update_concert))
        .routes(routes!(performances, publish_performance))
        .routes(routes!(performance))
        .routes(routes!(seats))
        .routes(routes!(sales))
        .routes(routes!(publish_venue))
}

// ---------------------------------------------------------------------------------------------------
// What goes in
// ---------------------------------------------------------------------------------------------------

#[derive(Deserialize, Serialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[schema(as = NewVenue)]
struct NewVenueBody {
    #[validate(custom(function = validation::name))]
    #[schema(min_length = 1, max_length = 255, example = "Rolling Hall")]
    name: String,
    /// Where it is.
    #[validate(custom(function = validation::name))]
    #[schema(min_length = 1, max_length = 255, example = "Seoul")]
    location: String,
    /// Its sections, of unique names; together 1 to 200,000 seats.
    #[validate(nested)]
    #[schema(min_items = 1)]
    sections: Vec<SectionBody>,
}

#[derive(Deserialize, Serialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[schema(as = Section)]
struct SectionBody {
    #[validate(custom(function = validation::part_name))]
    #[schema(min_length = 1, max_length = 255, example = "A")]
    name: String,
    /// Its rows, of unique names, front to back.
    #[validate(nested)]
    #[schema(min_items = 1)]
    rows: Vec<RowBody>,
}

#[derive(Deserialize, Serialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[schema(as = Row)]
struct RowBody {
    #[validate(custom(function = validation::part_name))]
    #[schema(min_length = 1, max_length = 255, example = "1")]
    name: String,
    /// How many seats it has, numbered from 1.
    #[validate(range(min = 1, max = i64::from(VENUE_SEATS_MAX), message = "must be 1 to 200000"))]
    #[schema(minimum = 1, maximum = 200_000, example = 20)]
    seats: i64,
}

impl NewVenueBody {
    fn parse(&self) -> Result<NewVenue, Problem> {
        let sections = self.sections.iter().enumerate().map(|(index, section)| section.parse(index));
        Ok(NewVenue {
            name: parsed("/name", "text", Name::new(&self.name))?,
            location: parsed("/location", "text", Name::new(&self.location))?,
            plan: SeatingPlan::new(sections.collect::<Result<_, _>>()?)?,
        })
    }
}

impl SectionBody {
    fn parse(&self, index: usize) -> Result<Section, Problem> {
        let row = |(row_index, row): (usize, &RowBody)| -> Result<Row, Problem> {
            let pointer = format!("/sections/{index}/rows/{row_index}");
            Ok(Row {
                name: parsed(&format!("{pointer}/name"), "text", PartName::new(&row.name))?,
                seats: parsed(&format!("{pointer}/seats"), "range", u32::try_from(row.seats))?,
            })
        };
        Ok(Section {
            name: parsed(&format!("/sections/{index}/name"), "text", PartName::new(&self.name))?,
            rows: self.rows.iter().enumerate().map(row).collect::<Result<_, _>>()?,
        })
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
            PlanError::TooManySeats => ("/sections".to_owned(), "venue_too_large"),
        };
        Self::violation(pointer, code, error.to_string())
    }
}

#[derive(Deserialize, Serialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[schema(as = NewConcert)]
struct NewConcertBody {
    #[validate(custom(function = validation::name))]
    #[schema(min_length = 1, max_length = 255, example = "Night of Songs")]
    title: String,
    /// Who plays.
    #[validate(custom(function = validation::name))]
    #[schema(min_length = 1, max_length = 255, example = "The Han River Band")]
    artist: String,
    /// More about it; line breaks are kept.
    #[serde(default)]
    #[validate(custom(function = validation::description))]
    #[schema(max_length = 4000)]
    description: String,
    /// The first instant of the sale.
    #[validate(custom(function = validation::instant))]
    sales_open_at: DateTime<Utc>,
    /// The first instant after the sale, later than `sales_open_at`.
    #[validate(custom(function = validation::instant))]
    sales_close_at: DateTime<Utc>,
    /// How many seats of the concert one account may hold and own together; 4 unless said.
    #[serde(default, deserialize_with = "present")]
    #[validate(range(min = 1, max = i64::from(SEATS_PER_ACCOUNT_MAX), message = "must be 1 to 100"))]
    #[schema(minimum = 1, maximum = 100, nullable = false)]
    max_seats_per_account: Option<i64>,
    /// How many accounts are admitted at once; 500 unless said.
    #[serde(default, deserialize_with = "present")]
    #[validate(range(min = 1, max = i64::from(ACTIVE_MAX), message = "must be 1 to 1000000"))]
    #[schema(minimum = 1, maximum = 1_000_000, nullable = false)]
    max_active: Option<i64>,
    /// Whether one may join before the sale opens, and the order of all who have is drawn when it does. Cannot be
    /// changed.
    #[serde(default)]
    draw: bool,
}

impl NewConcertBody {
    fn parse(&self, settings: &HttpSettings) -> Result<NewConcert, Problem> {
        let open_at = in_microseconds(self.sales_open_at);
        let close_at = in_microseconds(self.sales_close_at);
        let max_seats = count("/max_seats_per_account", self.max_seats_per_account)?;
        Ok(NewConcert {
            title: parsed("/title", "text", Name::new(&self.title))?,
            artist: parsed("/artist", "text", Name::new(&self.artist))?,
            description: parsed("/description", "text", Description::new(&self.description))?,
            sales: SalesWindow::new(open_at, close_at)?,
            max_seats_per_account: max_seats.unwrap_or(settings.max_seats_per_account_default),
            max_active: count("/max_active", self.max_active)?.unwrap_or(settings.max_active_default),
            draw: self.draw,
        })
    }
}

/// A number that has been checked to lie in a range far inside that of its type.
fn count(pointer: &str, number: Option<i64>) -> Result<Option<u32>, Problem> {
    number.map(|number| parsed(pointer, "range", u32::try_from(number))).transpose()
}

impl From<InvalidSalesWindow> for Problem {
    fn from(error: InvalidSalesWindow) -> Self {
        Self::violation("/sales_close_at", "sales_window", error.to_string())
    }
}

impl From<DrawError> for Problem {
    fn from(error: DrawError) -> Self {
        let (pointer, code) = match error {
            DrawError::Changed => ("/draw", "draw_changed"),
            DrawError::Held => ("/sales_open_at", "draw_held"),
            DrawError::Past => ("/sales_open_at", "draw_past"),
        };
        Self::violation(pointer, code, error.to_string())
    }
}

/// What is absent stays as it is.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[schema(as = ConcertChange)]
struct ConcertChangeBody {
    #[serde(default, deserialize_with = "present")]
    #[validate(custom(function = validation::name))]
    #[schema(min_length = 1, max_length = 255, nullable = false)]
    title: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[validate(custom(function = validation::name))]
    #[schema(min_length = 1, max_length = 255, nullable = false)]
    artist: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[validate(custom(function = validation::description))]
    #[schema(max_length = 4000, nullable = false)]
    description: Option<String>,
    /// Of a concert with a draw it can be changed only before it has come, to a time that has not come either.
    #[serde(default, deserialize_with = "present")]
    #[validate(custom(function = validation::instant))]
    #[schema(nullable = false)]
    sales_open_at: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "present")]
    #[validate(custom(function = validation::instant))]
    #[schema(nullable = false)]
    sales_close_at: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "present")]
    #[validate(range(min = 1, max = i64::from(SEATS_PER_ACCOUNT_MAX), message = "must be 1 to 100"))]
    #[schema(minimum = 1, maximum = 100, nullable = false)]
    max_seats_per_account: Option<i64>,
    #[serde(default, deserialize_with = "present")]
    #[validate(range(min = 1, max = i64::from(ACTIVE_MAX), message = "must be 1 to 1000000"))]
    #[schema(minimum = 1, maximum = 1_000_000, nullable = false)]
    max_active: Option<i64>,
}

impl ConcertChangeBody {
    fn parse(&self) -> Result<ConcertChange, Problem> {
        let name = |pointer, text: &Option<String>| -> Result<_, Problem> {
            text.as_deref().map(|text| parsed(pointer, "text", Name::new(text))).transpose()
        };
        let description = self.description.as_deref().map(Description::new).transpose();
        Ok(ConcertChange {
            title: name("/title", &self.title)?,
            artist: name("/artist", &self.artist)?,
            description: parsed("/description", "text", description)?,
            sales_open_at: self.sales_open_at.map(in_microseconds),
            sales_close_at: self.sales_close_at.map(in_microseconds),
            max_seats_per_account: count("/max_seats_per_account", self.max_seats_per_account)?,
            max_active: count("/max_active", self.max_active)?,
            ..ConcertChange::default()
        })
    }
}

#[derive(Deserialize, Serialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPerformance)]
struct NewPerformanceBody {
    venue_id: Uuid,
    #[validate(custom(function = validation::instant))]
    starts_at: DateTime<Utc>,
    /// One price for each section of the venue.
    #[validate(nested)]
    prices: Vec<PriceBody>,
}

#[derive(Deserialize, Serialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[schema(as = Price)]
struct PriceBody {
    /// The section's name.
    #[validate(custom(function = validation::part_name))]
    #[schema(min_length = 1, max_length = 255, example = "A")]
    section: String,
    /// What a seat of it costs, in points.
    #[validate(range(min = 0, max = PRICE_MAX, message = "must be 0 to 100000000"))]
    #[schema(minimum = 0, maximum = 100_000_000, example = 55_000)]
    price: i64,
}

impl NewPerformanceBody {
    fn prices(&self) -> Result<Vec<(PartName, Points)>, Problem> {
        let price = |(index, body): (usize, &PriceBody)| -> Result<_, Problem> {
            Ok((
                parsed(&format!("/prices/{index}/section"), "text", PartName::new(&body.section))?,
                parsed(&format!("/prices/{index}/price"), "range", Points::new(body.price))?,
            ))
        };
        self.prices.iter().enumerate().map(price).collect()
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

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ConcertQuery {
    /// Only those for which one can get in line now.
    bookable: Option<bool>,
    /// The most items to give.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<i64>,
    /// Where to go on: the `next_cursor` of the page before.
    cursor: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct PerformanceQuery {
    /// Only those with a seat to be had that have not started.
    available: Option<bool>,
    /// The most items to give.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<i64>,
    /// Where to go on: the `next_cursor` of the page before.
    cursor: Option<String>,
}

#[derive(Default, Deserialize, IntoParams, PartialEq)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct SeatQuery {
    /// Only seats of this status.
    #[param(inline)]
    status: Option<SeatStatusAnswer>,
    /// Only seats of this section.
    section: Option<String>,
}

// ---------------------------------------------------------------------------------------------------
// What comes out
// ---------------------------------------------------------------------------------------------------

#[derive(Serialize, ToSchema)]
#[schema(as = Venue)]
struct VenueAnswer {
    id: Uuid,
    name: String,
    location: String,
    /// How many seats it has.
    capacity: u32,
    sections: Vec<SectionBody>,
    created_at: DateTime<Utc>,
}

impl From<Venue> for VenueAnswer {
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
            created_at: venue.created_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Concert)]
struct ConcertAnswer {
    id: Uuid,
    title: String,
    artist: String,
    description: String,
    sales_open_at: DateTime<Utc>,
    sales_close_at: DateTime<Utc>,
    /// Whether the sale is open and there is something to come. Where there is a draw, one can get in line before that.
    bookable: bool,
    /// The draw among those who get in line before the sale opens; `null` where there is none, and nobody can then.
    #[schema(required)]
    draw: Option<DrawAnswer>,
    max_seats_per_account: u32,
    performances_count: u32,
    /// When the first performance starts; `null` where there is none.
    #[schema(required)]
    first_performance_at: Option<DateTime<Utc>>,
    /// When the last performance starts; `null` where there is none.
    #[schema(required)]
    last_performance_at: Option<DateTime<Utc>>,
}

/// What decides a draw, as far as it is public.
#[derive(Serialize, ToSchema)]
#[schema(as = Draw)]
struct DrawAnswer {
    /// The SHA-256 of the seed, in hexadecimal digits.
    #[schema(example = "630dcd2966c4336691125448bbb25b4ff412a49c732db2c8abc1b8581bd710dd")]
    seed_hash: String,
    /// The 32 bytes of the seed, in hexadecimal digits; `null` before `sales_open_at`.
    #[schema(required)]
    seed: Option<String>,
}

impl DrawAnswer {
    fn of(concert: &Concert, now: Timestamp) -> Option<Self> {
        let seed_hash = draw::hexadecimal(&draw::seed_hash(&concert.draw?));
        Some(Self { seed_hash, seed: concert.published_draw(now).map(|draw| draw::hexadecimal(draw.seed())) })
    }
}

impl ConcertAnswer {
    fn new(summary: ConcertSummary, now: Timestamp) -> Self {
        let bookable = summary.is_bookable(now);
        let draw = DrawAnswer::of(&summary.concert, now);
        let ConcertSummary { concert, performances_count, first_performance_at, last_performance_at } = summary;
        Self {
            id: concert.id.uuid(),
            title: concert.title.into(),
            artist: concert.artist.into(),
            description: concert.description.into(),
            sales_open_at: concert.sales.open_at(),
            sales_close_at: concert.sales.close_at(),
            bookable,
            draw,
            max_seats_per_account: concert.max_seats_per_account,
            performances_count,
            first_performance_at,
            last_performance_at,
        }
    }
}

/// A concert as its promoter sees it.
#[derive(Serialize, ToSchema)]
#[schema(as = ManagedConcert)]
struct ManagedConcertAnswer {
    #[serde(flatten)]
    concert: ConcertAnswer,
    /// How many accounts are admitted at once.
    max_active: u32,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Performance)]
struct PerformanceAnswer {
    id: Uuid,
    concert_id: Uuid,
    venue: VenueSummaryAnswer,
    starts_at: DateTime<Utc>,
    seats_total: u32,
    /// How many seats are neither sold nor held.
    seats_available: u32,
    /// What the cheapest seat costs, in points.
    price_min: i64,
    /// What the dearest seat costs, in points.
    price_max: i64,
}

impl From<PerformanceSummary> for PerformanceAnswer {
    fn from(performance: PerformanceSummary) -> Self {
        Self {
            id: performance.id.uuid(),
            concert_id: performance.concert_id.uuid(),
            venue: performance.venue.into(),
            starts_at: performance.starts_at,
            seats_total: performance.seats_total,
            seats_available: performance.seats_available,
            price_min: performance.price_min.get(),
            price_max: performance.price_max.get(),
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SeatStatus)]
enum SeatStatusAnswer {
    /// It can be had.
    Available,
    /// Somebody has it in hand and has not paid yet.
    Held,
    /// It is sold.
    Sold,
}

impl From<SeatStatus> for SeatStatusAnswer {
    fn from(status: SeatStatus) -> Self {
        match status {
            SeatStatus::Available => Self::Available,
            SeatStatus::Held => Self::Held,
            SeatStatus::Sold => Self::Sold,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Seat)]
struct SeatAnswer<'m> {
    #[schema(example = "A-1-12")]
    label: &'m str,
    section: &'m str,
    row: &'m str,
    /// Its number in the row, from 1.
    number: u32,
    /// What it costs, in points.
    price: i64,
    status: SeatStatusAnswer,
}

impl<'m> From<SeatView<'m>> for SeatAnswer<'m> {
    fn from(seat: SeatView<'m>) -> Self {
        Self {
            label: seat.label.as_str(),
            section: seat.section,
            row: seat.row,
            number: seat.number,
            price: seat.price.get(),
            status: seat.status.into(),
        }
    }
}

// Where all seats are asked for, `seat_maps` writes the same without this type.
/// The seats of a performance at one instant.
#[derive(Serialize, ToSchema)]
#[schema(as = SeatMap)]
pub(crate) struct SeatMapAnswer<'m> {
    performance_id: Uuid,
    /// The seats that were asked for, in the order of the hall.
    seats: Vec<SeatAnswer<'m>>,
    /// How many seats the performance has, whatever was asked for.
    seats_total: usize,
    /// How many of all its seats are neither sold nor held.
    seats_available: usize,
}

impl<'m> SeatMapAnswer<'m> {
    pub(crate) fn new(map: &'m SeatMap, query: &SeatQuery) -> Self {
        let wanted = |seat: &SeatView| query.status.is_none_or(|status| status == seat.status.into());
        let seats = match &query.section {
            Some(section) => map.section(section).filter(wanted).map(SeatAnswer::from).collect(),
            None => map.seats().filter(wanted).map(SeatAnswer::from).collect(),
        };
        Self {
            performance_id: map.performance_id().uuid(),
            seats,
            seats_total: map.statuses().len(),
            seats_available: map.available(),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Sales)]
struct SalesAnswer {
    /// Seats that can be had.
    available: u32,
    /// Seats that are held and not paid.
    held: u32,
    /// Seats that are sold.
    sold: u32,
    /// The points paid for the sold ones.
    revenue: i64,
}

impl From<Sales> for SalesAnswer {
    fn from(sales: Sales) -> Self {
        Self { available: sales.available, held: sales.held, sold: sales.sold, revenue: sales.revenue.get() }
    }
}

impl From<CatalogError> for Problem {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Forbidden => Self::new(Code::Forbidden),
            CatalogError::ConcertNotFound => Self::new(Code::ConcertNotFound),
            CatalogError::VenueNotFound => Self::new(Code::VenueNotFound),
            CatalogError::PerformanceNotFound => Self::new(Code::PerformanceNotFound),
            CatalogError::VersionMismatch => Self::new(Code::PreconditionFailed),
            CatalogError::SalesWindow(error) => error.into(),
            CatalogError::Draw(error) => error.into(),
            CatalogError::Prices(error) => error.into(),
            CatalogError::KeyReused(error) => error.into(),
            CatalogError::Gate(error) => error.into(),
            CatalogError::WaitingRoom(error) => error.into(),
            CatalogError::Storage(error) => error.into(),
        }
    }
}

// ---------------------------------------------------------------------------------------------------
// Looking
// ---------------------------------------------------------------------------------------------------

refusals!(ConcertsProblems: [LIST], []);
refusals!(ConcertProblems: [PATH], [ConcertNotFound]);
refusals!(PerformancesProblems: [SIGNED_IN, ADMITTED, PATH, LIST], [ConcertNotFound]);
refusals!(PerformanceProblems: [SIGNED_IN, ADMITTED, PATH], [PerformanceNotFound]);
refusals!(SalesProblems: [SIGNED_IN, PATH], [Forbidden, PerformanceNotFound, ConcertNotFound]);

/// The concerts, in the order of their publication
#[utoipa::path(
    get, path = "/v1/concerts", tag = "catalog",
    params(
        ConcertQuery,
        ("If-None-Match" = Option<String>, Header, description = "The tag of an answer that is there"),
    ),
    responses(
        (status = 200, description = "One page.", body = List<ConcertAnswer>,
            headers(("ETag", description = "The tag of this answer"))),
        (status = 304, description = "The answer that is there is current.",
            headers(("ETag", description = "Its tag"))),
        ConcertsProblems,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.catalog.concerts", skip_all)]
async fn concerts(
    State(api): State<Api>,
    headers: HeaderMap,
    Query(query): Query<ConcertQuery>,
) -> Result<Response, Problem> {
    let page = page(query.limit, query.cursor.as_deref())?;
    let asked = ConcertsAsked { bookable_only: query.bookable.unwrap_or_default(), page };
    let ConcertsAsked { bookable_only, page } = asked.clone();
    let read = async {
        let page = api.services.catalog.concerts(bookable_only, page).await?;
        let now = api.now();
        Tagged::of(&List::new(page, |summary| ConcertAnswer::new(summary, now)))
    };
    Ok(api.reads.concerts(asked, read).await?.answer(&headers, Kept::ByAll))
}

/// A concert
///
/// Its tag begins with its version, so it serves `If-Match` when the concert is changed: that looks at the
/// version alone.
#[utoipa::path(
    get, path = "/v1/concerts/{id}", tag = "catalog",
    params(
        ("id" = Uuid, Path, description = "The concert"),
        ("If-None-Match" = Option<String>, Header, description = "The tag of an answer that is there"),
    ),
    responses(
        (status = 200, description = "The concert.", body = ConcertAnswer,
            headers(("ETag", description = "The tag of this answer"))),
        (status = 304, description = "The answer that is there is current.",
            headers(("ETag", description = "Its tag"))),
        ConcertProblems,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.catalog.concert", skip_all)]
async fn concert(State(api): State<Api>, headers: HeaderMap, Id(id): Id<ConcertId>) -> Result<Response, Problem> {
    let read = async {
        let summary = api.services.catalog.concert(id).await?;
        let version = summary.concert.version;
        Tagged::of_version(version, &ConcertAnswer::new(summary, api.now()))
    };
    Ok(api.reads.concert(id, read).await?.answer(&headers, Kept::ByAll))
}

/// The performances of a concert, by start
#[utoipa::path(
    get, path = "/v1/concerts/{id}/performances", tag = "catalog", security(("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The concert"),
        PerformanceQuery,
        ("Queue-Token" = String, Header, description = "An active queue token of the concert"),
        ("If-None-Match" = Option<String>, Header, description = "The tag of an answer that is there"),
    ),
    responses(
        (status = 200, description = "One page.", body = List<PerformanceAnswer>,
            headers(("ETag", description = "The tag of this answer"))),
        (status = 304, description = "The answer that is there is current.",
            headers(("ETag", description = "Its tag"))),
        PerformancesProblems,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.catalog.performances", skip_all)]
async fn performances(
    State(api): State<Api>,
    Queued(place): Queued,
    headers: HeaderMap,
    Id(id): Id<ConcertId>,
    Query(query): Query<PerformanceQuery>,
) -> Result<Response, Problem> {
    let page: PageRequest<PerformanceKey> = page(query.limit, query.cursor.as_deref())?;
    if page.after.is_some_and(|after| !(1970..=9999).contains(&after.starts_at.year())) {
        return Err(Problem::malformed("The cursor is not one of this list."));
    }
    let admitted = api.services.catalog.admit_to_concert(place, id).await?;
    let asked = PerformancesAsked { concert_id: id, available_only: query.available.unwrap_or_default(), page };
    let PerformancesAsked { available_only, page, .. } = asked.clone();
    let read = async {
        let page = api.services.catalog.performances(admitted, available_only, page).await?;
        Tagged::of(&List::new(page, PerformanceAnswer::from))
    };
    let since = api.answered.since(place.account_id);
    Ok(api.reads.performances(asked, since, read).await?.answer(&headers, Kept::ByClient))
}

/// A performance
#[utoipa::path(
    get, path = "/v1/performances/{id}", tag = "catalog", security(("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The performance"),
        ("Queue-Token" = String, Header, description = "An active queue token of the concert"),
        ("If-None-Match" = Option<String>, Header, description = "The tag of an answer that is there"),
    ),
    responses(
        (status = 200, description = "The performance.", body = PerformanceAnswer,
            headers(("ETag", description = "The tag of this answer"))),
        (status = 304, description = "The answer that is there is current.",
            headers(("ETag", description = "Its tag"))),
        PerformanceProblems,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.catalog.performance", skip_all)]
async fn performance(
    State(api): State<Api>,
    Queued(place): Queued,
    headers: HeaderMap,
    Id(id): Id<PerformanceId>,
) -> Result<Response, Problem> {
    let admitted = api.services.catalog.admit_to_performance(place, id).await?;
    let read = async {
        let performance = api.services.catalog.performance(admitted).await?;
        Tagged::of(&PerformanceAnswer::from(performance))
    };
    let since = api.answered.since(place.account_id);
    Ok(api.reads.performance(id, since, read).await?.answer(&headers, Kept::ByClient))
}

/// The seats of a performance
#[utoipa::path(
    get, path = "/v1/performances/{id}/seats", tag = "catalog", security(("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The performance"),
        SeatQuery,
        ("Queue-Token" = String, Header, description = "An active queue token of the concert"),
        ("If-None-Match" = Option<String>, Header, description = "The tag of an answer that is there"),
    ),
    responses(
        (status = 200, description = "The seats.", body = SeatMapAnswer,
            headers(("ETag", description = "The tag of this answer"))),
        (status = 304, description = "The answer that is there is current.",
            headers(("ETag", description = "Its tag"))),
        PerformanceProblems,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.catalog.seats", skip_all)]
async fn seats(
    State(api): State<Api>,
    Queued(place): Queued,
    headers: HeaderMap,
    Id(id): Id<PerformanceId>,
    Query(query): Query<SeatQuery>,
) -> Result<Response, Problem> {
    let admitted = api.services.catalog.admit_to_performance(place, id).await?;
    if query == SeatQuery::default() {
        return api.seat_maps.map(&api, admitted, place.account_id).await?.answer(&headers).await;
    }
    let map = api.services.catalog.seats(admitted).await?;
    let answer = Tagged::of(&SeatMapAnswer::new(&map, &query))?;
    // It may be newer than the whole map that is shown at the moment.
    api.answered.note(place.account_id);
    Ok(answer.answer(&headers, Kept::ByClient))
}

/// How a performance sells, for the concert's promoter
#[utoipa::path(
    get, path = "/v1/performances/{id}/sales", tag = "catalog", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The performance")),
    responses((status = 200, description = "How it sells.", body = SalesAnswer), SalesProblems),
)]
#[tracing::instrument(level = "debug", name = "http.catalog.sales", skip_all)]
async fn sales(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    Id(id): Id<PerformanceId>,
) -> Result<Answer<SalesAnswer>, Problem> {
    Ok(Answer(api.services.catalog.sales(identity, id).await?.into()))
}

// ---------------------------------------------------------------------------------------------------
// Publishing
// ---------------------------------------------------------------------------------------------------

refusals!(PublishVenueProblems: [SIGNED_IN, BODY, KEYED], [Forbidden]);
refusals!(PublishConcertProblems: [SIGNED_IN, BODY, KEYED], [Forbidden]);
refusals!(UpdateConcertProblems: [SIGNED_IN, PATH, BODY], [Forbidden, ConcertNotFound, PreconditionFailed]);
refusals!(PublishPerformanceProblems: [SIGNED_IN, PATH, BODY, KEYED], [Forbidden, ConcertNotFound, VenueNotFound]);

/// Publish a venue, for promoters
#[utoipa::path(
    post, path = "/v1/venues", tag = "catalog", security(("bearer" = [])), request_body = NewVenueBody,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "Names this request, so that it may be repeated"),
    ),
    responses(
        (status = 201, description = "The venue.", body = VenueAnswer, headers(
            ("Idempotency-Replayed", description = "`true` where an earlier request made it"),
        )),
        PublishVenueProblems,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.catalog.publish_venue", skip_all)]
async fn publish_venue(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    OptionalKey(key): OptionalKey,
    Json(body): Json<NewVenueBody>,
) -> Result<Response, Problem> {
    let new = body.parse()?;
    let requested = Requested::with_body(key.as_ref(), "publish_venue", "", &body);
    let service = Arc::clone(&api.services.catalog);
    let change = api.reads.change();
    let act = async move { change.end(service.publish_venue(identity, new, key).await) };
    let venue = api.keyed_act(identity, &requested, act).await??;
    Ok(made(venue, StatusCode::CREATED, None, VenueAnswer::from))
}

/// Publish a concert, for promoters
#[utoipa::path(
    post, path = "/v1/concerts", tag = "catalog", security(("bearer" = [])), request_body = NewConcertBody,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "Names this request, so that it may be repeated"),
    ),
    responses(
        (status = 201, description = "The concert.", body = ManagedConcertAnswer, headers(
            ("Location", description = "Where the concert is"),
            ("ETag", description = "The tag for `If-Match`"),
            ("Idempotency-Replayed", description = "`true` where an earlier request made it"),
        )),
        PublishConcertProblems,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.catalog.publish_concert", skip_all)]
async fn publish_concert(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    OptionalKey(key): OptionalKey,
    Json(body): Json<NewConcertBody>,
) -> Result<Response, Problem> {
    let new = body.parse(&api.settings)?;
    let requested = Requested::with_body(key.as_ref(), "publish_concert", "", &body);
    let service = Arc::clone(&api.services.catalog);
    let change = api.reads.change();
    let act = async move { change.end(service.publish_concert(identity, new, key).await) };
    let Made { value: concert, replayed } = api.keyed_act(identity, &requested, act).await??;
    let location = format!("/v1/concerts/{}", concert.id);
    let (tag, answer) = managed(without_performances(concert), api.now())?;
    let answer = made(Made { value: answer, replayed }, StatusCode::CREATED, Some(&location), |answer| answer);
    Ok(([tag], answer).into_response())
}

/// A new concert has no performances, and the first answer is repeated as it was.
fn without_performances(concert: Concert) -> ConcertSummary {
    ConcertSummary { concert, performances_count: 0, first_performance_at: None, last_performance_at: None }
}

/// A concert for its promoter, with the tag under which buyers see it.
fn managed(
    summary: ConcertSummary,
    now: Timestamp,
) -> Result<((HeaderName, HeaderValue), ManagedConcertAnswer), Problem> {
    let Concert { version, max_active, .. } = summary.concert;
    let concert = ConcertAnswer::new(summary, now);
    let tag = etag::version_field(version, &concert)?;
    Ok((tag, ManagedConcertAnswer { concert, max_active }))
}

/// Change a concert, for its promoter
///
/// What is absent stays as it is. With `If-Match` it is changed only if nobody has changed it meanwhile.
#[utoipa::path(
    patch, path = "/v1/concerts/{id}", tag = "catalog", security(("bearer" = [])), request_body = ConcertChangeBody,
    params(
        ("id" = Uuid, Path, description = "The concert"),
        ("If-Match" = Option<String>, Header, description = "The tag of the concert that the change was made for"),
    ),
    responses(
        (status = 200, description = "The concert as it is now.", body = ManagedConcertAnswer,
            headers(("ETag", description = "The tag for `If-Match`"))),
        UpdateConcertProblems,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.catalog.update_concert", skip_all)]
async fn update_concert(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    Id(id): Id<ConcertId>,
    headers: HeaderMap,
    Json(body): Json<ConcertChangeBody>,
) -> Result<Response, Problem> {
    let change = body.parse()?;
    let version = version_expected(&api, identity, id, &headers).await?;
    let service = Arc::clone(&api.services.catalog);
    let reads_change = api.reads.change();
    let act = async move {
        let outcome = service.update_concert(identity, id, change, version).await;
        reads_change.end(outcome)
    };
    let summary = api.act(act).await??;
    let (tag, answer) = managed(summary, api.now())?;
    Ok(([tag], Answer(answer)).into_response())
}

/// The version that `If-Match` asks for; of several, the one that the concert is at.
async fn version_expected(
    api: &Api,
    identity: Identity,
    id: ConcertId,
    headers: &HeaderMap,
) -> Result<Option<u32>, Problem> {
    match etag::versions_allowed(headers).as_deref() {
        None => Ok(None),
        Some([version]) => Ok(Some(*version)),
        // Whoever may not change the concert learns that, and not its version.
        Some(_) if !identity.role.may_publish() => Ok(Some(0)),
        Some(versions) => {
            let current = api.services.catalog.concert(id).await?.concert.version;
            Ok(Some(if versions.contains(&current) { current } else { 0 }))
        }
    }
}

/// Publish a performance of a concert, for its promoter
#[utoipa::path(
    post, path = "/v1/concerts/{id}/performances", tag = "catalog", security(("bearer" = [])),
    request_body = NewPerformanceBody,
    params(
        ("id" = Uuid, Path, description = "The concert"),
        ("Idempotency-Key" = Option<String>, Header, description = "Names this request, so that it may be repeated"),
    ),
    responses(
        (status = 201, description = "The performance, with all its seats available.", body = PerformanceAnswer,
            headers(
                ("Location", description = "Where the performance is"),
                ("Idempotency-Replayed", description = "`true` where an earlier request made it"),
            )),
        PublishPerformanceProblems,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.catalog.publish_performance", skip_all)]
async fn publish_performance(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    Id(id): Id<ConcertId>,
    OptionalKey(key): OptionalKey,
    Json(body): Json<NewPerformanceBody>,
) -> Result<Response, Problem> {
    let prices = body.prices()?;
    let starts_at = in_microseconds(body.starts_at);
    let requested = Requested::with_body(key.as_ref(), "publish_performance", &id.to_string(), &body);
    let venue_id = VenueId::new(body.venue_id);
    let service = Arc::clone(&api.services.catalog);
    let change = api.reads.change();
    let act =
        async move { change.end(service.publish_performance(identity, id, venue_id, starts_at, &prices, key).await) };
    let performance = api.keyed_act(identity, &requested, act).await??;
    let location = format!("/v1/performances/{}", performance.value.id);
    Ok(made(performance, StatusCode::CREATED, Some(&location), PerformanceAnswer::from))
}
