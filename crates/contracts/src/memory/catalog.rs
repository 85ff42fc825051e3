//! Venues, concerts, performances and their seats.

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, ConcertId, PerformanceId, StorageError, Timestamp, VenueId,
    catalog::{
        Catalog, Concert, ConcertSummary, NewPerformance, PerformanceKey, PerformanceSummary, PerformanceTerms,
        PublishError, Sales, SeatMap, UpdateConcertError, Venue,
    },
    idempotency::{Idempotency, Made},
    page::{Page, PageRequest},
    seats::{Seat, SeatStatus},
};

use super::{MemoryStore, Rows, page};

impl Rows {
    fn concert_summary(&self, concert: &Concert) -> ConcertSummary {
        let performances: Vec<_> = self.performances_of(concert.id).cloned().collect();
        ConcertSummary::of(concert.clone(), &performances)
    }

    fn performances_of(&self, concert_id: ConcertId) -> impl Iterator<Item = &PerformanceSummary> {
        self.performances.rows.values().filter(move |found| found.concert_id == concert_id)
    }

    fn performance_summary(&self, stored: &PerformanceSummary, now: Timestamp) -> PerformanceSummary {
        let seats = self.seats_in_order(stored.id);
        let available = seats.iter().filter(|seat| seat.state.status(now) == SeatStatus::Available).count();
        PerformanceSummary {
            venue: self.venues.rows[&stored.venue.id].summary(),
            seats_available: u32::try_from(available).unwrap_or(u32::MAX),
            ..stored.clone()
        }
    }

    fn seats_in_order(&self, id: PerformanceId) -> Vec<&Seat> {
        let mut seats: Vec<_> = self.sale.seats.get(&id).into_iter().flat_map(|seats| seats.values()).collect();
        seats.sort_unstable_by_key(|seat| seat.ordinal);
        seats
    }

    /// Stores the seats of a performance with their prices; those of a known performance that are taken keep theirs.
    pub(super) fn put_seats(&mut self, performance: &NewPerformance, now: Timestamp) {
        let seats = self.sale.seats.entry(performance.id).or_default();
        for new in performance.seats() {
            let price = new.price;
            let seat = seats.entry(new.label.clone()).or_insert(new);
            if seat.state.status(now) == SeatStatus::Available {
                seat.price = price;
            }
        }
    }

    /// Brings what the sale knows of a concert's performances up to date.
    pub(super) fn refresh_terms(&mut self, concert_id: ConcertId) {
        let concert = &self.concerts.rows[&concert_id];
        let terms = self.performances_of(concert_id).map(|performance| {
            let venue = self.venues.rows[&performance.venue.id].summary();
            PerformanceTerms::new(concert, performance.id, venue, performance.starts_at)
        });
        let terms: Vec<_> = terms.map(|terms| (terms.id, terms)).collect();
        self.sale.terms.extend(terms);
    }
}

/// What is stored of a performance.
pub(super) fn performance_row(new: &NewPerformance) -> PerformanceSummary {
    let capacity = new.venue.plan.capacity();
    PerformanceSummary {
        id: new.id,
        concert_id: new.concert_id,
        venue: new.venue.summary(),
        starts_at: new.starts_at,
        seats_total: capacity,
        seats_available: capacity,
        price_min: new.prices.min(),
        price_max: new.prices.max(),
    }
}

#[async_trait]
impl Catalog for MemoryStore {
    async fn publish_venue(
        &self,
        publisher: AccountId,
        venue: Venue,
        idempotency: Option<Idempotency>,
    ) -> Result<Made<Venue>, PublishError> {
        Ok(self.rows().venues.publish(publisher, idempotency, venue.id, venue)?)
    }

    async fn publish_concert(
        &self,
        concert: Concert,
        idempotency: Option<Idempotency>,
    ) -> Result<Made<Concert>, PublishError> {
        let mut rows = self.rows();
        let Some(publisher) = concert.promoter_id else {
            rows.concerts.rows.insert(concert.id, concert.clone());
            return Ok(Made::now(concert));
        };
        Ok(rows.concerts.publish(publisher, idempotency, concert.id, concert)?)
    }

