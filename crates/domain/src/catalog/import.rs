//! Whole catalogs, imported at once.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use super::{
    concert::{ConcertChange, ConcertChangeError, DrawError, InvalidSalesWindow},
    layout::Layout,
    performance::PriceError,
    plan::SeatingPlan,
    rules::{SalesTimeError, StartError},
};
use crate::{
    AccountId, Points, SellingRules, StorageError, TimeZone, Timestamp,
    seats::PartName,
    text::{Description, Name},
};

/// An owner's own name for something it publishes, by which a second import finds it again. It is unique for its owner: a
/// promoter, or the operator, and made with [`Name::distinct`].
pub type CatalogKey = Name;

/// A venue of a catalog. `None` leaves what is stored as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `Venue`")]
pub struct ImportedVenue {
    pub key: CatalogKey,
    pub name: Option<Name>,
    pub location: Option<Name>,
    pub plan: Option<SeatingPlan>,
    /// How it is drawn: checked against the plan beside it, which must not be missing then.
    pub layout: Option<Layout>,
    pub overlaps_allowed: Option<bool>,
    pub time_zone: Option<TimeZone>,
}

/// A concert of a catalog, with its performances. `None` leaves what is stored as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `Concert`")]
pub struct ImportedConcert {
    pub key: CatalogKey,
    pub title: Option<Name>,
    pub artist: Option<Name>,
    pub description: Option<Description>,
    pub sales_open_at: Option<Timestamp>,
    pub sales_close_at: Option<Timestamp>,
    pub max_seats_per_account: Option<u32>,
    pub max_active: Option<u32>,
    pub holds_need_balance: Option<bool>,
    pub requires_verified_email: Option<bool>,
    /// Whether it has a draw. That of a concert that is there does not change.
    pub draw: Option<bool>,
    /// Its performances; `None` says nothing about them.
    pub performances: Option<Vec<ImportedPerformance>>,
}

impl ImportedConcert {
    /// Its performances.
    pub fn performances(&self) -> &[ImportedPerformance] {
        self.performances.as_deref().unwrap_or_default()
    }

    /// What it changes of a stored concert.
    pub fn change(&self) -> ConcertChange {
        ConcertChange {
            title: self.title.clone(),
            artist: self.artist.clone(),
            description: self.description.clone(),
            sales_open_at: self.sales_open_at,
            sales_close_at: self.sales_close_at,
            max_seats_per_account: self.max_seats_per_account,
            max_active: self.max_active,
            holds_need_balance: self.holds_need_balance,
            requires_verified_email: self.requires_verified_email,
            ..ConcertChange::default()
        }
    }
}

/// A performance of a catalog. `None` leaves what is stored as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedPerformance {
    /// Its owner's own name for it.
    pub key: CatalogKey,
    /// The index of its venue in [`ImportedCatalog::venues`].
    pub venue_index: Option<usize>,
    /// When it starts.
    pub starts_at: Option<Timestamp>,
    /// How long it lasts.
    pub duration_minutes: Option<u32>,
    /// What the seats of each section cost.
    pub prices: Option<Vec<(PartName, Points)>>,
}

/// A whole catalog to be imported, each part checked by itself. Keys are unique among their kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportedCatalog {
    /// The venues.
    pub venues: Vec<ImportedVenue>,
    /// The concerts.
    pub concerts: Vec<ImportedConcert>,
}

impl ImportedCatalog {
    /// How many seats its performances have together, as far as the catalog says.
    pub fn seats_count(&self) -> u64 {
        let performances = self.concerts.iter().flat_map(ImportedConcert::performances);
        let plans = performances.filter_map(|performance| self.venues[performance.venue_index?].plan.as_ref());
        plans.map(|plan| u64::from(plan.capacity())).sum()
    }
}

