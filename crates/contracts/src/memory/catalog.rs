//! Venues, concerts, performances and their seats.

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, ConcertId, PerformanceId, StorageError, Timestamp, VenueId,
    catalog::{
        Booking, Catalog, Concert, ConcertSummary, NewPerformance, PerformanceKey, PerformanceSummary,
        PerformanceTerms, PublishError, Sales, SeatMap, UpdateConcertError, Venue, VenueBookings, VenueSummary,
        check_start,
    },
    history::StaffAct,
    idempotency::{Idempotency, Made},
    page::{Page, PageRequest},
    seats::{Seat, SeatState, SeatStatus},
};

use super::{MemoryStore, Rows, page};

impl Rows {
    fn concert_summary(&self, concert: &Concert) -> ConcertSummary {
        let on_sale = self.performances_of(concert.id).filter(|found| !found.withdrawn);
        let performances =
            on_sale.map(|found| (found.starts_at, found.prices(), self.venues.rows[&found.venue.id].time_zone));
        ConcertSummary::of(concert.clone(), &performances.collect::<Vec<_>>())
    }

    pub(super) fn performances_of(&self, concert_id: ConcertId) -> impl Iterator<Item = &PerformanceSummary> {
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

    pub(super) fn seats_in_order(&self, id: PerformanceId) -> Vec<&Seat> {
        let mut seats: Vec<_> = self.sale.seats.get(&id).into_iter().flat_map(|seats| seats.values()).collect();
        seats.sort_unstable_by_key(|seat| seat.ordinal);
        seats
    }

    /// Stores the seats of a new performance.
    pub(super) fn put_seats(&mut self, performance: &NewPerformance) {
        let seats = performance.seats().map(|seat| (seat.label.clone(), seat)).collect();
        self.sale.seats.insert(performance.id, seats);
    }

    /// How a venue is taken.
    pub(super) fn venue_bookings(&self, id: VenueId) -> VenueBookings {
        let is_sold = |id| self.sale.seats[&id].values().any(|seat| matches!(seat.state, SeatState::Sold { .. }));
        let at_venue = self.performances.rows.values().filter(|found| found.venue.id == id);
        let taken = at_venue.filter(|found| !found.withdrawn || is_sold(found.id));
        let bookings = taken.map(|found| Booking {
            id: found.id,
            starts_at: found.starts_at,
            duration_minutes: found.duration_minutes,
        });
        let overlaps_allowed = self.venues.rows.get(&id).is_some_and(|venue| venue.overlaps_allowed);
        VenueBookings { overlaps_allowed, bookings: bookings.collect() }
    }

    fn check_new(&self, new: &NewPerformance, now: Timestamp) -> Result<(), PublishError> {
        let concert = self.concerts.rows.get(&new.concert_id).ok_or(PublishError::ConcertNotFound)?;
        check_start(now, &concert.sales, new.starts_at, false)?;
        let venue = self.venue_bookings(new.venue.id);
        match new.booking().conflict(&venue.bookings) {
            Some(other) if !venue.overlaps_allowed => Err(PublishError::Overlaps(other)),
            _ => Ok(()),
        }
    }

    /// Brings what the sale knows of a concert's performances up to date.
    pub(super) fn refresh_terms(&mut self, concert_id: ConcertId) {
        let concert = &self.concerts.rows[&concert_id];
        let terms = self.performances_of(concert_id).map(|performance| {
            let venue = self.venues.rows[&performance.venue.id].summary();
            let terms = PerformanceTerms::new(concert, performance.id, venue, performance.starts_at);
            match self.sale.terms.get(&performance.id) {
                Some(known) => PerformanceTerms { withdrawn_at: known.withdrawn_at, moved: known.moved, ..terms },
                None => terms,
            }
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
        duration_minutes: new.duration_minutes,
        withdrawn: false,
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
        act: StaffAct,
    ) -> Result<Made<Venue>, PublishError> {
        let mut rows = self.rows();
        let made = rows.venues.publish(publisher, idempotency, venue.id, venue)?;
        rows.venue_publishers.entry(made.value.id).or_insert(publisher);
        rows.write_down((!made.replayed).then_some(act));
        Ok(made)
    }

    async fn publish_concert(
        &self,
        concert: Concert,
        idempotency: Option<Idempotency>,
        act: StaffAct,
    ) -> Result<Made<Concert>, PublishError> {
        let mut rows = self.rows();
        let Some(publisher) = concert.promoter_id else {
            rows.concerts.rows.insert(concert.id, concert.clone());
            rows.write_down([act]);
            return Ok(Made::now(concert));
        };
        let made = rows.concerts.publish(publisher, idempotency, concert.id, concert)?;
        rows.write_down((!made.replayed).then_some(act));
        Ok(made)
    }

    async fn publish_performance(
        &self,
        publisher: AccountId,
        new: NewPerformance,
        idempotency: Option<Idempotency>,
        act: StaffAct,
    ) -> Result<Made<PerformanceSummary>, PublishError> {
        let (mut rows, now) = (self.rows(), self.now());
        let key = idempotency.as_ref().map(|idempotency| (publisher, idempotency.key.clone()));
        if key.is_none_or(|key| !rows.performances.keys.contains_key(&key)) {
            rows.check_new(&new, now)?;
        }
        let made = rows.performances.publish(publisher, idempotency, new.id, performance_row(&new))?;
        if !made.replayed {
            rows.put_seats(&new);
            rows.refresh_terms(new.concert_id);
            rows.write_down([act]);
        }
        Ok(Made { value: rows.performance_summary(&made.value, now), replayed: made.replayed })
    }

    async fn update_concert(&self, concert: Concert, act: StaffAct) -> Result<(), UpdateConcertError> {
        let (mut rows, now) = (self.rows(), self.now());
        let on_sale = rows.performances_of(concert.id).filter(|found| !found.withdrawn);
        let starts: Vec<_> = on_sale.map(|found| found.starts_at).collect();
        match rows.concerts.rows.get_mut(&concert.id) {
            Some(stored) if *stored == concert => Ok(()),
            Some(stored) if concert.replaces(stored, now, starts) => {
                let id = concert.id;
                *stored = concert;
                rows.refresh_terms(id);
                rows.write_down([act]);
                Ok(())
            }
            _ => Err(UpdateConcertError::VersionMismatch),
        }
    }

    async fn venue(&self, id: VenueId) -> Result<Option<Venue>, StorageError> {
        Ok(self.rows().venues.rows.get(&id).cloned())
    }

    async fn venues(&self, request: PageRequest<VenueId>) -> Result<Page<VenueSummary, VenueId>, StorageError> {
        let rows = self.rows();
        let newest_first = rows.venues.rows.values().rev().map(Venue::summary);
        let earlier = newest_first.filter(|venue| request.after.is_none_or(|after| venue.id < after));
        Ok(Page::from_rows(earlier.collect(), request.limit, |venue| venue.id))
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
        let listed = listed.filter(|summary| bookable_at.is_none_or(|at| summary.is_on_sale(at)));
        Ok(page(listed, request, |summary| summary.concert.id, ConcertId::gt))
    }

    async fn performances(
        &self,
        concert_id: ConcertId,
        available: Option<bool>,
        request: PageRequest<PerformanceKey>,
    ) -> Result<Page<PerformanceSummary, PerformanceKey>, StorageError> {
        let (rows, now) = (self.rows(), self.now());
        let mut listed: Vec<_> =
            rows.performances_of(concert_id).map(|stored| rows.performance_summary(stored, now)).collect();
        let can_be_had =
            |found: &PerformanceSummary| found.seats_available > 0 && now < found.starts_at && !found.withdrawn;
        listed.retain(|summary| available.is_none_or(|available| available == can_be_had(summary)));
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
        Ok(Sales::of(rows.seats_in_order(id), now, |id| rows.sale.reservations.get(&id)))
    }
}