    async fn publish_performance(
        &self,
        publisher: AccountId,
        new: NewPerformance,
        idempotency: Option<Idempotency>,
    ) -> Result<Made<PerformanceSummary>, PublishError> {
        let (mut rows, now) = (self.rows(), self.now());
        if !rows.concerts.rows.contains_key(&new.concert_id) {
            return Err(PublishError::ConcertNotFound);
        }
        let made = rows.performances.publish(publisher, idempotency, new.id, performance_row(&new))?;
        if !made.replayed {
            rows.put_seats(&new, now);
            rows.refresh_terms(new.concert_id);
        }
        Ok(Made { value: rows.performance_summary(&made.value, now), replayed: made.replayed })
    }

    async fn update_concert(&self, concert: Concert) -> Result<(), UpdateConcertError> {
        let mut rows = self.rows();
        match rows.concerts.rows.get_mut(&concert.id) {
            Some(stored) if *stored == concert => Ok(()),
            Some(stored) if stored.version + 1 == concert.version => {
                let id = concert.id;
                *stored = concert;
                rows.refresh_terms(id);
                Ok(())
            }
            _ => Err(UpdateConcertError::VersionMismatch),
        }
    }

    async fn venue(&self, id: VenueId) -> Result<Option<Venue>, StorageError> {
        Ok(self.rows().venues.rows.get(&id).cloned())
    }

    async fn concert(&self, id: ConcertId) -> Result<Option<ConcertSummary>, StorageError> {
        let rows = self.rows();
        Ok(rows.concerts.rows.get(&id).map(|concert| rows.concert_summary(concert)))
    }

    async fn concerts(
        &self,
        bookable_at: Option<Timestamp>,
        request: PageRequest<ConcertId>,
    ) -> Result<Page<ConcertSummary, ConcertId>, StorageError> {
        let rows = self.rows();
        let listed = rows.concerts.rows.values().map(|concert| rows.concert_summary(concert));
        let listed = listed.filter(|summary| bookable_at.is_none_or(|at| summary.is_bookable(at)));
        Ok(page(listed, request, |summary| summary.concert.id, ConcertId::gt))
    }

    async fn performances(
        &self,
        concert_id: ConcertId,
        available_only: bool,
        request: PageRequest<PerformanceKey>,
    ) -> Result<Page<PerformanceSummary, PerformanceKey>, StorageError> {
        let (rows, now) = (self.rows(), self.now());
        let mut listed: Vec<_> =
            rows.performances_of(concert_id).map(|stored| rows.performance_summary(stored, now)).collect();
        listed.retain(|summary| !available_only || (summary.seats_available > 0 && now < summary.starts_at));
        listed.sort_unstable_by_key(PerformanceSummary::key);
        Ok(page(listed.into_iter(), request, PerformanceSummary::key, PerformanceKey::gt))
    }

    async fn performance(&self, id: PerformanceId) -> Result<Option<PerformanceSummary>, StorageError> {
        let (rows, now) = (self.rows(), self.now());
        Ok(rows.performances.rows.get(&id).map(|stored| rows.performance_summary(stored, now)))
    }

    async fn concert_of(&self, id: PerformanceId) -> Result<Option<ConcertId>, StorageError> {
        Ok(self.rows().performances.rows.get(&id).map(|found| found.concert_id))
    }

    async fn seats(&self, id: PerformanceId) -> Result<Option<SeatMap>, StorageError> {
        let rows = self.rows();
        let seats = rows.seats_in_order(id);
        Ok((!seats.is_empty()).then(|| SeatMap::of(self.now(), id, &seats)))
    }

    async fn sales(&self, id: PerformanceId) -> Result<Option<Sales>, StorageError> {
        let (rows, now) = (self.rows(), self.now());
        Ok(Sales::of(rows.seats_in_order(id), now))
    }
}
