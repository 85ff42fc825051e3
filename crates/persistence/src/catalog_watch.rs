//! Notices what other processes change in the catalog.
//!
//! A transaction that changes the catalog also notes in its process's row of `catalog_changes` which concerts and which
//! prices it changed. A process looks at these rows before it shows what it has cached, unless it has just looked: one
//! small query for all callers of that moment, however many they are. So it shows within that moment what another process
//! has written to the same database, such as an import from the command line, and reads only what has changed.
//!
//! A row has only the last changes. If it is not known what one was about, it stands for a change of anything.

use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use boxoffice_domain::{ConcertId, PerformanceId, StorageError};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::{concert_finder::ConcertFinder, seat_cache::SeatCache};

/// How long a caller waits for a look, at most. A database that takes longer costs the callers no more than this.
const WAIT_MAX: Duration = Duration::from_millis(250);
/// How long no look is taken after one that failed.
const FAILURE_REST: Duration = Duration::from_millis(250);
/// After how long without a look anything may have changed: meanwhile a row may have been removed.
const UNWATCHED_MAX: Duration = Duration::from_mins(30);
/// How long a row stays after the last change of its process.
pub(crate) const ROWS_KEPT_FOR: Duration = Duration::from_hours(1);
/// The most ids of one change. A change of more may be one of anything.
const IDS_MAX: usize = 2_000;
/// The most changes that a row has.
const CHANGES_MAX: usize = 100;

/// What a transaction has changed of the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CatalogChange {
    /// The concerts that a search may find otherwise now; `None` if they may be any.
    pub(crate) concerts: Option<Vec<ConcertId>>,
    /// The performances whose seats have other prices now; `None` if they may be any.
    pub(crate) performances: Option<Vec<PerformanceId>>,
}

impl CatalogChange {
    /// A change of anything.
    const ANY: Self = Self { concerts: None, performances: None };
    const NONE: Self = Self { concerts: Some(Vec::new()), performances: Some(Vec::new()) };

    /// A change of a concert, or of performances of it but for their prices.
    pub(crate) fn of_concert(id: ConcertId) -> Self {
        Self { concerts: Some(vec![id]), ..Self::NONE }
    }

    /// A change of these concerts, and of the prices of these performances.
    pub(crate) fn of(
        concerts: impl IntoIterator<Item = ConcertId>,
        performances: impl IntoIterator<Item = PerformanceId>,
    ) -> Self {
        let (concerts, performances) = (concerts.into_iter().collect(), performances.into_iter().collect());
        Self { concerts: bounded(concerts), performances: bounded(performances) }
    }

    pub(crate) fn is_none(&self) -> bool {
        *self == Self::NONE
    }

    fn and(self, other: Self) -> Self {
        Self {
            concerts: joined(self.concerts, other.concerts),
            performances: joined(self.performances, other.performances),
        }
    }

    fn ids_count(&self) -> usize {
        self.concerts.as_ref().map_or(0, Vec::len) + self.performances.as_ref().map_or(0, Vec::len)
    }
}

fn bounded<T>(ids: Vec<T>) -> Option<Vec<T>> {
    (ids.len() <= IDS_MAX).then_some(ids)
}

fn joined<T>(some: Option<Vec<T>>, others: Option<Vec<T>>) -> Option<Vec<T>> {
    let mut all = some?;
    all.extend(others?);
    Some(all)
}

/// Adds a change to those that a row has, and removes the oldest if there are too many.
pub(crate) fn with_change(mut recent: Vec<CatalogChange>, change: CatalogChange) -> Vec<CatalogChange> {
    recent.push(change);
    let mut ids_count: usize = recent.iter().map(CatalogChange::ids_count).sum();
    let mut first = recent.len().saturating_sub(CHANGES_MAX);
    ids_count -= recent[..first].iter().map(CatalogChange::ids_count).sum::<usize>();
    while ids_count > IDS_MAX && first + 1 < recent.len() {
        ids_count -= recent[first].ids_count();
        first += 1;
    }
    recent.split_off(first)
}

/// How many changes each process has made.
pub(crate) type Numbers = HashMap<Uuid, u64>;

/// What the rows say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Noted {
    pub(crate) numbers: Numbers,
    /// The last changes of the processes whose number was not known.
    pub(crate) recent: BTreeMap<Uuid, Vec<CatalogChange>>,
}

