//! Responses about the catalog, shared by all callers that ask for the same.
//!
//! A response is kept for a moment within a [generation](CatalogGeneration) of the catalog. So no caller gets what was read
//! before a change that this process made or received. The time of day and the counts of seats may be a moment old, but
//! not older than the account's own acts.

use std::{hash::Hash, sync::Arc, time::Duration};

use boxoffice_application::CatalogGeneration;
use boxoffice_domain::{
    ConcertId, PerformanceId, VenueId,
    catalog::{ConcertKey, ConcertSearch, PerformanceKey},
    page::PageRequest,
};
use tokio::time::Instant;

use super::read_cache::{PAUSE_PART, ReadCache};
use crate::reply::{Problem, Tagged};

/// The most bytes of the responses of one kind.
const BYTES_MAX: u64 = 16 << 20;

/// The responses that are kept. Callers that ask for performances have passed the gate before.
pub(crate) struct CatalogReads {
    /// Pages of what searches find.
    pub(crate) concerts: Responses<(ConcertSearch, PageRequest<ConcertKey>)>,
    pub(crate) concert: Responses<ConcertId>,
    pub(crate) venue: Responses<VenueId>,
    /// Pages of the performances of a concert: all, the available ones, or the others.
    pub(crate) performances: Responses<(ConcertId, Option<bool>, PageRequest<PerformanceKey>)>,
    pub(crate) performance: Responses<PerformanceId>,
}

/// The responses of one kind.
pub(crate) struct Responses<K> {
    generation: Arc<CatalogGeneration>,
    cache: ReadCache<(u64, K), Tagged>,
}

impl CatalogReads {
    pub(crate) fn new(kept_for: Duration, generation: &Arc<CatalogGeneration>) -> Self {
        let pause = kept_for / PAUSE_PART;
        Self {
            concerts: Responses::new("concerts", kept_for, Duration::ZERO, generation),
            concert: Responses::new("concert", kept_for, Duration::ZERO, generation),
            venue: Responses::new("venue", kept_for, Duration::ZERO, generation),
            performances: Responses::new("performances", kept_for, pause, generation),
            performance: Responses::new("performance", kept_for, pause, generation),
        }
    }
}

impl<K: Clone + Eq + Hash + Send + Sync + 'static> Responses<K> {
    fn new(name: &'static str, kept_for: Duration, pause: Duration, generation: &Arc<CatalogGeneration>) -> Self {
        let cache = ReadCache::new(name, kept_for, pause, BYTES_MAX, |response: &Tagged| response.content().len());
        Self { generation: Arc::clone(generation), cache }
    }

    /// The response to this question, read after `since`.
    pub(crate) async fn get(
        &self,
        asked: K,
        since: Option<Instant>,
        read: impl Future<Output = Result<Tagged, Problem>>,
    ) -> Result<Tagged, Problem> {
        self.cache.get((self.generation.number(), asked), since, |_| true, |_| read).await
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;

    const ID: ConcertId = ConcertId::new(uuid::Uuid::from_u128(1));

    fn text(of: &Tagged) -> String {
        String::from_utf8(of.content().to_vec()).unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_began_before_a_change_is_not_shown_after_it() {
        let generation = Arc::default();
        let reads = CatalogReads::new(Duration::from_mins(1), &generation);
        // A reading sees the catalog before the change, and is still under way after it.
        let (read, go_on) = (Semaphore::new(0), Semaphore::new(0));
        let old = reads.concert.get(ID, None, async {
            read.add_permits(1);
            go_on.acquire().await.unwrap().forget();
            Tagged::of(&"old")
        });
        let change = async {
            read.acquire().await.unwrap().forget();
            generation.begin();
            let new = reads.concert.get(ID, None, async { Tagged::of(&"new") }).await.unwrap();
            go_on.add_permits(1);
            new
        };
        let (old, new) = tokio::join!(old, change);
        assert_eq!((text(&old.unwrap()), text(&new)), ("\"old\"".to_owned(), "\"new\"".to_owned()));
        let kept = reads.concert.get(ID, None, async { Tagged::of(&"never read") }).await.unwrap();
        assert_eq!(text(&kept), "\"new\"");
    }
}
