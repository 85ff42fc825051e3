//! Importing whole catalogs.

use std::sync::Arc;

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, ConcertId, PerformanceId, VenueId,
    catalog::{
        CatalogImport, Concert, DrawError, ImportError, ImportProgress, ImportReport, ImportedCatalog, ImportedConcert,
        Venue,
    },
    waiting_room::Draw,
};

use super::{MemoryStore, Performance, Rows};

#[async_trait]
impl CatalogImport for MemoryStore {
    async fn import(
        &self,
        catalog: &ImportedCatalog,
        promoter_id: Option<AccountId>,
        progress: Arc<dyn ImportProgress>,
    ) -> Result<ImportReport, ImportError> {
        let mut rows = self.rows();
        self.check(&rows, catalog)?;
        let mut report = ImportReport::default();
        for imported in &catalog.venues {
            let known = rows.imported_venues.get(&imported.key).copied();
            let id = known.unwrap_or_else(|| VenueId::new(self.entropy.uuid()));
            let created_at = rows.venues.get(&id).map_or_else(|| self.now(), |venue| venue.created_at);
            let (name, location, plan) = (imported.name.clone(), imported.location.clone(), imported.plan.clone());
            rows.venues.insert(id, Venue { id, name, location, plan, created_at });
            rows.imported_venues.insert(imported.key.clone(), id);
            report.venues_created += u32::from(known.is_none());
            report.venues_updated += u32::from(known.is_some());
        }
        for imported in &catalog.concerts {
            let known = rows.imported_concerts.get(&imported.key).copied();
            let concert = self.concert_of_catalog(&rows, known, imported, promoter_id);
            let concert_id = concert.id;
            rows.concerts.insert(concert_id, concert);
            rows.imported_concerts.insert(imported.key.clone(), concert_id);
            report.concerts_created += u32::from(known.is_none());
            report.concerts_updated += u32::from(known.is_some());
            for performance in &imported.performances {
                let venue = &catalog.venues[performance.venue_index];
                let known = rows.imported_performances.get(&performance.key).copied();
                let id = known.unwrap_or_else(|| PerformanceId::new(self.entropy.uuid()));
                let (price_min, price_max) = (performance.prices.min(), performance.prices.max());
                let venue_id = rows.imported_venues[&venue.key];
                let starts_at = performance.starts_at;
                let stored = Performance { id, concert_id, venue_id, starts_at, price_min, price_max };
                rows.put_performance(stored, &performance.prices, &venue.plan, self.now())?;
                rows.imported_performances.insert(performance.key.clone(), id);
                let seats = u64::from(venue.plan.capacity());
                report.performances_created += u32::from(known.is_none());
                report.performances_updated += u32::from(known.is_some());
                report.seats_created += if known.is_none() { seats } else { 0 };
                progress.add(seats);
            }
            rows.refresh_terms(concert_id)?;
        }
        Ok(report)
    }
}

impl MemoryStore {
    /// Refuses before anything is written.
    fn check(&self, rows: &Rows, catalog: &ImportedCatalog) -> Result<(), ImportError> {
        for (venue_index, imported) in catalog.venues.iter().enumerate() {
            let stored = rows.imported_venues.get(&imported.key).and_then(|id| rows.venues.get(id));
            if stored.is_some_and(|stored| stored.plan != imported.plan) {
                return Err(ImportError::PlanChanged { venue_index });
            }
        }
        for (concert_index, imported) in catalog.concerts.iter().enumerate() {
            let stored = rows.imported_concerts.get(&imported.key).and_then(|id| rows.concerts.get(id));
            if let Some(stored) = stored {
                let refused = |error| ImportError::Draw { concert_index, error };
                if imported.draw && stored.draw.is_none() {
                    return Err(refused(DrawError::Changed));
                }
                let concert = Concert { sales: imported.sales, ..stored.clone() };
                concert.check_draw(stored, self.now()).map_err(refused)?;
            }
            for (performance_index, performance) in imported.performances.iter().enumerate() {
                let stored = rows.imported_performances.get(&performance.key).and_then(|id| rows.performances.get(id));
                let venue_key = &catalog.venues[performance.venue_index].key;
                let is_there = |stored: &Performance| {
                    rows.imported_concerts.get(&imported.key) == Some(&stored.concert_id)
                        && rows.imported_venues.get(venue_key) == Some(&stored.venue_id)
                };
                if stored.is_some_and(|stored| !is_there(stored)) {
                    return Err(ImportError::PerformanceMoved { concert_index, performance_index });
                }
            }
        }
        Ok(())
    }

    fn concert_of_catalog(
        &self,
        rows: &Rows,
        known: Option<ConcertId>,
        imported: &ImportedConcert,
        promoter_id: Option<AccountId>,
    ) -> Concert {
        let stored = known.and_then(|id| rows.concerts.get(&id)).cloned();
        let before = stored.clone().unwrap_or_else(|| Concert {
            id: ConcertId::new(self.entropy.uuid()),
            promoter_id,
            title: imported.title.clone(),
            artist: imported.artist.clone(),
            description: imported.description.clone(),
            sales: imported.sales,
            max_seats_per_account: imported.max_seats_per_account,
            max_active: imported.max_active,
            draw: imported.draw.then(|| Draw::new(self.entropy.secret())),
            paused: false,
            emptied_at: None,
            version: 1,
            created_at: self.now(),
        });
        let mut concert = Concert {
            title: imported.title.clone(),
            artist: imported.artist.clone(),
            description: imported.description.clone(),
            sales: imported.sales,
            max_seats_per_account: imported.max_seats_per_account,
            max_active: imported.max_active,
            ..before
        };
        if stored.is_some_and(|stored| stored != concert) {
            concert.version += 1;
        }
        concert
    }
}