impl Noted {
    /// What has changed since there were so many changes.
    fn since(&self, known: &Numbers) -> CatalogChange {
        let mut all = CatalogChange::NONE;
        for (process, recent) in &self.recent {
            let number = self.numbers.get(process).copied().unwrap_or(0);
            // A row that was removed begins with 1 again.
            let missing = number.checked_sub(known.get(process).copied().unwrap_or(0));
            let missing = missing.and_then(|missing| usize::try_from(missing).ok());
            let first = missing.and_then(|missing| recent.len().checked_sub(missing));
            let Some(first) = first else { return CatalogChange::ANY };
            all = recent[first..].iter().cloned().fold(all, CatalogChange::and);
        }
        all
    }
}

/// Reads what processes have noted.
#[async_trait]
pub(crate) trait ChangesReader: Send + Sync {
    /// How many changes each process has made, and the last ones of those whose number is not this one. If no numbers are
    /// given, the changes are not wanted.
    async fn noted(&self, known: Option<&Numbers>) -> Result<Noted, StorageError>;
}

/// What caches something of the catalog.
pub(crate) trait Caches: Send + Sync {
    /// Has what depends on these concerts and prices read again before it is shown.
    fn apply(&self, change: &CatalogChange);
}

impl Caches for (Arc<ConcertFinder>, Arc<SeatCache>) {
    fn apply(&self, change: &CatalogChange) {
        self.0.mark_changed(change.concerts.as_deref());
        self.1.doubt(change.performances.as_deref());
    }
}

/// Looks what other processes have changed.
pub(crate) struct CatalogWatch {
    reader: Box<dyn ChangesReader>,
    caches: Box<dyn Caches>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many changes are known of each process; `None` if no look has succeeded yet.
    known: Option<Numbers>,
    /// When the last look that succeeded began.
    looked_at: Option<Instant>,
    /// When the last look failed, if it did.
    failed_at: Option<Instant>,
    /// The last look, and when it began.
    look: Option<(Instant, Shared<BoxFuture<'static, ()>>)>,
}

impl CatalogWatch {
    pub(crate) fn new(reader: impl ChangesReader + 'static, caches: impl Caches + 'static) -> Self {
        Self { reader: Box::new(reader), caches: Box::new(caches), state: Mutex::default() }
    }

    /// Looks, unless a look has begun within `age_max`. Many who want one at once wait for the same one. Returns whether
    /// the caches know all that had been written so long ago: not if the database does not answer in time.
    pub(crate) async fn look(self: &Arc<Self>, age_max: Duration) -> bool {
        let asked_at = Instant::now();
        // The first one may have begun too long ago.
        for _ in 0..2 {
            let (began_at, look) = {
                let mut state = self.state();
                if state.looked_at.is_some_and(|at| at + age_max >= asked_at) {
                    return true;
                }
                if state.failed_at.is_some_and(|at| at + FAILURE_REST > asked_at) {
                    return false;
                }
                self.under_way(&mut state)
            };
            if timeout_at(began_at + WAIT_MAX, look).await.is_err() {
                return false;
            }
        }
        self.state().looked_at.is_some_and(|at| at + age_max >= asked_at)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The look that is under way, a new one if there is none. It goes on if no caller waits for it.
    fn under_way(self: &Arc<Self>, state: &mut State) -> (Instant, Shared<BoxFuture<'static, ()>>) {
        if let Some((began_at, look)) = &state.look
            && look.peek().is_none()
        {
            return (*began_at, look.clone());
        }
        let began_at = Instant::now();
        let watch = Arc::clone(self);
        let look = tokio::spawn(async move { watch.take_look(began_at).await }).map(drop).boxed().shared();
        state.look = Some((began_at, look.clone()));
        (began_at, look)
    }

    async fn take_look(&self, began_at: Instant) {
        let known = {
            let state = self.state();
            let is_watched = state.looked_at.is_some_and(|at| at.elapsed() < UNWATCHED_MAX);
            state.known.clone().filter(|_| is_watched)
        };
        match self.reader.noted(known.as_ref()).await {
            Ok(noted) => {
                let change = known.map_or(CatalogChange::ANY, |known| noted.since(&known));
                if !change.is_none() {
                    self.caches.apply(&change);
                }
                let mut state = self.state();
                (state.known, state.looked_at, state.failed_at) = (Some(noted.numbers), Some(began_at), None);
            }
            Err(error) => {
                let failed_before = self.state().failed_at.replace(Instant::now()).is_some();
                if !failed_before {
                    let error = &error as &dyn Error;
                    tracing::warn!(error, "it is not known what other processes change in the catalog");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
