//! What a queue needs to know of its concert and its sale, cached for a moment.
//!
//! Before a sale opens, many accounts join the same queue at once. What the queue has to know of the concert rarely
//! changes, so it is not read for each of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use boxoffice_domain::{
    AccountId, ConcertId, StorageError, Timestamp,
    catalog::{ConcertSummary, NotOnSale, SalesWindow, Stock},
    waiting_room::{Draw, Offer, QueueTerms},
};
use boxoffice_peers::{SharedError, SingleFlight};

use crate::{CatalogGeneration, waiting_room::JoinError};

/// The most concerts that are cached; beyond that, all are forgotten and read again.
const CONCERTS_MAX: usize = 10_000;

/// What a queue has to know of its concert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SaleTerms {
    pub(crate) promoter_id: Option<AccountId>,
    pub(crate) draw: Option<Draw>,
    pub(crate) requires_verified_email: bool,
    /// With how the sale stood when it was read.
    pub(crate) queue: QueueTerms,
    /// How many seats were available then.
    pub(crate) available: u64,
    sales: SalesWindow,
    has_performance: bool,
}

impl SaleTerms {
    /// The terms of a concert of which, if it is on sale, this was left when it was read.
    pub(crate) fn new(summary: &ConcertSummary, stock: Stock, read_at: Timestamp) -> Self {
        Self {
            promoter_id: summary.concert.promoter_id,
            draw: summary.concert.draw,
            requires_verified_email: summary.concert.requires_verified_email,
            queue: summary.queue_terms(read_at, stock),
            available: stock.available,
            sales: summary.concert.sales,
            has_performance: summary.last_performance_at.is_some(),
        }
    }

    /// Whether an account may join at `now`: while the sale is open, and before that if there is a draw; as long as there
    /// is a performance to come and a seat that is not sold.
    pub(crate) fn check_joining(&self, now: Timestamp) -> Result<(), JoinError> {
        match self.sales.check(now) {
            Err(NotOnSale::NotOpen { .. }) if self.draw.is_some() => {}
            checked => checked?,
        }
        if !self.has_performance {
            return Err(JoinError::NoPerformance);
        }
        match self.queue.sale.offer_at(now) {
            Offer::Seats | Offer::AllHeld | Offer::NotOpen => Ok(()),
            Offer::Nothing(end) => Err(JoinError::Ended(end)),
        }
    }
}

/// The terms of the concerts that were asked for lately.
///
/// A change that this process makes is seen at once; one of a peer when its announcement arrives or, if that is lost,
/// after the time that terms are kept for.
#[derive(Debug, Default)]
pub struct SaleTermsCache {
    kept_for: Duration,
    generation: Arc<CatalogGeneration>,
    entries: Mutex<HashMap<ConcertId, Arc<Entry>>>,
}

#[derive(Debug, Default)]
struct Entry {
    kept: Mutex<Option<Kept>>,
    flight: SingleFlight<SharedError>,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    terms: SaleTerms,
    fresh_until: Timestamp,
    /// The generation in which the reading began.
    generation: u64,
}

impl SaleTermsCache {
    /// Keeps terms for this time within a generation of the catalog; for no time, it keeps none.
    pub fn new(kept_for: Duration, generation: Arc<CatalogGeneration>) -> Self {
        Self { kept_for, generation, entries: Mutex::default() }
    }

    /// The terms of a concert, which `read` reads if they are not fresh; `None` if there is no such concert.
    pub(crate) async fn get(
        &self,
        id: ConcertId,
        now: Timestamp,
        read: impl Future<Output = Result<Option<SaleTerms>, StorageError>>,
    ) -> Result<Option<SaleTerms>, StorageError> {
        if self.kept_for.is_zero() {
            return read.await;
        }
        let entry = self.entry(id);
        let is_fresh = |kept: &Kept| now < kept.fresh_until && kept.generation == self.generation.number();
        let fresh = || lock(&entry.kept).filter(is_fresh).map(|kept| Some(kept.terms));
        let read = async {
            let (generation, fresh_until) = (self.generation.number(), now + self.kept_for);
            let Some(terms) = read.await? else {
                lock(&self.entries).remove(&id);
                return Ok(None);
            };
            *lock(&entry.kept) = Some(Kept { terms, fresh_until, generation });
            Ok(Some(terms))
        };
        Ok(entry.flight.get(fresh, read).await?)
    }

    fn entry(&self, id: ConcertId) -> Arc<Entry> {
        let mut entries = lock(&self.entries);
        if entries.len() >= CONCERTS_MAX && !entries.contains_key(&id) {
            entries.clear();
        }
        Arc::clone(entries.entry(id).or_default())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use boxoffice_domain::{
        catalog::Concert,
        fixtures::{self, instant},
    };
    use chrono::TimeDelta;
    use futures::FutureExt;
    use uuid::Uuid;

    use super::*;

    const ID: ConcertId = ConcertId::new(Uuid::from_u128(1));

    fn concert(version: u32) -> SaleTerms {
        let summary = ConcertSummary::new(Concert { version, ..fixtures::concert() }, &[]);
        SaleTerms::new(&summary, Stock::default(), instant(0))
    }

    impl SaleTermsCache {
        fn kept_for(milliseconds: u64) -> Self {
            Self::new(Duration::from_millis(milliseconds), Arc::default())
        }

        /// The version of the terms at this time, if `read` is what would be read.
        fn version_at(&self, milliseconds: i64, read: u32) -> u32 {
            let now = instant(0) + TimeDelta::milliseconds(milliseconds);
            let terms = self.get(ID, now, async { Ok(Some(concert(read))) }).now_or_never().unwrap();
            terms.unwrap().unwrap().queue.version
        }
    }

    #[test]
    fn terms_are_read_again_when_their_time_is_over() {
        let cache = SaleTermsCache::kept_for(250);
        let versions = [(0, 1), (249, 2), (250, 3), (499, 4)].map(|(at, read)| cache.version_at(at, read));
        assert_eq!(versions, [1, 1, 3, 3]);
        let off = SaleTermsCache::default();
        assert_eq!([off.version_at(0, 1), off.version_at(0, 2)], [1, 2]);
    }

    #[test]
    fn terms_are_read_again_in_each_generation_of_the_catalog() {
        let cache = SaleTermsCache::kept_for(250);
        assert_eq!(cache.version_at(0, 1), 1);
        cache.generation.begin();
        assert_eq!([cache.version_at(0, 2), cache.version_at(0, 3)], [2, 2]);
        // What was read before a change is not fresh after it.
        let during_a_change = async {
            cache.generation.begin();
            Ok(Some(concert(3)))
        };
        cache.get(ID, instant(1), during_a_change).now_or_never().unwrap().unwrap();
        assert_eq!(cache.version_at(1_000, 4), 4);
    }

    #[test]
    fn the_cached_concerts_are_bounded() {
        let cache = SaleTermsCache::kept_for(250);
        let count_with = |number: usize| {
            cache.entry(ConcertId::new(Uuid::from_u128(number as u128)));
            lock(&cache.entries).len()
        };
        assert!((0..CONCERTS_MAX).all(|number| count_with(number) == number + 1));
        assert_eq!([count_with(0), count_with(CONCERTS_MAX)], [CONCERTS_MAX, 1]);
    }

    #[test]
    fn what_does_not_exist_is_not_kept() {
        let cache = SaleTermsCache::kept_for(250);
        let terms = cache.get(ID, instant(0), async { Ok(None) }).now_or_never().unwrap();
        assert_eq!(terms.unwrap(), None);
        assert!(lock(&cache.entries).is_empty());
    }
}
