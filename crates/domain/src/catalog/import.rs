//! Whole catalogs, imported at once.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    concert::{DrawError, SalesWindow},
    performance::PriceList,
    plan::SeatingPlan,
};
use crate::{
    AccountId, StorageError, Timestamp,
    text::{Description, Name},
};

/// A promoter's own name for something it publishes, by which a second import finds it again.
pub type CatalogKey = Name;

/// A venue of a catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `Venue`")]
pub struct ImportedVenue {
    pub key: CatalogKey,
    pub name: Name,
    pub location: Name,
    pub plan: SeatingPlan,
}

/// A concert of a catalog, with its performances.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `Concert`")]
pub struct ImportedConcert {
    pub key: CatalogKey,
    pub title: Name,
    pub artist: Name,
    pub description: Description,
    pub sales: SalesWindow,
    pub max_seats_per_account: u32,
    pub max_active: u32,
    /// Whether it has a draw. The one of a concert that is there stays, whatever this says.
    pub draw: bool,
    pub performances: Vec<ImportedPerformance>,
}

/// A performance of a catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedPerformance {
    /// The promoter's own name for it.
    pub key: CatalogKey,
    /// The index of its venue in [`ImportedCatalog::venues`].
    pub venue_index: usize,
    /// When it starts.
    pub starts_at: Timestamp,
    /// What its seats cost, checked against the venue's plan.
    pub prices: PriceList,
}

/// A whole catalog to be imported, each part checked. Keys are unique among their kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportedCatalog {
    /// The venues.
    pub venues: Vec<ImportedVenue>,
    /// The concerts.
    pub concerts: Vec<ImportedConcert>,
}

impl ImportedCatalog {
    /// How many seats its performances have together.
    pub fn seats_count(&self) -> u64 {
        let performances = self.concerts.iter().flat_map(|concert| &concert.performances);
        performances.map(|performance| u64::from(self.venues[performance.venue_index].plan.capacity())).sum()
    }
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field counts what its name says")]
pub struct ImportReport {
    pub venues_created: u32,
    pub venues_updated: u32,
    pub concerts_created: u32,
    pub concerts_updated: u32,
    pub performances_created: u32,
    pub performances_updated: u32,
    pub seats_created: u64,
}

/// Why a catalog was not imported. Nothing of it was written.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A venue of that key exists with another seating plan, and seats cannot be moved under buyers.
    #[error("venue {venue_index} has another seating plan than the one that is stored")]
    PlanChanged {
        /// Its index in the catalog.
        venue_index: usize,
    },
    /// A performance of that key exists at another venue or under another concert.
    #[error("performance {performance_index} of concert {concert_index} is stored at another venue or concert")]
    PerformanceMoved {
        /// The index of its concert in the catalog.
        concert_index: usize,
        /// Its index in the concert.
        performance_index: usize,
    },
    /// A concert is stored without the draw that it is to have, or its draw cannot be when its sale is to open.
    #[error("{error}")]
    Draw {
        /// The index of the concert in the catalog.
        concert_index: usize,
        /// Why not.
        error: DrawError,
    },
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Shows how far an import is. A closure that takes the number is one.
pub trait ImportProgress: Send + Sync {
    /// Receives how many more seats of the catalog's performances were imported, those of performances that were stored
    /// before too. The numbers add up to [`ImportedCatalog::seats_count`], unless the storage failed and the adapter
    /// began again: then it counts again, too.
    fn add(&self, seats: u64);
}

impl<F: Fn(u64) + Send + Sync> ImportProgress for F {
    fn add(&self, seats: u64) {
        self(seats);
    }
}

/// Imports whole catalogs.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait CatalogImport: Send + Sync {
    /// Writes a catalog in one transaction, all of it or nothing. What has a known key is updated as far as that
    /// harms no buyer: texts, sale window and limits of a concert, name and location of a venue, the start of a
    /// performance, and the prices of its seats that are neither held nor sold. A concert keeps its draw, and whether its
    /// queue is paused. [`Importer`](super::Importer) decides all that for an implementor.
    ///
    /// New ids and seeds are made by the caller's source. `promoter_id` becomes the promoter of new concerts.
    async fn import(
        &self,
        catalog: &ImportedCatalog,
        promoter_id: Option<AccountId>,
        progress: Arc<dyn ImportProgress>,
    ) -> Result<ImportReport, ImportError>;
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn a_closure_shows_progress() {
        let seats = AtomicU64::new(0);
        let progress: &dyn ImportProgress = &|more| {
            seats.fetch_add(more, Ordering::Relaxed);
        };
        progress.add(2);
        progress.add(3);
        assert_eq!(seats.into_inner(), 5);
    }
}
