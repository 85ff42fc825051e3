//! Rows of venues, concerts and performances.

use boxoffice_domain::{
    AccountId, StorageError, TimeZone,
    catalog::{
        Booking, CatalogKey, Concert, KnownPerformance, Moved, NewPerformance, Owned, PerformanceDate,
        PerformanceSummary, SalesWindow, SeatingPlan, Section, SectionPrice, StoredPerformance, Venue, VenueSummary,
    },
    idempotency::{Fingerprint, Idempotency, IdempotencyKey},
    text::Description,
    waiting_room::Draw,
};
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::{
    row::row,
    schema::{performances, venues},
    stored::{count, damaged, id, json, name, optional_id, points},
};

/// How a row comes into the catalog: by a request, or by an import under a key of its file.
#[derive(Clone, Copy, Default)]
pub(super) struct Origin<'o> {
    pub(super) publisher: Option<AccountId>,
    pub(super) idempotency: Option<&'o Idempotency>,
    pub(super) catalog_key: Option<&'o CatalogKey>,
}

impl Origin<'_> {
    /// Whose the catalog key is, as it is compared: the operator has no account.
    fn owner(&self) -> AccountId {
        key_owner(self.publisher)
    }

    fn idempotency_key(&self) -> Option<&IdempotencyKey> {
        self.idempotency.map(|idempotency| &idempotency.key)
    }

    fn fingerprint(&self) -> Option<Fingerprint> {
        self.idempotency.map(|idempotency| idempotency.fingerprint)
    }
}

/// The owner of catalog keys, as it is stored.
pub(super) fn key_owner(owner: Option<AccountId>) -> AccountId {
    owner.unwrap_or(AccountId::new(uuid::Uuid::nil()))
}

pub(super) fn time_zone(stored: &str) -> Result<TimeZone, StorageError> {
    TimeZone::new(stored).map_err(|_| damaged("time zone")())
}

row! {
    #[expect(dead_code, reason = "some columns only serve queries")]
    pub(super) struct VenueRow in venues, from (venue: &Venue, drawn: Drawn, origin: Origin<'_>) {
        id: Vec<u8> = venue.id,
        catalog_key: Option<String> = origin.catalog_key,
        publisher_id: Option<Vec<u8>> = origin.publisher,
        owner_id: Vec<u8> = origin.owner(),
        name: String = &venue.name,
        location: String = &venue.location,
        capacity: i64 = venue.plan.capacity(),
        // JSON.
        sections: String = drawn.sections,
        created_at: NaiveDateTime = venue.created_at,
        idempotency_key: Option<String> = origin.idempotency_key(),
        fingerprint: Option<Vec<u8>> = origin.fingerprint(),
        overlaps_allowed: bool = venue.overlaps_allowed,
        time_zone: String = venue.time_zone.as_str(),
        // JSON.
        layout: Option<String> = drawn.layout,
    }
}

/// What of a venue is stored as JSON.
pub(super) struct Drawn {
    sections: String,
    layout: Option<String>,
}

impl Drawn {
    pub(super) fn of(venue: &Venue) -> Result<Self, StorageError> {
        let layout = venue.layout.as_ref().map(json).transpose()?;
        Ok(Self { sections: json(venue.plan.sections())?, layout })
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
            layout: row
                .layout
                .map(|layout| serde_json::from_str(&layout))
                .transpose()
                .map_err(|_| damaged("layout")())?,
            overlaps_allowed: row.overlaps_allowed,
            time_zone: time_zone(&row.time_zone)?,
            created_at: row.created_at.and_utc(),
        })
    }
}

row! {
    #[expect(dead_code, reason = "some columns only serve queries")]
    pub(super) struct ConcertRow in concerts, from (concert: &Concert, origin: Origin<'_>) {
        id: Vec<u8> = concert.id,
        catalog_key: Option<String> = origin.catalog_key,
        promoter_id: Option<Vec<u8>> = concert.promoter_id,
        owner_id: Vec<u8> = key_owner(concert.promoter_id),
        title: String = &concert.title,
        artist: String = &concert.artist,
        description: String = &concert.description,
        sales_open_at: NaiveDateTime = concert.sales.open_at(),
        sales_close_at: NaiveDateTime = concert.sales.close_at(),
        max_seats_per_account: i64 = concert.max_seats_per_account,
        max_active: i64 = concert.max_active,
        holds_need_balance: bool = concert.holds_need_balance,
        version: i64 = concert.version,
        created_at: NaiveDateTime = concert.created_at,
        idempotency_key: Option<String> = origin.idempotency_key(),
        fingerprint: Option<Vec<u8>> = origin.fingerprint(),
        draw_seed: Option<Vec<u8>> = concert.draw.map(|draw| draw.seed().to_vec()),
        paused: bool = concert.paused,
        emptied_at: Option<NaiveDateTime> = concert.emptied_at,
        requires_verified_email: bool = concert.requires_verified_email,
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
            holds_need_balance: row.holds_need_balance,
            requires_verified_email: row.requires_verified_email,
            draw: row.draw_seed.map(draw).transpose()?,
            paused: row.paused,
            emptied_at: row.emptied_at.map(|at| at.and_utc()),
            version: count(row.version)?,
            created_at: row.created_at.and_utc(),
        })
    }
}

