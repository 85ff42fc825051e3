//! Rows of venues, concerts and performances.

use boxoffice_domain::{
    AccountId, StorageError,
    catalog::{Concert, NewPerformance, PerformanceSummary, SalesWindow, SeatingPlan, Section, Venue, VenueSummary},
    idempotency::Idempotency,
    text::{Description, Name},
    waiting_room::Draw,
};
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::{
    schema::{concerts, performances, venues},
    stored::{Stored, count, damaged, fingerprint_bytes, id, json, key_text, name, optional_id, points, time},
};

#[derive(Clone, Debug, Insertable, Queryable)]
#[diesel(table_name = venues)]
pub(super) struct VenueRow {
    pub(super) id: Vec<u8>,
    pub(super) catalog_key: Option<String>,
    pub(super) publisher_id: Option<Vec<u8>>,
    pub(super) name: String,
    pub(super) location: String,
    pub(super) capacity: i64,
    pub(super) sections: String,
    pub(super) created_at: NaiveDateTime,
    pub(super) idempotency_key: Option<String>,
    pub(super) fingerprint: Option<Vec<u8>>,
}

pub(super) fn sections_text(plan: &SeatingPlan) -> Result<String, StorageError> {
    json(plan.sections())
}

impl VenueRow {
    pub(super) fn new(
        venue: &Venue,
        key: Option<&Name>,
        publisher_id: Option<AccountId>,
        idempotency: Option<&Idempotency>,
    ) -> Result<Self, StorageError> {
        Ok(Self {
            id: venue.id.stored(),
            catalog_key: key.map(|key| key.as_str().to_owned()),
            publisher_id: publisher_id.map(|id| id.stored()),
            name: venue.name.as_str().to_owned(),
            location: venue.location.as_str().to_owned(),
            capacity: i64::from(venue.plan.capacity()),
            sections: sections_text(&venue.plan)?,
            created_at: time(venue.created_at),
            idempotency_key: key_text(idempotency),
            fingerprint: fingerprint_bytes(idempotency),
        })
    }
}

impl TryFrom<VenueRow> for Venue {
    type Error = StorageError;

    fn try_from(row: VenueRow) -> Result<Self, StorageError> {
        let sections: Vec<Section> = serde_json::from_str(&row.sections).map_err(|_| damaged("seating plan")())?;
        Ok(Self {
            id: id(&row.id)?,
            name: name(&row.name)?,
            location: name(&row.location)?,
            plan: SeatingPlan::new(sections).map_err(|_| damaged("seating plan")())?,
            created_at: row.created_at.and_utc(),
        })
    }
}

/// As a change, it leaves a column alone that is `None` in it: the keys under which the concert was published. A draw and
/// the time at which the queue was emptied are never taken back.
#[derive(AsChangeset, Clone, Debug, Insertable, Queryable)]
#[diesel(table_name = concerts)]
pub(super) struct ConcertRow {
    pub(super) id: Vec<u8>,
    pub(super) catalog_key: Option<String>,
    pub(super) promoter_id: Option<Vec<u8>>,
    pub(super) title: String,
    pub(super) artist: String,
    pub(super) description: String,
    pub(super) sales_open_at: NaiveDateTime,
    pub(super) sales_close_at: NaiveDateTime,
    pub(super) max_seats_per_account: i64,
    pub(super) max_active: i64,
    pub(super) version: i64,
    pub(super) created_at: NaiveDateTime,
    pub(super) idempotency_key: Option<String>,
    pub(super) fingerprint: Option<Vec<u8>>,
    pub(super) draw_seed: Option<Vec<u8>>,
    pub(super) paused: bool,
    pub(super) emptied_at: Option<NaiveDateTime>,
}

impl ConcertRow {
    pub(super) fn new(concert: &Concert, key: Option<&Name>, idempotency: Option<&Idempotency>) -> Self {
        Self {
            id: concert.id.stored(),
            catalog_key: key.map(|key| key.as_str().to_owned()),
            promoter_id: concert.promoter_id.map(|id| id.stored()),
            title: concert.title.as_str().to_owned(),
            artist: concert.artist.as_str().to_owned(),
            description: concert.description.as_str().to_owned(),
            sales_open_at: time(concert.sales.open_at()),
            sales_close_at: time(concert.sales.close_at()),
            max_seats_per_account: i64::from(concert.max_seats_per_account),
            max_active: i64::from(concert.max_active),
            version: i64::from(concert.version),
            created_at: time(concert.created_at),
            idempotency_key: key_text(idempotency),
            fingerprint: fingerprint_bytes(idempotency),
            draw_seed: concert.draw.map(|draw| draw.seed().to_vec()),
            paused: concert.paused,
            emptied_at: concert.emptied_at.map(time),
        }
    }
}

