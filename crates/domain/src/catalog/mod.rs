//! What is sold: venues, concerts, performances and their seats.

mod concert;
mod concert_index;
mod import;
mod importer;
mod layout;
mod performance;
mod plan;
mod rules;
mod search;
mod seat_map;
mod stock;

use std::collections::HashMap;

use async_trait::async_trait;

use crate::{
    AccountId, ConcertId, PerformanceId, StorageError, Timestamp, VenueId,
    history::StaffAct,
    idempotency::{Idempotency, KeyReused, Made},
    page::{PAGE_ITEMS_MAX, Page, PageRequest},
};

#[cfg(feature = "mocks")]
pub use self::import::MockCatalogImport;
pub use self::{
    concert::{
        ACTIVE_MAX, Concert, ConcertChange, ConcertChangeError, ConcertSummary, DrawError, InvalidSalesWindow,
        NotOnSale, SEATS_PER_ACCOUNT_MAX, SalesWindow,
    },
    concert_index::ConcertIndex,
    import::{
        CatalogImport, CatalogKey, ImportError, ImportOptions, ImportPlace, ImportProgress, ImportRefusal,
        ImportReport, ImportRule, ImportedCatalog, ImportedChange, ImportedConcert, ImportedPerformance, ImportedVenue,
        Named,
    },
    importer::{
        Imported, Importer, KnownPerformance, OtherPerformances, Owned, PerformanceImport, SectionPrice,
        StoredPerformance, VenueBookings,
    },
    layout::{
        LAYOUT_NAMES_CHARACTERS_MAX, Layout, LayoutError, MARKED_SEATS_MAX, MarkedSeat, Measure, SeatMark,
        SectionPlace, StagePlace, UnknownSeatMark,
    },
    performance::{
        DATES_SHOWN_MAX, Moved, NewPerformance, PRICE_MAX, PerformanceDate, PerformanceKey, PerformanceSummary,
        PerformanceTerms, PriceError, PriceList, PriceRange, Sales,
    },
    plan::{
        PlanError, PlannedSeat, Row, SeatingPlan, Section, VENUE_NAMES_CHARACTERS_MAX, VENUE_SEATS_MAX,
        VENUE_SECTIONS_MAX, Venue, VenueSummary,
    },
    rules::{
        Booking, DURATION_MINUTES, DURATION_MINUTES_MAX, SalesTimeError, StartError, check_opening, check_sales,
        check_start,
    },
    search::{
        ConcertKey, ConcertOrder, ConcertSearch, ListedConcert, SEARCH_CHARACTERS_MAX, SEARCH_WORDS_MAX, SearchWords,
        SearchWordsError, folded,
    },
    seat_map::{MappedSeats, SeatLabels, SeatMap, SeatView},
    stock::{Availability, FEW_PART, Stock},
};

