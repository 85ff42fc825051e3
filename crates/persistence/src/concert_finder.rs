//! Searching concerts, over an index in memory.
//!
//! The first search reads all concerts. What this process writes is marked when it has been written, and the next search
//! reads the marked concerts before it answers: so it never shows less than what this process has answered before. What
//! peers publish is marked too, and what other processes have noted in the database (`catalog_watch`), such as an import
//! from the command line. A change of which only is known that there was one is found by reading all concerts again.
//! Searches wait for that if it is quick; in a large catalog it goes on beside them, and not all the time. So it does now
//! and then for what no process notes, such as a repair by hand.

use std::{
    collections::HashMap,
    error::Error,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use boxoffice_domain::{
    ConcertId, StorageError, Timestamp,
    catalog::{ConcertIndex, ConcertKey, ConcertSearch, ConcertSummary, ListedConcert},
    page::{Page, PageRequest},
};
use boxoffice_peers::{SharedError, SingleFlight};
use tokio::time::Instant;

/// How long all concerts are not read again, at least, if no change is known.
const REST_MIN: Duration = Duration::from_secs(10);
/// How many times as long as reading all concerts took it is not done again. So it takes a twentieth of the time at most.
const REST_FACTOR: u32 = 20;
/// The same after a change of which only is known that there was one.
const REST_FACTOR_CHANGED: u32 = 2;
/// Searches wait for reading all concerts again after a change if it takes no longer than this.
const QUICK_MAX: Duration = Duration::from_millis(250);
/// How many concerts may have changed since the index was built.
const CHANGES_MAX: usize = 512;
/// How many concerts are marked at most; if there are more, the next search reads all.
const MARKS_MAX: usize = 4_096;

/// Reads concerts as searches look at them.
#[async_trait]
pub(crate) trait ListingReader: Send + Sync {
    /// All concerts.
    async fn all(&self) -> Result<Vec<ListedConcert>, StorageError>;

    /// Those of these concerts that are there.
    async fn some(&self, ids: &[ConcertId]) -> Result<Vec<ListedConcert>, StorageError>;
}

/// A concert that was found.
pub(crate) struct Found {
    pub(crate) summary: ConcertSummary,
    /// Whether its description was left out.
    pub(crate) is_abridged: bool,
}

/// Finds concerts.
pub(crate) struct ConcertFinder {
    reader: Box<dyn ListingReader>,
    state: Mutex<State>,
    /// Searches that miss something wait for one reading of it.
    flight: SingleFlight<SharedError>,
    /// Locked while all concerts are read.
    all: tokio::sync::Mutex<()>,
    is_renewing: AtomicBool,
}

#[derive(Default)]
struct State {
    kept: Option<Kept>,
    /// Counts the marks.
    marks_count: u64,
    /// The number of the last mark of all concerts.
    all_marked: u64,
    marked: HashMap<ConcertId, Mark>,
    /// Whether all concerts are being read.
    all_being_read: bool,
}

/// A changed concert.
struct Mark {
    number: u64,
    /// Whether it has been read since. It is kept while all concerts are being read, and may be older there.
    is_read: bool,
}

/// An index, and the reading of all concerts that it is from.
struct Kept {
    index: Arc<ConcertIndex>,
    /// How many marks there were when the reading began.
    marks_count: u64,
    read_at: Instant,
    took: Duration,
}

impl Kept {
    /// Whether a change came later of which only is known that there was one.
    fn misses_a_change(&self, state: &State) -> bool {
        state.all_marked > self.marks_count
    }

    fn has_rested(&self) -> bool {
        self.read_at.elapsed() >= REST_MIN.max(self.took * REST_FACTOR)
    }

    /// Whether searches wait for the next reading of all concerts.
    fn is_waited_for(&self, state: &State) -> bool {
        self.took <= QUICK_MAX && self.misses_a_change(state)
    }

    fn is_due(&self, state: &State) -> bool {
        let has_changed = self.misses_a_change(state) || self.index.changes_count() > CHANGES_MAX;
        self.has_rested() || (has_changed && self.read_at.elapsed() >= self.took * REST_FACTOR_CHANGED)
    }
}

impl State {
    /// The concerts to read before a search can be answered.
    fn unread(&self) -> impl Iterator<Item = ConcertId> {
        self.marked.iter().filter(|(_, mark)| !mark.is_read).map(|(id, _)| *id)
    }

    fn mark(&mut self, id: ConcertId) {
        self.marks_count += 1;
        let number = self.marks_count;
        self.marked.insert(id, Mark { number, is_read: false });
        if self.marked.len() > MARKS_MAX {
            self.kept = None;
            self.marked.clear();
        }
    }
}

/// Marks what is being written when that has ended, also if it was broken off: it may have been written.
pub(crate) struct Marking<'f> {
    finder: &'f ConcertFinder,
    /// The concert; `None` if it may be any.
    id: Option<ConcertId>,
}

impl Drop for Marking<'_> {
    fn drop(&mut self) {
        self.finder.mark(self.id);
    }
}

impl ConcertFinder {
    pub(crate) fn new(reader: impl ListingReader + 'static) -> Self {
        Self {
            reader: Box::new(reader),
            state: Mutex::default(),
            flight: SingleFlight::default(),
            all: tokio::sync::Mutex::default(),
            is_renewing: AtomicBool::new(false),
        }
    }

