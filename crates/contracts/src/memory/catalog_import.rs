//! Importing whole catalogs.

use std::sync::Arc;

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId,
    catalog::{CatalogImport, ImportError, ImportProgress, ImportReport, ImportedCatalog, Importer, StoredPerformance},
};

use super::{MemoryStore, catalog::performance_row};

#[async_trait]
impl CatalogImport for MemoryStore {
    async fn import(
        &self,
        catalog: &ImportedCatalog,
        promoter_id: Option<AccountId>,
        progress: Arc<dyn ImportProgress>,
    ) -> Result<ImportReport, ImportError> {
        let (mut stored, now) = (self.rows(), self.now());
        // A refused import leaves the stored rows as they are.
        let mut rows = stored.clone();
        let mut importer = Importer::new(catalog, promoter_id, now, self.entropy.as_ref());
        for venue in &catalog.venues {
            let imported = importer.venue(rows.venues.imported(&venue.key).cloned())?.into_inner();
            rows.venues.import(&venue.key, imported.id, imported);
        }
        for concert in &catalog.concerts {
            let imported = importer.concert(rows.concerts.imported(&concert.key).cloned())?.into_inner();
            let concert_id = imported.id;
            rows.concerts.import(&concert.key, concert_id, imported);
            for (index, performance) in concert.performances.iter().enumerate() {
                let known = rows.performances.imported(&performance.key).map(|known| StoredPerformance {
                    id: known.id,
                    concert_id: known.concert_id,
                    venue_id: known.venue.id,
                });
                let imported = importer.performance(index, known)?.into_inner();
                rows.performances.import(&performance.key, imported.id, performance_row(&imported));
                rows.put_seats(&imported, now);
                progress.add(u64::from(imported.venue.plan.capacity()));
            }
            rows.refresh_terms(concert_id);
        }
        *stored = rows;
        Ok(importer.report())
    }
}
