//! Answers about the catalogue that are shared by all who ask for the same.
//!
//! An answer is kept for a moment, and by the generation of the catalogue: whatever is published or changed
//! by this process begins a new one, before it is answered. So nothing whose reading began before a change is
//! ever answered to somebody who came after it. What other processes change begins one as soon as it is heard of,
//! if it is; the time of day and the counts of seats are seen when the moment is over; the counts, by an account that was answered an act, at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use boxoffice_application::catalog::CatalogError;
use boxoffice_domain::{
    ConcertId, PerformanceId,
    announcements::{Announcements, Topic},
    catalog::PerformanceKey,
    page::PageRequest,
};
use tokio::time::Instant;

use crate::{
    read_cache::{PAUSE_PART, ReadCache, Weighed},
    reply::{Problem, etag::Tagged},
};

/// The most bytes of the answers of one kind.
const BYTES_MAX: u64 = 16 << 20;

/// A page of concerts: whether only bookable ones, and which page.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ConcertsAsked {
    pub bookable_only: bool,
    pub page: PageRequest<ConcertId>,
}

/// A page of the performances of a concert.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PerformancesAsked {
    pub concert_id: ConcertId,
    pub available_only: bool,
    pub page: PageRequest<PerformanceKey>,
}

/// The answers of one kind.
type Answers<K> = ReadCache<(u64, K), Tagged>;

/// The answers that are kept. Whoever asks for performances has passed the gate before.
pub(crate) struct Reads {
    generation: Generation,
    concerts: Answers<ConcertsAsked>,
    concert: Answers<ConcertId>,
    performances: Answers<PerformancesAsked>,
    performance: Answers<PerformanceId>,
}

/// The generation of the catalogue that is shown.
#[derive(Clone)]
pub(crate) struct Generation {
    number: Arc<AtomicU64>,
    /// Tells the other processes.
    announcements: Arc<dyn Announcements>,
}

impl Generation {
    pub(crate) fn new(announcements: Arc<dyn Announcements>) -> Self {
        Self { number: Arc::default(), announcements }
    }

    /// Nothing of before is shown any more.
    pub(crate) fn begin(&self) {
        self.number.fetch_add(1, Ordering::AcqRel);
    }

    fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }
}

/// A change of the catalogue that is under way. Its end begins a new generation: whatever has become of it,
/// nothing of before is shown any more.
pub(crate) struct Change {
    generation: Generation,
    refused: bool,
}

impl Change {
    /// Ends the change with what has become of it. One that was refused has changed nothing; if it ended what
    /// is kept all the same, anybody could have everything read anew who may not even publish.
    pub(crate) fn end<T>(mut self, outcome: Result<T, CatalogError>) -> Result<T, CatalogError> {
        let failed = |error: &CatalogError| matches!(error, CatalogError::Storage(_) | CatalogError::WaitingRoom(_));
        self.refused = outcome.as_ref().is_err_and(|error| !failed(error));
        outcome
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        if !self.refused {
            self.generation.begin();
            self.generation.announcements.announce(Topic::Catalog, String::new());
        }
    }
}

impl Weighed for Tagged {
    fn bytes(&self) -> usize {
        self.content().len()
    }
}

impl Reads {
    pub(crate) fn new(kept_for: Duration, generation: Generation) -> Self {
        Self {
            generation,
            concerts: ReadCache::new("concerts", kept_for, BYTES_MAX),
            concert: ReadCache::new("concert", kept_for, BYTES_MAX),
            performances: ReadCache::new("performances", kept_for, BYTES_MAX).pausing(kept_for / PAUSE_PART),
            performance: ReadCache::new("performance", kept_for, BYTES_MAX).pausing(kept_for / PAUSE_PART),
        }
    }

    /// To be kept while something of the catalogue is published or changed.
    pub(crate) fn change(&self) -> Change {
        Change { generation: self.generation.clone(), refused: false }
    }

    pub(crate) async fn concerts(
        &self,
        asked: ConcertsAsked,
        read: impl Future<Output = Result<Tagged, Problem>>,
    ) -> Result<Tagged, Problem> {
        self.concerts.get(self.now(asked), |_| read).await
    }

    pub(crate) async fn concert(
        &self,
        id: ConcertId,
        read: impl Future<Output = Result<Tagged, Problem>>,
    ) -> Result<Tagged, Problem> {
        self.concert.get(self.now(id), |_| read).await
    }

