//! `/v1/concerts`, `/v1/performances` and `/v1/venues`.

pub(crate) mod concert;
mod concert_detail;
pub(crate) mod concerts;
mod layout;
pub(crate) mod managed_concerts;
pub(crate) mod performance;
pub(crate) mod performances;
pub(crate) mod publish_concert;
pub(crate) mod publish_performance;
pub(crate) mod publish_venue;
pub(crate) mod sales;
pub(crate) mod seats;
pub(crate) mod update_concert;
pub(crate) mod venue;
pub(crate) mod venues;

use axum::http::{HeaderName, HeaderValue};
use boxoffice_application::{ConcertView, catalog::CatalogError, draw};
use boxoffice_domain::{
    TimeZone, Timestamp,
    catalog::{Availability, Concert, ConcertSummary, PerformanceDate, PerformanceSummary, VenueSummary},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use self::concert_detail::ConcertDetailResponse;
use crate::reply::{Problem, etag, mirror, problem_from};

/// A venue as it is named beside a performance.
#[derive(Serialize, ToSchema)]
#[schema(as = VenueSummary)]
pub(crate) struct VenueSummaryResponse {
    id: Uuid,
    name: String,
    location: String,
    /// The time zone of the IANA database in which its clocks show the times of performances.
    #[schema(example = "Asia/Seoul")]
    time_zone: &'static str,
}

impl From<VenueSummary> for VenueSummaryResponse {
    fn from(venue: VenueSummary) -> Self {
        Self {
            id: venue.id.uuid(),
            name: venue.name.into(),
            location: venue.location.into(),
            time_zone: venue.time_zone.as_str(),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Concert)]
pub(crate) struct ConcertResponse {
    id: Uuid,
    title: String,
    artist: String,
    description: String,
    sales_open_at: DateTime<Utc>,
    sales_close_at: DateTime<Utc>,
    /// Whether the queue can be joined: `availability` is `available`, `few` or `held`. A concert with a draw can be queued
    /// for earlier.
    bookable: bool,
    /// Whether seats can be had in a performance that has not started.
    availability: AvailabilityResponse,
    /// The draw among the accounts that join the queue before the sale opens; `null` if there is none, and accounts can
    /// join only once the sale is open.
    #[schema(required)]
    draw: Option<DrawResponse>,
    max_seats_per_account: u32,
    /// Whether seats can be held only by an account whose points cover them, together with all that it holds.
    holds_need_balance: bool,
    /// Whether only an account with a verified e-mail address can join the queue.
    requires_verified_email: bool,
    performances_count: u32,
    /// When the first performance starts; `null` if there is none.
    #[schema(required)]
    first_performance_at: Option<DateTime<Utc>>,
    /// When the last performance starts; `null` if there is none.
    #[schema(required)]
    last_performance_at: Option<DateTime<Utc>>,
    /// The time zone of its venues; `null` if it has none, or venues in several zones.
    #[schema(required, example = "Asia/Seoul")]
    time_zone: Option<&'static str>,
    /// What the cheapest seat of all performances costs, in points; `null` if there is none.
    #[schema(required)]
    price_min: Option<i64>,
    /// What the dearest seat of all performances costs, in points; `null` if there is none.
    #[schema(required)]
    price_max: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Availability)]
enum AvailabilityResponse {
    /// Seats are available.
    Available,
    /// At most 5 % of the seats are available.
    Few,
    /// Every seat that is not sold is held. Holds lapse.
    Held,
    /// Every seat is sold.
    SoldOut,
    /// The sale has not opened, or there is no performance yet.
    NotYet,
    /// The sale has closed, or every performance has started.
    Closed,
}

mirror!(Availability => AvailabilityResponse: Available, Few, Held, SoldOut, NotYet, Closed);

/// The public part of what decides a draw.
#[derive(Serialize, ToSchema)]
#[schema(as = Draw)]
struct DrawResponse {
    /// The SHA-256 of the seed, in hexadecimal digits.
    #[schema(example = "630dcd2966c4336691125448bbb25b4ff412a49c732db2c8abc1b8581bd710dd")]
    seed_hash: String,
    /// The 32 bytes of the seed, in hexadecimal digits; `null` before `sales_open_at`.
    #[schema(required)]
    seed: Option<String>,
}

impl DrawResponse {
    fn of(concert: &Concert, now: Timestamp) -> Option<Self> {
        let seed_hash = draw::hexadecimal(&draw::seed_hash(&concert.draw?));
        Some(Self { seed_hash, seed: concert.published_draw(now).map(|draw| draw::hexadecimal(draw.seed())) })
    }
}

impl ConcertResponse {
    /// The concert as it is at `now`.
    fn new(ConcertView { summary, availability }: ConcertView, now: Timestamp) -> Self {
        let draw = DrawResponse::of(&summary.concert, now);
        let ConcertSummary {
            concert,
            performances_count,
            first_performance_at,
            last_performance_at,
            prices,
            time_zone,
        } = summary;
        Self {
            id: concert.id.uuid(),
            title: concert.title.into(),
            artist: concert.artist.into(),
            description: concert.description.into(),
            sales_open_at: concert.sales.open_at(),
            sales_close_at: concert.sales.close_at(),
            bookable: availability.is_bookable(),
            availability: availability.into(),
            draw,
            max_seats_per_account: concert.max_seats_per_account,
            holds_need_balance: concert.holds_need_balance,
            requires_verified_email: concert.requires_verified_email,
            performances_count,
            first_performance_at,
            last_performance_at,
            time_zone: time_zone.map(TimeZone::as_str),
            price_min: prices.map(|prices| prices.min.get()),
            price_max: prices.map(|prices| prices.max.get()),
        }
    }
}

/// A concert as its promoter sees it.
#[derive(Serialize, ToSchema)]
#[schema(as = ManagedConcert)]
pub(crate) struct ManagedConcertResponse {
    #[serde(flatten)]
    concert: ConcertDetailResponse,
    /// How many accounts are admitted at once.
    max_active: u32,
}

impl ManagedConcertResponse {
    /// The concert, with the tag under which buyers see it.
    fn tagged(
        view: ConcertView,
        dates: Vec<PerformanceDate>,
        now: Timestamp,
    ) -> Result<((HeaderName, HeaderValue), Self), Problem> {
        let Concert { version, max_active, .. } = view.summary.concert;
        let concert = ConcertDetailResponse::new(view, dates, now);
        Ok((etag::version_field(version, &concert)?, Self { concert, max_active }))
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Performance)]
pub(crate) struct PerformanceResponse {
    id: Uuid,
    concert_id: Uuid,
    venue: VenueSummaryResponse,
    starts_at: DateTime<Utc>,
    /// How long it takes the venue.
    duration_minutes: u32,
    /// Whether it was taken from sale: no more seats can be held.
    withdrawn: bool,
    seats_total: u32,
    /// How many seats are neither sold nor held.
    seats_available: u32,
    /// What the cheapest seat costs, in points.
    price_min: i64,
    /// What the dearest seat costs, in points.
    price_max: i64,
}

impl From<PerformanceSummary> for PerformanceResponse {
    fn from(performance: PerformanceSummary) -> Self {
        Self {
            id: performance.id.uuid(),
            concert_id: performance.concert_id.uuid(),
            venue: performance.venue.into(),
            starts_at: performance.starts_at,
            duration_minutes: performance.duration_minutes,
            withdrawn: performance.withdrawn,
            seats_total: performance.seats_total,
            seats_available: performance.seats_available,
            price_min: performance.price_min.get(),
            price_max: performance.price_max.get(),
        }
    }
}

problem_from!(CatalogError: [
    Forbidden => Forbidden,
    ConcertNotFound => ConcertNotFound,
    VenueNotFound => VenueNotFound,
    PerformanceNotFound => PerformanceNotFound,
    VersionMismatch => PreconditionFailed,
], [SalesWindow, SalesTime, Draw, Start, Overlaps, Layout, Prices, KeyReused, Gate, WaitingRoom, Storage]);