/// How a catalog is imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch that an operator sets by itself")]
pub struct ImportOptions {
    /// The owner: a promoter, or the operator.
    pub promoter_id: Option<AccountId>,
    /// The number for new concerts that have none.
    pub max_seats_per_account: u32,
    /// The number for new concerts that have none.
    pub max_active: u32,
    /// Allows performances that have been already.
    pub history: bool,
    /// Allows what harms buyers who have paid.
    pub harm: bool,
    /// Takes performances of the catalog's concerts from sale that it no longer names.
    pub withdraw: bool,
    /// Decides and reports everything, and writes nothing.
    pub dry_run: bool,
}

impl ImportOptions {
    /// An import for this owner that allows nothing special.
    pub fn new(promoter_id: Option<AccountId>, rules: &SellingRules) -> Self {
        Self {
            promoter_id,
            max_seats_per_account: rules.max_seats_per_account.get(),
            max_active: rules.max_active.get(),
            history: false,
            harm: false,
            withdraw: false,
            dry_run: false,
        }
    }
}

/// Something of a catalog, by its key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the kind that its name says")]
pub enum Named {
    Venue(CatalogKey),
    Concert(CatalogKey),
    Performance(CatalogKey),
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Venue(key) => write!(f, "venue `{key}`"),
            Self::Concert(key) => write!(f, "concert `{key}`"),
            Self::Performance(key) => write!(f, "performance `{key}`"),
        }
    }
}

/// A field that an import changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedChange {
    /// Of what.
    pub named: Named,
    /// The field, as a catalog names it.
    pub field: String,
    /// What it was.
    pub before: String,
    /// What it is.
    pub after: String,
}

impl fmt::Display for ImportedChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {} -> {}", self.named, self.field, self.before, self.after)
    }
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each number counts what its name says")]
pub struct ImportReport {
    pub venues_created: u32,
    pub venues_known: u32,
    pub concerts_created: u32,
    pub concerts_known: u32,
    pub performances_created: u32,
    pub performances_known: u32,
    pub seats_created: u64,
    /// What changed of what was known.
    pub changes: Vec<ImportedChange>,
    /// What is to come, and the catalog does not name: performances of its concerts, and concerts of its owner that can
    /// still be sold and have a performance to come. Nothing of that is withdrawn.
    pub no_longer_named: Vec<Named>,
}

impl ImportReport {
    /// Whether the import left everything as it was.
    pub fn is_unchanged(&self) -> bool {
        let created = self.venues_created + self.concerts_created + self.performances_created;
        created == 0 && self.changes.is_empty()
    }
}

/// A place in a catalog, by indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the kind that its name says")]
pub enum ImportPlace {
    Venue(usize),
    Concert(usize),
    /// A performance, after the index of its concert.
    Performance(usize, usize),
}

impl fmt::Display for ImportPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Venue(index) => write!(f, "/venues/{index}"),
            Self::Concert(index) => write!(f, "/concerts/{index}"),
            Self::Performance(concert, index) => write!(f, "/concerts/{concert}/performances/{index}"),
        }
    }
}

/// Why an entry of a catalog cannot be imported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule}")]
pub struct ImportRefusal {
    /// The entry.
    pub place: ImportPlace,
    /// The field of the entry, as the rest of a JSON pointer.
    pub field: String,
    /// The rule that it breaks.
    pub rule: ImportRule,
}

impl ImportRefusal {
    /// The place in a catalog file, as a JSON pointer (RFC 6901).
    pub fn pointer(&self) -> String {
        format!("{}/{}", self.place, self.field)
    }
}

