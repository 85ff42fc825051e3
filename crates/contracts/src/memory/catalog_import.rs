//! Importing whole catalogs.

use std::collections::BTreeMap;

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, ConcertId, PerformanceId, VenueId,
    catalog::{
        CatalogImport, CatalogKey, Concert, DrawError, ImportError, ImportProgress, ImportReport, ImportedCatalog,
        ImportedConcert, Venue,
    },
    waiting_room::Draw,
};

use super::{MemoryStore, catalog::performance_row};

#[async_trait]
impl CatalogImport for MemoryStore {
    async fn import(
        &self,
        catalog: &ImportedCatalog,
        promoter_id: Option<AccountId>,
        progress: ImportProgress<'_>,
    ) -> Result<ImportReport, ImportError> {
        let (mut rows, now) = (self.rows(), self.now());
        // A refusal drops the draft, so that nothing is written.
        let mut draft = rows.clone();
        let mut report = ImportReport::default();
        for (venue_index, imported) in catalog.venues.iter().enumerate() {
            let counts = [&mut report.venues_created, &mut report.venues_updated];
            let new_id = VenueId::new(self.entropy.uuid());
            let id = known_or_new(&mut draft.imported_venues, &imported.key, new_id, counts);
            let stored = draft.venues.rows.get(&id);
            if stored.is_some_and(|stored| stored.plan != imported.plan) {
                return Err(ImportError::PlanChanged { venue_index });
            }
            let created_at = stored.map_or(now, |stored| stored.created_at);
            let (name, location, plan) = (imported.name.clone(), imported.location.clone(), imported.plan.clone());
            draft.venues.rows.insert(id, Venue { id, name, location, plan, created_at });
        }
        for (concert_index, imported) in catalog.concerts.iter().enumerate() {
            let counts = [&mut report.concerts_created, &mut report.concerts_updated];
            let new_id = ConcertId::new(self.entropy.uuid());
            let concert_id = known_or_new(&mut draft.imported_concerts, &imported.key, new_id, counts);
            let stored = draft.concerts.rows.get(&concert_id);
            let concert = self
                .concert(concert_id, stored, imported, promoter_id)
                .map_err(|error| ImportError::Draw { concert_index, error })?;
            draft.concerts.rows.insert(concert_id, concert);
            for (performance_index, performance) in imported.performances.iter().enumerate() {
                let venue_id = draft.imported_venues[&catalog.venues[performance.venue_index].key];
                let venue = draft.venues.rows[&venue_id].clone();
                let counts = [&mut report.performances_created, &mut report.performances_updated];
                let new_id = PerformanceId::new(self.entropy.uuid());
                let id = known_or_new(&mut draft.imported_performances, &performance.key, new_id, counts);
                let seats = u64::from(venue.plan.capacity());
                match draft.performances.rows.get(&id) {
                    None => report.seats_created += seats,
                    Some(stored) if (stored.concert_id, stored.venue.id) == (concert_id, venue_id) => {}
                    Some(_) => return Err(ImportError::PerformanceMoved { concert_index, performance_index }),
                }
                let row = performance_row(id, concert_id, &venue, performance.starts_at, &performance.prices);
                draft.performances.rows.insert(id, row);
                draft.put_seats(id, &performance.prices, &venue.plan, now);
                progress(seats);
            }
            draft.refresh_terms(concert_id);
        }
        *rows = draft;
        Ok(report)
    }
}

/// The id of what was imported under this key before, or the new one; counts which of them.
fn known_or_new<K: Copy>(
    ids: &mut BTreeMap<CatalogKey, K>,
    key: &CatalogKey,
    new_id: K,
    [created, updated]: [&mut u32; 2],
) -> K {
    *if ids.contains_key(key) { updated } else { created } += 1;
    *ids.entry(key.clone()).or_insert(new_id)
}

impl MemoryStore {
    /// The concert as it is after the import, `stored` before it.
    fn concert(
        &self,
        id: ConcertId,
        stored: Option<&Concert>,
        imported: &ImportedConcert,
        promoter_id: Option<AccountId>,
    ) -> Result<Concert, DrawError> {
        let now = self.now();
        let concert = Concert {
            id,
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
            created_at: now,
        };
        let Some(stored) = stored else { return Ok(concert) };
        if imported.draw && stored.draw.is_none() {
            return Err(DrawError::Changed);
        }
        let Concert { promoter_id, draw, paused, emptied_at, version, created_at, .. } = *stored;
        let mut concert = Concert { promoter_id, draw, paused, emptied_at, version, created_at, ..concert };
        concert.check_draw(stored, now)?;
        concert.version += u32::from(concert != *stored);
        Ok(concert)
    }
}
