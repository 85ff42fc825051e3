//! Importing whole catalogs.

use std::sync::Arc;

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId,
    catalog::{
        CatalogImport, ImportError, ImportProgress, ImportReport, ImportedCatalog, Importer, NewPerformance,
        StoredPerformance,
    },
};

use super::{MemoryStore, Performance};

#[async_trait]
impl CatalogImport for MemoryStore {
    async fn import(
        &self,
        catalog: &ImportedCatalog,
        promoter_id: Option<AccountId>,
        progress: Arc<dyn ImportProgress>,
    ) -> Result<ImportReport, ImportError> {
        let mut stored = self.rows();
        // A refused import leaves the stored rows as they are.
        let mut rows = stored.clone();
        let mut importer = Importer::new(catalog, promoter_id, self.now(), self.entropy.as_ref());
        for venue in &catalog.venues {
            let known = rows.imported_venues.get(&venue.key).and_then(|id| rows.venues.get(id)).cloned();
            let imported = importer.venue(known)?.into_inner();
            rows.imported_venues.insert(venue.key.clone(), imported.id);
            rows.venues.insert(imported.id, imported);
        }
        for concert in &catalog.concerts {
            let known = rows.imported_concerts.get(&concert.key).and_then(|id| rows.concerts.get(id)).cloned();
            let imported = importer.concert(known)?.into_inner();
            let concert_id = imported.id;
            rows.imported_concerts.insert(concert.key.clone(), concert_id);
            rows.concerts.insert(concert_id, imported);
            for (index, performance) in concert.performances.iter().enumerate() {
                let known = rows.imported_performances.get(&performance.key).and_then(|id| rows.performances.get(id));
                let known = known.map(|&Performance { id, concert_id, venue_id, .. }| StoredPerformance {
                    id,
                    concert_id,
                    venue_id,
                });
                let imported = importer.performance(index, known)?.into_inner();
                let NewPerformance { id, concert_id, venue, starts_at, prices, .. } = imported;
                let (price_min, price_max) = (prices.min(), prices.max());
                let stored = Performance { id, concert_id, venue_id: venue.id, starts_at, price_min, price_max };
                rows.put_performance(stored, &prices, &venue.plan, self.now())?;
                rows.imported_performances.insert(performance.key.clone(), id);
                progress.add(u64::from(venue.plan.capacity()));
            }
            rows.refresh_terms(concert_id)?;
        }
        *stored = rows;
        Ok(importer.report())
    }
}
