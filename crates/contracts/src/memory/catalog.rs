//! Venues, concerts, performances and their seats.

use std::sync::Arc;

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, ConcertId, PerformanceId, StorageError, Timestamp, VenueId,
    catalog::{
        Catalog, Concert, ConcertSummary, MappedSeats, NewPerformance, PerformanceKey, PerformanceSummary,
        PerformanceTerms, PriceList, PublishError, Sales, SeatMap, SeatingPlan, UpdateConcertError, Venue,
        VenueSummary,
    },
    idempotency::{Idempotency, Made},
    page::{Page, PageRequest},
    seats::{Seat, SeatState, SeatStatus},
};

use super::{MemoryStore, Performance, Rows};

impl Rows {
    fn concert_summary(&self, concert: &Concert) -> ConcertSummary {
        let starts =
            || self.performances.values().filter(|found| found.concert_id == concert.id).map(|it| it.starts_at);
        ConcertSummary {
            concert: concert.clone(),
            performances_count: u32::try_from(starts().count()).unwrap_or(u32::MAX),
            first_performance_at: starts().min(),
            last_performance_at: starts().max(),
        }
    }

    fn venue_summary(&self, id: VenueId) -> Result<VenueSummary, StorageError> {
        let Venue { id, name, location, .. } = self.venues.get(&id).ok_or_else(missing)?.clone();
        Ok(VenueSummary { id, name, location })
    }

    fn performance_summary(&self, found: &Performance, now: Timestamp) -> Result<PerformanceSummary, StorageError> {
        let seats = self.seats_in_order(found.id);
        let available = seats.iter().filter(|seat| seat.state.status(now) == SeatStatus::Available).count();
        Ok(PerformanceSummary {
            id: found.id,
            concert_id: found.concert_id,
            venue: self.venue_summary(found.venue_id)?,
            starts_at: found.starts_at,
            seats_total: u32::try_from(seats.len()).unwrap_or(u32::MAX),
            seats_available: u32::try_from(available).unwrap_or(u32::MAX),
            price_min: found.price_min,
            price_max: found.price_max,
        })
    }

    fn seats_in_order(&self, id: PerformanceId) -> Vec<&Seat> {
        let mut seats: Vec<_> = self.sale.seats.get(&id).into_iter().flat_map(|seats| seats.values()).collect();
        seats.sort_unstable_by_key(|seat| seat.ordinal);
        seats
    }

    /// Stores a performance with the prices of its seats; those of a known performance that are taken keep theirs.
    pub(super) fn put_performance(
        &mut self,
        performance: Performance,
        prices: &PriceList,
        plan: &SeatingPlan,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let seats = self.sale.seats.entry(performance.id).or_default();
        for (planned, price) in prices.seats(plan) {
            let (label, ordinal) = (planned.label, planned.ordinal);
            let new = || Seat { label: label.clone(), ordinal, price, state: SeatState::Free };
            let seat = seats.entry(label.clone()).or_insert_with(new);
            if seat.state.status(now) == SeatStatus::Available {
                seat.price = price;
            }
        }
        let concert_id = performance.concert_id;
        self.performances.insert(performance.id, performance);
        self.refresh_terms(concert_id)
    }

    /// Brings what the sale knows of a concert's performances up to date.
    pub(super) fn refresh_terms(&mut self, concert_id: ConcertId) -> Result<(), StorageError> {
        let concert = self.concerts.get(&concert_id).ok_or_else(missing)?;
        for performance in self.performances.values().filter(|found| found.concert_id == concert_id) {
            let terms = PerformanceTerms {
                id: performance.id,
                concert_id,
                title: concert.title.clone(),
                venue: self.venue_summary(performance.venue_id)?,
                starts_at: performance.starts_at,
                sales: concert.sales,
                max_seats_per_account: concert.max_seats_per_account,
            };
            self.sale.terms.insert(terms.id, terms);
        }
        Ok(())
    }
}

fn missing() -> StorageError {
    StorageError::failed("what a row names is missing")
}

#[async_trait]
impl Catalog for MemoryStore {
    async fn publish_venue(
        &self,
        publisher: AccountId,
        venue: Venue,
        idempotency: Option<Idempotency>,
    ) -> Result<Made<Venue>, PublishError> {
        let mut rows = self.rows();
        if let Some(id) = rows.venue_keys.find(publisher, idempotency.as_ref())? {
            return Ok(Made::before(rows.venues.get(&id).ok_or_else(missing)?.clone()));
        }
        rows.venue_keys.note(publisher, idempotency, venue.id);
        rows.venues.insert(venue.id, venue.clone());
        Ok(Made::now(venue))
    }

    async fn publish_concert(
        &self,
        concert: Concert,
        idempotency: Option<Idempotency>,
    ) -> Result<Made<Concert>, PublishError> {
        let mut rows = self.rows();
        if let Some(promoter_id) = concert.promoter_id {
            if let Some(id) = rows.concert_keys.find(promoter_id, idempotency.as_ref())? {
                return Ok(Made::before(rows.concerts.get(&id).ok_or_else(missing)?.clone()));
            }
            rows.concert_keys.note(promoter_id, idempotency, concert.id);
        }
        rows.concerts.insert(concert.id, concert.clone());
        Ok(Made::now(concert))
    }