row! {
    #[expect(dead_code, reason = "some columns only serve queries")]
    pub(super) struct PerformanceRow in performances, from (performance: &NewPerformance, origin: Origin<'_>) {
        id: Vec<u8> = performance.id,
        catalog_key: Option<String> = origin.catalog_key,
        publisher_id: Option<Vec<u8>> = origin.publisher,
        owner_id: Vec<u8> = origin.owner(),
        concert_id: Vec<u8> = performance.concert_id,
        venue_id: Vec<u8> = performance.venue.id,
        starts_at: NaiveDateTime = performance.starts_at,
        ends_at: NaiveDateTime = performance.booking().ends_at(),
        seats_total: i64 = performance.venue.plan.capacity(),
        price_min: i64 = performance.prices.min(),
        price_max: i64 = performance.prices.max(),
        created_at: NaiveDateTime = performance.created_at,
        idempotency_key: Option<String> = origin.idempotency_key(),
        fingerprint: Option<Vec<u8>> = origin.fingerprint(),
    }
}

/// How long a performance lasts, of which the end is stored.
pub(super) fn duration_minutes(starts_at: NaiveDateTime, ends_at: NaiveDateTime) -> Result<u32, StorageError> {
    count((ends_at - starts_at).num_minutes())
}

pub(super) fn moved(
    at: Option<NaiveDateTime>,
    cancel_until: Option<NaiveDateTime>,
) -> Result<Option<Moved>, StorageError> {
    match (at, cancel_until) {
        (None, None) => Ok(None),
        (Some(at), Some(cancel_until)) => Ok(Some(Moved { at: at.and_utc(), cancel_until: cancel_until.and_utc() })),
        _ => Err(damaged("performance")()),
    }
}

row! {
    /// What an import needs of a performance that is stored.
    pub(super) struct StoredPerformanceRow in performances {
        id: Vec<u8>,
        catalog_key: Option<String>,
        publisher_id: Option<Vec<u8>>,
        concert_id: Vec<u8>,
        venue_id: Vec<u8>,
        starts_at: NaiveDateTime,
        ends_at: NaiveDateTime,
        withdrawn_at: Option<NaiveDateTime>,
        moved_at: Option<NaiveDateTime>,
        cancel_until: Option<NaiveDateTime>,
    }
}

impl StoredPerformanceRow {
    /// The performance with its owner.
    pub(super) fn stored(
        self,
        sections: Vec<SectionPrice>,
        is_sold: bool,
    ) -> Result<Owned<StoredPerformance>, StorageError> {
        let performance = StoredPerformance {
            id: id(&self.id)?,
            concert_id: id(&self.concert_id)?,
            venue_id: id(&self.venue_id)?,
            starts_at: self.starts_at.and_utc(),
            duration_minutes: duration_minutes(self.starts_at, self.ends_at)?,
            moved: moved(self.moved_at, self.cancel_until)?,
            withdrawn_at: self.withdrawn_at.map(|at| at.and_utc()),
            sections,
            is_sold,
        };
        Ok(Owned { owner: optional_id(self.publisher_id.as_ref())?, value: performance })
    }

    pub(super) fn known(self) -> Result<KnownPerformance, StorageError> {
        Ok(KnownPerformance {
            id: id(&self.id)?,
            owner: optional_id(self.publisher_id.as_ref())?,
            key: self.catalog_key.as_deref().map(name).transpose()?,
            starts_at: self.starts_at.and_utc(),
            withdrawn_at: self.withdrawn_at.map(|at| at.and_utc()),
        })
    }
}

row! {
    /// When a performance takes its venue.
    pub(super) struct BookingRow in performances {
        id: Vec<u8>,
        starts_at: NaiveDateTime,
        ends_at: NaiveDateTime,
    }
}

impl TryFrom<BookingRow> for Booking {
    type Error = StorageError;

    fn try_from(row: BookingRow) -> Result<Self, StorageError> {
        let duration_minutes = duration_minutes(row.starts_at, row.ends_at)?;
        Ok(Self { id: id(&row.id)?, starts_at: row.starts_at.and_utc(), duration_minutes })
    }
}

/// A performance with its venue.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = performances)]
pub(super) struct SummaryRow {
    pub(super) id: Vec<u8>,
    concert_id: Vec<u8>,
    #[diesel(embed)]
    venue: VenueSummaryRow,
    starts_at: NaiveDateTime,
    ends_at: NaiveDateTime,
    withdrawn_at: Option<NaiveDateTime>,
    seats_total: i64,
    price_min: i64,
    price_max: i64,
}

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = venues)]
pub(super) struct VenueSummaryRow {
    id: Vec<u8>,
    name: String,
    location: String,
    time_zone: String,
}

impl TryFrom<VenueSummaryRow> for VenueSummary {
    type Error = StorageError;

    fn try_from(row: VenueSummaryRow) -> Result<Self, StorageError> {
        Ok(Self {
            id: id(&row.id)?,
            name: name(&row.name)?,
            location: name(&row.location)?,
            time_zone: time_zone(&row.time_zone)?,
        })
    }
}

/// When and where a performance is.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = performances)]
pub(super) struct DateRow {
    id: Vec<u8>,
    #[diesel(embed)]
    venue: VenueSummaryRow,
    starts_at: NaiveDateTime,
}

impl TryFrom<DateRow> for PerformanceDate {
    type Error = StorageError;

    fn try_from(row: DateRow) -> Result<Self, StorageError> {
        Ok(Self { id: id(&row.id)?, venue: row.venue.try_into()?, starts_at: row.starts_at.and_utc() })
    }
}

impl SummaryRow {
    pub(super) fn summary(self, seats_available: u32) -> Result<PerformanceSummary, StorageError> {
        Ok(PerformanceSummary {
            id: id(&self.id)?,
            concert_id: id(&self.concert_id)?,
            venue: self.venue.try_into()?,
            starts_at: self.starts_at.and_utc(),
            duration_minutes: duration_minutes(self.starts_at, self.ends_at)?,
            withdrawn: self.withdrawn_at.is_some(),
            seats_total: count(self.seats_total)?,
            seats_available,
            price_min: points(self.price_min)?,
            price_max: points(self.price_max)?,
        })
    }
}