    /// Marks a concert as changed, or with `None` all of them.
    pub(crate) fn mark(&self, id: Option<ConcertId>) {
        let mut state = self.state();
        if let Some(id) = id {
            state.mark(id);
        } else {
            state.marks_count += 1;
            state.all_marked = state.marks_count;
        }
    }

    /// Marks these concerts as changed, or with `None` all of them.
    pub(crate) fn mark_changed(&self, ids: Option<&[ConcertId]>) {
        let ids = ids.filter(|ids| self.state().marked.len() + ids.len() <= MARKS_MAX);
        let Some(ids) = ids else { return self.mark(None) };
        for id in ids {
            self.mark(Some(*id));
        }
    }

    /// Marks a concert, or any, when what is returned is dropped.
    pub(crate) fn marking(&self, id: Option<ConcertId>) -> Marking<'_> {
        Marking { finder: self, id }
    }

    /// One page of what a search finds.
    pub(crate) async fn find(
        self: &Arc<Self>,
        search: &ConcertSearch,
        now: Timestamp,
        page: PageRequest<ConcertKey>,
    ) -> Result<Page<Found, ConcertKey>, StorageError> {
        let index = self.flight.get(|| self.usable(), self.read_what_is_missing()).await?;
        self.renew_if_due();
        let page = index.page(search, now, &page);
        let found =
            |listed: &ListedConcert| Found { summary: listed.summary.clone(), is_abridged: listed.is_abridged() };
        Ok(Page { items: page.items.into_iter().map(found).collect(), next: page.next })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn usable(&self) -> Option<Arc<ConcertIndex>> {
        let state = self.state();
        let kept = state.kept.as_ref()?;
        let is_usable = state.unread().next().is_none() && !kept.is_waited_for(&state);
        is_usable.then(|| Arc::clone(&kept.index))
    }

    async fn read_what_is_missing(&self) -> Result<Arc<ConcertIndex>, SharedError> {
        let (ids, marks_count) = {
            let state = self.state();
            let reads_all = state.kept.as_ref().is_none_or(|kept| kept.is_waited_for(&state));
            ((!reads_all).then(|| state.unread().collect::<Vec<_>>()), state.marks_count)
        };
        let Some(ids) = ids else { return Ok(self.read_all().await?) };
        let read = self.reader.some(&ids).await?;
        let mut read: HashMap<_, _> = read.into_iter().map(|listed| (listed.id(), listed)).collect();
        let index = {
            let mut state = self.state();
            let all_being_read = state.all_being_read;
            state.marked.retain(|_, mark| {
                mark.is_read |= mark.number <= marks_count;
                all_being_read || !mark.is_read
            });
            state.kept.as_mut().map(|kept| {
                kept.index = Arc::new(kept.index.with(ids.into_iter().map(|id| (id, read.remove(&id)))));
                Arc::clone(&kept.index)
            })
        };
        match index {
            Some(index) => Ok(index),
            // Meanwhile too many were marked.
            None => Ok(self.read_all().await?),
        }
    }

    async fn read_all(&self) -> Result<Arc<ConcertIndex>, StorageError> {
        let _one_at_a_time = self.all.lock().await;
        let (marks_count, former) = {
            let mut state = self.state();
            state.all_being_read = true;
            (state.marks_count, state.kept.as_ref().map(|kept| Arc::clone(&kept.index)))
        };
        let began = Instant::now();
        let listed = self.reader.all().await;
        if listed.is_err() {
            self.state().all_being_read = false;
        }
        let listed = listed?;
        let build = move || match former {
            Some(former) => former.renewed(listed, CHANGES_MAX),
            None => ConcertIndex::new(listed),
        };
        let index = tokio::task::spawn_blocking(build).await.map_err(|error| StorageError::Failed(error.into()))?;
        let index = Arc::new(index);
        let kept = Kept { index: Arc::clone(&index), marks_count, read_at: Instant::now(), took: began.elapsed() };
        let former = {
            let mut state = self.state();
            // What was marked meanwhile may be missing, also if it has been read for the former index.
            state.marked.retain(|_, mark| {
                mark.is_read = false;
                mark.number > marks_count
            });
            state.all_being_read = false;
            state.kept.replace(kept)
        };
        // A large one takes a while to free.
        tokio::task::spawn_blocking(move || drop(former));
        Ok(index)
    }

    /// Reads all concerts again, beside the searches.
    fn renew_if_due(self: &Arc<Self>) {
        let is_due = {
            let state = self.state();
            state.kept.as_ref().is_some_and(|kept| kept.is_due(&state))
        };
        if is_due && !self.is_renewing.swap(true, Ordering::AcqRel) {
            let renewing = Renewing(Arc::clone(self));
            tokio::spawn(async move { renewing.run().await });
        }
    }
}

/// The reading of all concerts beside the searches.
struct Renewing(Arc<ConcertFinder>);

impl Renewing {
    async fn run(self) {
        if let Err(error) = self.0.read_all().await {
            tracing::warn!(error = &error as &dyn Error, "the concerts could not be read for searches");
            // It is tried again after the usual rest.
            if let Some(kept) = &mut self.0.state().kept {
                kept.read_at = Instant::now();
            }
        }
    }
}

impl Drop for Renewing {
    fn drop(&mut self) {
        self.0.is_renewing.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests;
