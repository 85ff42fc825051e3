//! Importing a catalog, for operators.

use std::sync::Arc;

use boxoffice_domain::catalog::{
    CatalogImport, ImportError, ImportOptions, ImportProgress, ImportReport, ImportedCatalog,
};

use crate::CatalogGeneration;

/// Imports catalogs, so that every process shows what was imported.
pub struct CatalogImportService {
    pub import: Arc<dyn CatalogImport>,
    /// A new generation begins with each change.
    pub generation: Arc<CatalogGeneration>,
}

impl CatalogImportService {
    /// Imports a catalog whole or not at all, for the owner that the options name.
    pub async fn import(
        &self,
        catalog: &ImportedCatalog,
        options: &ImportOptions,
        progress: Arc<dyn ImportProgress>,
    ) -> Result<ImportReport, ImportError> {
        let import = self.import.import(catalog, options, progress);
        let changes_nothing = |imported: &Result<ImportReport, ImportError>| match imported {
            Ok(report) => options.dry_run || report.is_unchanged(),
            Err(ImportError::Refused(_)) => true,
            Err(ImportError::Storage(_)) => options.dry_run,
        };
        self.generation.change(import, changes_nothing).await
    }
}

#[cfg(test)]
mod tests {
    use boxoffice_domain::{
        StorageError,
        catalog::{ImportPlace, ImportRefusal, ImportRule, MockCatalogImport},
        fixtures::selling_rules,
    };

    use super::*;

    fn refused() -> ImportError {
        ImportRefusal { place: ImportPlace::Venue(0), field: "key".to_owned(), rule: ImportRule::OtherOwner }.into()
    }

    #[tokio::test]
    async fn an_import_changes_the_catalog_unless_it_is_refused_or_dry_or_finds_everything_as_it_is() {
        let created = || Ok(ImportReport { venues_created: 1, ..ImportReport::default() });
        let outcomes: [(fn() -> _, bool, _); 5] = [
            (created, false, 1),
            (created, true, 0),
            (|| Ok(ImportReport::default()), false, 0),
            (|| Err(refused()), false, 0),
            // What failed may have happened.
            (|| Err(StorageError::Busy.into()), false, 1),
        ];
        for (outcome, dry_run, changes) in outcomes {
            let generation = Arc::<CatalogGeneration>::default();
            let mut import = MockCatalogImport::new();
            import.expect_import().return_once(move |_, _, _| outcome());
            let service = CatalogImportService { import: Arc::new(import), generation: generation.clone() };
            let options = ImportOptions { dry_run, ..ImportOptions::new(None, &selling_rules()) };
            let imported = service.import(&ImportedCatalog::default(), &options, Arc::new(|_| ())).await;
            assert_eq!((imported.is_ok(), generation.number()), (outcome().is_ok(), changes));
        }
    }
}