pub(super) fn sales_window(open_at: NaiveDateTime, close_at: NaiveDateTime) -> Result<SalesWindow, StorageError> {
    SalesWindow::new(open_at.and_utc(), close_at.and_utc()).map_err(|_| damaged("sale window")())
}

fn draw(seed: Vec<u8>) -> Result<Draw, StorageError> {
    seed.try_into().map(Draw::new).map_err(|_| damaged("draw seed")())
}

impl TryFrom<ConcertRow> for Concert {
    type Error = StorageError;

    fn try_from(row: ConcertRow) -> Result<Self, StorageError> {
        Ok(Self {
            id: id(&row.id)?,
            promoter_id: optional_id(row.promoter_id.as_ref())?,
            title: name(&row.title)?,
            artist: name(&row.artist)?,
            description: Description::new(&row.description).map_err(|_| damaged("description")())?,
            sales: sales_window(row.sales_open_at, row.sales_close_at)?,
            max_seats_per_account: count(row.max_seats_per_account)?,
            max_active: count(row.max_active)?,
            draw: row.draw_seed.map(draw).transpose()?,
            paused: row.paused,
            emptied_at: row.emptied_at.map(|at| at.and_utc()),
            version: count(row.version)?,
            created_at: row.created_at.and_utc(),
        })
    }
}

#[derive(Clone, Debug, Insertable, Queryable)]
#[diesel(table_name = performances)]
pub(super) struct PerformanceRow {
    pub(super) id: Vec<u8>,
    pub(super) catalog_key: Option<String>,
    pub(super) publisher_id: Option<Vec<u8>>,
    pub(super) concert_id: Vec<u8>,
    pub(super) venue_id: Vec<u8>,
    pub(super) starts_at: NaiveDateTime,
    pub(super) seats_total: i64,
    pub(super) price_min: i64,
    pub(super) price_max: i64,
    pub(super) created_at: NaiveDateTime,
    pub(super) idempotency_key: Option<String>,
    pub(super) fingerprint: Option<Vec<u8>>,
}

impl PerformanceRow {
    pub(super) fn new(
        performance: &NewPerformance,
        key: Option<&Name>,
        publisher_id: Option<AccountId>,
        idempotency: Option<&Idempotency>,
    ) -> Self {
        Self {
            id: performance.id.stored(),
            catalog_key: key.map(|key| key.as_str().to_owned()),
            publisher_id: publisher_id.map(|id| id.stored()),
            concert_id: performance.concert_id.stored(),
            venue_id: performance.venue.id.stored(),
            starts_at: time(performance.starts_at),
            seats_total: i64::from(performance.venue.plan.capacity()),
            price_min: performance.prices.min().get(),
            price_max: performance.prices.max().get(),
            created_at: time(performance.created_at),
            idempotency_key: key_text(idempotency),
            fingerprint: fingerprint_bytes(idempotency),
        }
    }
}

/// A performance with its venue.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = performances)]
pub(super) struct SummaryRow {
    pub(super) id: Vec<u8>,
    concert_id: Vec<u8>,
    venue_id: Vec<u8>,
    #[diesel(select_expression = venues::name)]
    venue_name: String,
    #[diesel(select_expression = venues::location)]
    venue_location: String,
    starts_at: NaiveDateTime,
    seats_total: i64,
    price_min: i64,
    price_max: i64,
}

impl SummaryRow {
    pub(super) fn summary(&self, seats_available: u32) -> Result<PerformanceSummary, StorageError> {
        Ok(PerformanceSummary {
            id: id(&self.id)?,
            concert_id: id(&self.concert_id)?,
            venue: VenueSummary {
                id: id(&self.venue_id)?,
                name: name(&self.venue_name)?,
                location: name(&self.venue_location)?,
            },
            starts_at: self.starts_at.and_utc(),
            seats_total: count(self.seats_total)?,
            seats_available,
            price_min: points(self.price_min)?,
            price_max: points(self.price_max)?,
        })
    }
}