    /// As all others, and read after `since`: counts of seats change with what an account does.
    pub(crate) async fn performances(
        &self,
        asked: PerformancesAsked,
        since: Option<Instant>,
        read: impl Future<Output = Result<Tagged, Problem>>,
    ) -> Result<Tagged, Problem> {
        self.performances.get_since(self.now(asked), since, |_| true, |_| read).await
    }

    /// As [`Self::performances`].
    pub(crate) async fn performance(
        &self,
        id: PerformanceId,
        since: Option<Instant>,
        read: impl Future<Output = Result<Tagged, Problem>>,
    ) -> Result<Tagged, Problem> {
        self.performance.get_since(self.now(id), since, |_| true, |_| read).await
    }

    fn now<K>(&self, asked: K) -> (u64, K) {
        (self.generation.number(), asked)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use boxoffice_domain::announcements::Alone;
    use tokio::sync::{Barrier, Semaphore};

    use super::*;

    const ID: ConcertId = ConcertId::new(uuid::Uuid::from_u128(1));

    fn text(of: &Tagged) -> String {
        String::from_utf8(of.content().to_vec()).unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_began_before_a_change_is_not_answered_after_it() {
        let reads = Reads::new(Duration::from_mins(1), Generation::new(Arc::new(Alone)));
        // A reading sees the catalogue of before, and is still under way when the change is answered.
        let (read, go_on) = (Semaphore::new(0), Semaphore::new(0));
        let old = reads.concert(ID, async {
            read.add_permits(1);
            go_on.acquire().await.unwrap().forget();
            Tagged::of(&"old")
        });
        let change = async {
            read.acquire().await.unwrap().forget();
            drop(reads.change());
            let new = reads.concert(ID, async { Tagged::of(&"new") }).await.unwrap();
            go_on.add_permits(1);
            new
        };
        let (old, new) = tokio::join!(old, change);
        assert_eq!((text(&old.unwrap()), text(&new)), ("\"old\"".to_owned(), "\"new\"".to_owned()));
        let kept = reads.concert(ID, async { Tagged::of(&"never read") }).await.unwrap();
        assert_eq!(text(&kept), "\"new\"");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn hundreds_read_once_in_each_generation() {
        let reads = Arc::new(Reads::new(Duration::from_mins(1), Generation::new(Arc::new(Alone))));
        let readings = Arc::new(AtomicUsize::new(0));
        for generation in 1..=5 {
            let start = Arc::new(Barrier::new(300));
            let tasks: Vec<_> = (0..300)
                .map(|_| {
                    let (reads, readings, start) = (Arc::clone(&reads), Arc::clone(&readings), Arc::clone(&start));
                    tokio::spawn(async move {
                        start.wait().await;
                        let page = PageRequest::first(20);
                        let asked = ConcertsAsked { bookable_only: false, page };
                        let read = async {
                            tokio::task::yield_now().await;
                            Tagged::of(&(readings.fetch_add(1, Ordering::SeqCst) + 1))
                        };
                        text(&reads.concerts(asked, read).await.unwrap())
                    })
                })
                .collect();
            for task in tasks {
                assert_eq!(task.await.unwrap(), generation.to_string());
            }
            assert_eq!(readings.load(Ordering::SeqCst), generation);
            drop(reads.change());
        }
    }

    #[tokio::test]
    async fn a_refused_change_leaves_what_is_kept() {
        let reads = Reads::new(Duration::from_mins(1), Generation::new(Arc::new(Alone)));
        let generation = || reads.generation.number();
        assert!(reads.change().end::<()>(Err(CatalogError::Forbidden)).is_err());
        assert_eq!(generation(), 0);
        // What failed may have happened.
        let failed = CatalogError::Storage(boxoffice_domain::StorageError::Busy);
        assert!(reads.change().end::<()>(Err(failed)).is_err());
        assert_eq!(generation(), 1);
        // What the line could not be told is written.
        let untold = CatalogError::WaitingRoom(boxoffice_domain::StorageError::Busy.into());
        assert!(reads.change().end::<()>(Err(untold)).is_err());
        assert_eq!(generation(), 2);
        assert!(reads.change().end(Ok(())).is_ok());
        assert_eq!(generation(), 3);
    }

    #[tokio::test]
    async fn other_questions_have_other_answers() {
        let reads = Reads::new(Duration::from_mins(1), Generation::new(Arc::new(Alone)));
        for (number, (bookable_only, limit)) in [(false, 20), (true, 20), (false, 21)].into_iter().enumerate() {
            let asked = ConcertsAsked { bookable_only, page: PageRequest::first(limit) };
            let answer = reads.concerts(asked, async { Tagged::of(&number) }).await.unwrap();
            assert_eq!(text(&answer), number.to_string());
        }
    }
}
