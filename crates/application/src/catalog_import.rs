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
        progress: Arc<dyn ImportProgress>,
    ) -> Result<ImportReport, ImportError> {
        let import = self.import.import(catalog, promoter_id, progress);
        self.generation.change(import, |error| !matches!(error, ImportError::Storage(_))).await
    }
}

#[cfg(test)]
mod tests {
    use boxoffice_domain::{StorageError, catalog::MockCatalogImport};

    use super::*;

    #[tokio::test]
    async fn an_import_changes_the_catalog_unless_it_is_refused() {
        let outcomes: [(fn() -> _, _); 3] = [
            (|| Ok(ImportReport::default()), 1),
            (|| Err(ImportError::PlanChanged { venue_index: 0 }), 0),
            // What failed may have happened.
            (|| Err(StorageError::Busy.into()), 1),
        ];
        for (outcome, changes) in outcomes {
            let generation = Arc::<CatalogGeneration>::default();
            let mut import = MockCatalogImport::new();
            import.expect_import().return_once(move |_, _, _| outcome());
            let service = CatalogImportService { import: Arc::new(import), generation: generation.clone() };
            let imported = service.import(&ImportedCatalog::default(), None, Arc::new(|_| ())).await;
            assert_eq!((imported.is_ok(), generation.number()), (outcome().is_ok(), changes));
        }
    }
}