    async fn publish_performance(
        &self,
        publisher: AccountId,
        performance: NewPerformance,
        idempotency: Option<Idempotency>,
    ) -> Result<Made<PerformanceSummary>, PublishError> {
        let (mut rows, now) = (self.rows(), self.now());
        if !rows.concerts.contains_key(&performance.concert_id) {
            return Err(PublishError::ConcertNotFound);
        }
        let before = rows.performance_keys.find(publisher, idempotency.as_ref())?;
        let id = before.unwrap_or(performance.id);
        if before.is_none() {
            rows.performance_keys.note(publisher, idempotency, id);
            let NewPerformance { concert_id, venue, starts_at, prices, .. } = performance;
            let (price_min, price_max) = (prices.min(), prices.max());
            let published = Performance { id, concert_id, venue_id: venue.id, starts_at, price_min, price_max };
            rows.put_performance(published, &prices, &venue.plan, now)?;
        }
        let value = rows.performance_summary(rows.performances.get(&id).ok_or_else(missing)?, now)?;
        Ok(Made { value, replayed: before.is_some() })
    }

    async fn update_concert(&self, concert: Concert) -> Result<(), UpdateConcertError> {
        let mut rows = self.rows();
        match rows.concerts.get(&concert.id) {
            Some(stored) if *stored == concert => Ok(()),
            Some(stored) if stored.version + 1 == concert.version => {
                let id = concert.id;
                rows.concerts.insert(id, concert);
                Ok(rows.refresh_terms(id)?)
            }
            _ => Err(UpdateConcertError::VersionMismatch),
        }
    }

    async fn venue(&self, id: VenueId) -> Result<Option<Venue>, StorageError> {
        Ok(self.rows().venues.get(&id).cloned())
    }

    async fn concert(&self, id: ConcertId) -> Result<Option<ConcertSummary>, StorageError> {
        let rows = self.rows();
        Ok(rows.concerts.get(&id).map(|concert| rows.concert_summary(concert)))
    }

    async fn concerts(
        &self,
        bookable_at: Option<Timestamp>,
        page: PageRequest<ConcertId>,
    ) -> Result<Page<ConcertSummary, ConcertId>, StorageError> {
        let rows = self.rows();
        let later = rows.concerts.values().filter(|concert| page.after.is_none_or(|after| after < concert.id));
        let listed = later.map(|concert| rows.concert_summary(concert));
        let listed = listed.filter(|summary| bookable_at.is_none_or(|at| summary.is_bookable(at)));
        let items = listed.take(page.limit as usize + 1).collect();
        Ok(Page::from_rows(items, page.limit, |summary: &ConcertSummary| summary.concert.id))
    }

    async fn performances(
        &self,
        concert_id: ConcertId,
        available_only: bool,
        page: PageRequest<PerformanceKey>,
    ) -> Result<Page<PerformanceSummary, PerformanceKey>, StorageError> {
        let (rows, now) = (self.rows(), self.now());
        let mut listed = Vec::new();
        for found in rows.performances.values().filter(|found| found.concert_id == concert_id) {
            let summary = rows.performance_summary(found, now)?;
            let can_be_had = summary.seats_available > 0 && now < summary.starts_at;
            let later = page.after.is_none_or(|after| (after.starts_at, after.id) < (found.starts_at, found.id));
            if later && (can_be_had || !available_only) {
                listed.push(summary);
            }
        }
        listed.sort_unstable_by_key(|summary| (summary.starts_at, summary.id));
        listed.truncate(page.limit as usize + 1);
        let key = |summary: &PerformanceSummary| PerformanceKey { starts_at: summary.starts_at, id: summary.id };
        Ok(Page::from_rows(listed, page.limit, key))
    }

    async fn performance(&self, id: PerformanceId) -> Result<Option<PerformanceSummary>, StorageError> {
        let (rows, now) = (self.rows(), self.now());
        rows.performances.get(&id).map(|found| rows.performance_summary(found, now)).transpose()
    }

    async fn concert_of(&self, id: PerformanceId) -> Result<Option<ConcertId>, StorageError> {
        Ok(self.rows().performances.get(&id).map(|found| found.concert_id))
    }

    async fn seats(&self, id: PerformanceId) -> Result<Option<SeatMap>, StorageError> {
        let rows = self.rows();
        let seats = rows.seats_in_order(id);
        let labels = Arc::new(seats.iter().map(|seat| seat.label.clone()).collect());
        let prices = seats.iter().map(|seat| seat.price).collect();
        let states: Vec<_> = seats.iter().map(|seat| seat.state).collect();
        let mapped = MappedSeats { performance_id: id, labels, prices };
        Ok((!seats.is_empty()).then(|| SeatMap::at(self.now(), mapped, &states)))
    }

    async fn sales(&self, id: PerformanceId) -> Result<Option<Sales>, StorageError> {
        let (rows, now) = (self.rows(), self.now());
        let seats = rows.seats_in_order(id);
        let mut sales = Sales::default();
        for seat in &seats {
            match seat.state.status(now) {
                SeatStatus::Available => sales.available += 1,
                SeatStatus::Held => sales.held += 1,
                SeatStatus::Sold => {
                    sales.sold += 1;
                    sales.revenue = sales.revenue.checked_add(seat.price).ok_or_else(missing)?;
                }
            }
        }
        Ok((!seats.is_empty()).then_some(sales))
    }
}