/// Why something was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The idempotency key names another request.
    #[error(transparent)]
    KeyReused(#[from] KeyReused),
    /// The concert is not there.
    #[error("the concert does not exist")]
    ConcertNotFound,
    /// The performance cannot start then.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The venue has another performance at that time.
    #[error("the venue has another performance at that time, which starts at {}", .0.starts_at)]
    Overlaps(Booking),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why a concert was not changed.
#[derive(Debug, thiserror::Error)]
pub enum UpdateConcertError {
    /// It is at another version than the one the change was made for; or a performance was published meanwhile that would
    /// start before the sale opens.
    #[error("the concert has been changed meanwhile")]
    VersionMismatch,
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Keeps the catalog. A method that changes it writes its [`StaffAct`] down in the same transaction, unless it changes
/// nothing.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Catalog: Send + Sync {
    /// Stores a new venue. `idempotency` is unique per publishing account: a second call with its key
    /// gives the venue that the first one made, or [`KeyReused`] where the fingerprints differ.
    async fn publish_venue(
        &self,
        publisher: AccountId,
        venue: Venue,
        idempotency: Option<Idempotency>,
        act: StaffAct,
    ) -> Result<Made<Venue>, PublishError>;

    /// Stores a new concert; `idempotency` as for a venue.
    async fn publish_concert(
        &self,
        concert: Concert,
        idempotency: Option<Idempotency>,
        act: StaffAct,
    ) -> Result<Made<Concert>, PublishError>;

    /// Stores a new performance with all of its seats, available; `idempotency` as for a venue. One that is new has to
    /// [start](check_start) in time for the sale of its concert, and to leave its venue's other performances alone unless
    /// the venue allows [overlaps](Booking::conflict): of several concurrent calls that overlap, one succeeds.
    async fn publish_performance(
        &self,
        publisher: AccountId,
        performance: NewPerformance,
        idempotency: Option<Idempotency>,
        act: StaffAct,
    ) -> Result<Made<PerformanceSummary>, PublishError>;

    /// Replaces a concert, if the stored one is at the version before `concert.version`.
    async fn update_concert(&self, concert: Concert, act: StaffAct) -> Result<(), UpdateConcertError>;

    /// A venue.
    async fn venue(&self, id: VenueId) -> Result<Option<Venue>, StorageError>;

    /// The venues, the newest first.
    async fn venues(&self, page: PageRequest<VenueId>) -> Result<Page<VenueSummary, VenueId>, StorageError>;

    /// A concert.
    async fn concert(&self, id: ConcertId) -> Result<Option<ConcertSummary>, StorageError>;

    /// The concerts in the order of their publication; with `bookable_at` only those
    /// [on sale](ConcertSummary::is_on_sale) then.
    async fn concerts(
        &self,
        bookable_at: Option<Timestamp>,
        page: PageRequest<ConcertId>,
    ) -> Result<Page<ConcertSummary, ConcertId>, StorageError>;

    /// The concerts of a promoter, or all, the newest first.
    ///
    /// Without another implementation it reads all concerts.
    async fn managed_concerts(
        &self,
        promoter_id: Option<AccountId>,
        page: PageRequest<ConcertId>,
    ) -> Result<Page<ConcertSummary, ConcertId>, StorageError> {
        let (mut found, mut request) = (Vec::new(), PageRequest::first(PAGE_ITEMS_MAX));
        loop {
            let read = self.concerts(None, request).await?;
            let is_asked_for = |summary: &ConcertSummary| {
                promoter_id.is_none_or(|promoter_id| summary.concert.promoter_id == Some(promoter_id))
                    && page.after.is_none_or(|after| summary.concert.id < after)
            };
            found.extend(read.items.into_iter().filter(is_asked_for));
            let Some(after) = read.next else { break };
            request = PageRequest { limit: PAGE_ITEMS_MAX, after: Some(after) };
        }
        found.reverse();
        Ok(Page::from_rows(found, page.limit, |summary| summary.concert.id))
    }

    /// The concerts that a search finds at `now`, in its order: the page that [`ConcertSearch::page`] makes of all concerts.
    /// What this storage has answered before the call is in it.
    ///
    /// Without another implementation it reads all concerts and performances. An implementor may answer from memory. What
    /// other processes have written may be missing for a bounded time, which the implementor states.
    async fn find_concerts(
        &self,
        search: &ConcertSearch,
        now: Timestamp,
        page: PageRequest<ConcertKey>,
    ) -> Result<Page<ConcertSummary, ConcertKey>, StorageError> {
        let mut listed = Vec::new();
        let mut request = PageRequest::first(PAGE_ITEMS_MAX);
        loop {
            let concerts = self.concerts(None, request).await?;
            for summary in concerts.items {
                let performances = performances_not_withdrawn(self, summary.concert.id).await?;
                let places =
                    performances.into_iter().map(|performance| (performance.starts_at, performance.venue.name));
                listed.push(ListedConcert::new(summary, places));
            }
            let Some(after) = concerts.next else { return Ok(search.page(listed, now, &page)) };
            request = PageRequest { limit: PAGE_ITEMS_MAX, after: Some(after) };
        }
    }

    /// When and where a concert is performed: what [`PerformanceDate::shown`] makes of its dates at `now`, by start and then
    /// by id. Without another implementation it reads all performances of the concert.
    async fn dates(&self, id: ConcertId, now: Timestamp) -> Result<Vec<PerformanceDate>, StorageError> {
        let dates = performances_not_withdrawn(self, id).await?.into_iter().map(PerformanceDate::from).collect();
        Ok(PerformanceDate::shown(dates, now))
    }

    /// The performances of a concert by start, then by id; with `available` only those with a seat to be
    /// had that have not started and are not withdrawn, or with `Some(false)` only the others. Seats whose hold has lapsed
    /// count as available.
    async fn performances(
        &self,
        concert_id: ConcertId,
        available: Option<bool>,
        page: PageRequest<PerformanceKey>,
    ) -> Result<Page<PerformanceSummary, PerformanceKey>, StorageError>;

    /// A performance.
    async fn performance(&self, id: PerformanceId) -> Result<Option<PerformanceSummary>, StorageError>;

    /// The concert of a performance. It never changes, so an answer may be kept.
    async fn concert_of(&self, id: PerformanceId) -> Result<Option<ConcertId>, StorageError>;

    /// Every seat of a performance as it is now; seats whose hold has lapsed are available.
    ///
    /// An implementor may answer from memory, within limits. Whatever any port of this storage has answered
    /// before the call is in the map: a seat is not available once its hold, its payment, or the refusal of
    /// a hold as unavailable has been answered, and is available once its cancellation has. What other
    /// processes have written may be missing for a short, bounded time, which the implementor states.
    async fn seats(&self, id: PerformanceId) -> Result<Option<SeatMap>, StorageError>;

    /// What is left of these concerts in the performances that start after `now`; of one that is missing in the answer,
    /// nothing. Seats whose hold has lapsed are available.
    ///
    /// An implementor may answer from memory. What any process has written may be missing for a short, bounded time, which
    /// the implementor states.
    async fn stocks(&self, ids: &[ConcertId], now: Timestamp) -> Result<HashMap<ConcertId, Stock>, StorageError> {
        let mut stocks = HashMap::with_capacity(ids.len());
        for id in ids {
            let performances = performances_not_withdrawn(self, *id).await?;
            for performance in performances.iter().filter(|performance| now < performance.starts_at) {
                let sales = self.sales(performance.id).await?.unwrap_or_default();
                *stocks.entry(*id).or_default() += Stock::from(sales);
            }
        }
        Ok(stocks)
    }

    /// How a performance sells now.
    async fn sales(&self, id: PerformanceId) -> Result<Option<Sales>, StorageError>;
}

/// The performances of a concert that may be sold.
async fn performances_not_withdrawn<C: Catalog + ?Sized>(
    catalog: &C,
    id: ConcertId,
) -> Result<Vec<PerformanceSummary>, StorageError> {
    let (mut performances, mut after) = (Vec::new(), None);
    loop {
        let page = catalog.performances(id, None, PageRequest { limit: PAGE_ITEMS_MAX, after }).await?;
        performances.extend(page.items.into_iter().filter(|performance| !performance.withdrawn));
        after = page.next;
        if after.is_none() {
            return Ok(performances);
        }
    }
}