/// A rule that an import would break.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportRule {
    /// The key is known for another owner, and not for this one.
    #[error("the key belongs to another owner")]
    OtherOwner,
    /// Nothing is stored under the key, so nothing can stay as it is.
    #[error("is required, because the key is new")]
    Missing,
    /// Seats cannot be moved under buyers.
    #[error("the venue is stored with another seating plan")]
    PlanChanged,
    /// A performance of that key is stored at another venue.
    #[error("the performance is stored at another venue")]
    VenueChanged,
    /// A performance of that key is stored under another concert.
    #[error("the performance is stored under another concert")]
    ConcertChanged,
    /// The sale cannot be then.
    #[error(transparent)]
    SalesTime(#[from] SalesTimeError),
    /// The sale would close before it opens.
    #[error(transparent)]
    SalesWindow(#[from] InvalidSalesWindow),
    /// The draw cannot be so.
    #[error(transparent)]
    Draw(#[from] DrawError),
    /// The performance cannot start then.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The prices do not fit the venue.
    #[error(transparent)]
    Prices(#[from] PriceError),
    /// The venue is taken.
    #[error("the venue has another performance at that time, which starts at {0}")]
    Overlaps(Timestamp),
    /// Performances that are stored take one venue at one time.
    #[error("performances at the venue overlap")]
    Overlapping,
    /// Buyers have paid for another time.
    #[error("seats of the performance are sold, and buyers would be harmed by another start")]
    Harm,
}

impl ImportRule {
    /// The refusal of an entry of a catalog.
    pub(super) fn at(self, place: ImportPlace, field: impl Into<String>) -> ImportError {
        ImportError::Refused(ImportRefusal { place, field: field.into(), rule: self })
    }
}

impl From<ConcertChangeError> for ImportRule {
    fn from(error: ConcertChangeError) -> Self {
        match error {
            ConcertChangeError::SalesWindow(error) => error.into(),
            ConcertChangeError::SalesTime(error) => error.into(),
            ConcertChangeError::Draw(error) => error.into(),
        }
    }
}

/// Why a catalog was not imported. Nothing of it was written.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A rule forbids it.
    #[error(transparent)]
    Refused(#[from] ImportRefusal),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Shows how far an import is. A closure that takes the number is one.
pub trait ImportProgress: Send + Sync {
    /// Receives how many more seats of the catalog's performances were imported, those of performances that were stored
    /// before too. The numbers add up to [`ImportedCatalog::seats_count`] if the catalog has the plan of each venue,
    /// unless the storage failed and the adapter began again: then it counts again, too.
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
    /// Writes a catalog in one transaction, all of it or nothing; with [`ImportOptions::dry_run`] it decides the same and
    /// writes nothing. What has a known key is updated as far as the rules allow: what is absent stays as it is. A
    /// concert keeps its draw, and whether its queue is paused. New prices are for all seats that are not held, from now
    /// on, and for the others when they are free again: what was held or paid keeps its price in its reservation.
    /// [`Importer`](super::Importer) decides all that for an implementor.
    ///
    /// New ids and seeds are made by the caller's source.
    async fn import(
        &self,
        catalog: &ImportedCatalog,
        options: &ImportOptions,
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

    #[test]
    fn a_refusal_has_the_pointer_of_its_field() {
        for (place, field, pointer) in [
            (ImportPlace::Venue(3), "sections", "/venues/3/sections"),
            (ImportPlace::Concert(2), "key", "/concerts/2/key"),
            (ImportPlace::Performance(2, 1), "prices/0/price", "/concerts/2/performances/1/prices/0/price"),
        ] {
            let ImportError::Refused(refusal) = ImportRule::Harm.at(place, field) else { panic!("no refusal") };
            assert_eq!(refusal.pointer(), pointer);
        }
    }

    #[test]
    fn an_import_that_creates_or_changes_something_is_not_unchanged() {
        let unchanged = ImportReport { venues_known: 1, no_longer_named: vec![], ..ImportReport::default() };
        assert!(unchanged.is_unchanged());
        let name = Name::new("x").unwrap();
        let change = ImportedChange {
            named: Named::Venue(name),
            field: "name".to_owned(),
            before: "a".to_owned(),
            after: "b".to_owned(),
        };
        assert_eq!(change.to_string(), "venue `x`: name: a -> b");
        for changed in [
            ImportReport { changes: vec![change], ..unchanged.clone() },
            ImportReport { venues_created: 1, ..unchanged.clone() },
            ImportReport { concerts_created: 1, ..unchanged.clone() },
            ImportReport { performances_created: 1, ..unchanged },
        ] {
            assert!(!changed.is_unchanged());
        }
    }
}
