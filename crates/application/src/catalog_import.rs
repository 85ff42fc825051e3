//! Importing a catalog, for operators.

use std::sync::Arc;

use boxoffice_domain::{
    AccountId,
    catalog::{CatalogImport, ImportError, ImportProgress, ImportReport, ImportedCatalog},
};

use crate::CatalogGeneration;

/// Imports catalogs, so that every process shows what was imported.
pub struct CatalogImportService {
    pub import: Arc<dyn CatalogImport>,
    /// A new generation begins with each change.
    pub generation: Arc<CatalogGeneration>,
}

impl CatalogImportService {
    /// Imports a catalog whole or not at all. What is new in it belongs to this promoter, or else to the operator.
    pub async fn import(
        &self,
        catalog: &ImportedCatalog,
        promoter_id: Option<AccountId>,
        progress: ImportProgress<'_>,
    ) -> Result<ImportReport, ImportError> {
        let import = self.import.import(catalog, promoter_id, progress);
        self.generation.change(import, |error| !matches!(error, ImportError::Storage(_))).await
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use boxoffice_domain::StorageError;
    use boxoffice_peers::{Announcement, MemoryPeers, Topic};

    use super::*;

    /// An import with this outcome.
    struct Import(fn() -> Result<ImportReport, ImportError>);

    #[async_trait]
    impl CatalogImport for Import {
        async fn import(
            &self,
            _: &ImportedCatalog,
            _: Option<AccountId>,
            _: ImportProgress<'_>,
        ) -> Result<ImportReport, ImportError> {
            self.0()
        }
    }

    #[tokio::test]
    async fn an_import_is_published_unless_it_is_refused() {
        let published = Announcement::Published { topic: Topic::Catalog, text: "".into() };
        let outcomes: [(fn() -> _, _); 3] = [
            (|| Ok(ImportReport::default()), Some(published.clone())),
            (|| Err(ImportError::PlanChanged { venue_index: 0 }), None),
            // What failed may have happened.
            (|| Err(StorageError::Busy.into()), Some(published)),
        ];
        for (outcome, expected) in outcomes {
            let peers = Arc::new(MemoryPeers::default());
            let mut subscription = peers.subscribe();
            let generation = Arc::new(CatalogGeneration::new(peers));
            let service = CatalogImportService { import: Arc::new(Import(outcome)), generation };
            let imported = service.import(&ImportedCatalog::default(), None, &|_| ()).await;
            assert_eq!((imported.is_ok(), subscription.try_next()), (outcome().is_ok(), expected));
        }
    }
}
