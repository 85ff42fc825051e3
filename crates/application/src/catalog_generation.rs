//! The generation of the catalog: each change begins a new one, here and at the peers.
//!
//! What was read in an earlier generation is not shown any more. So what a caller has published or changed is in every
//! response to come, and no cache has to know what exactly depends on what.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use boxoffice_domain::ConcertId;
use boxoffice_peers::{Alone, Peers, Topic};

/// Counts the changes of the catalog that this process has made or received.
pub struct CatalogGeneration {
    number: AtomicU64,
    peers: Arc<dyn Peers>,
}

impl std::fmt::Debug for CatalogGeneration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("CatalogGeneration").field(&self.number).finish()
    }
}

impl Default for CatalogGeneration {
    fn default() -> Self {
        Self::new(Arc::new(Alone))
    }
}

impl CatalogGeneration {
    /// The first generation. Changes are published to these peers.
    pub fn new(peers: Arc<dyn Peers>) -> Self {
        Self { number: AtomicU64::new(0), peers }
    }

    /// The number of the present generation.
    pub fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// A peer has changed the catalog, or may have.
    pub fn begin(&self) {
        self.number.fetch_add(1, Ordering::AcqRel);
    }

    /// Makes a change. Its end begins a new generation and is published, also if it has failed or was broken off: it may
    /// have happened. A change that was refused, or that left everything as it was, has changed nothing. If it began a
    /// generation, any caller could have everything read again.
    pub(crate) async fn change<T, E>(
        &self,
        act: impl Future<Output = Result<T, E>>,
        changes_nothing: impl Fn(&Result<T, E>) -> bool,
    ) -> Result<T, E> {
        self.change_of(None, act, changes_nothing).await
    }

    /// As [`Self::change`], for a change of this concert and its performances alone, if it is known.
    pub(crate) async fn change_of<T, E>(
        &self,
        concert_id: Option<ConcertId>,
        act: impl Future<Output = Result<T, E>>,
        changes_nothing: impl Fn(&Result<T, E>) -> bool,
    ) -> Result<T, E> {
        let mut change = Change { generation: self, concert_id, changed_nothing: false };
        let outcome = act.await;
        change.changed_nothing = changes_nothing(&outcome);
        outcome
    }
}

/// A change that is under way.
struct Change<'g> {
    generation: &'g CatalogGeneration,
    concert_id: Option<ConcertId>,
    changed_nothing: bool,
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        if !self.changed_nothing {
            self.generation.begin();
            let text = self.concert_id.map(|id| id.to_string()).unwrap_or_default();
            self.generation.peers.publish(Topic::Catalog, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use boxoffice_peers::{Announcement, MemoryPeers};
    use futures::FutureExt;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_change_begins_a_generation_unless_it_is_refused() {
        let peers = Arc::new(MemoryPeers::default());
        let mut subscription = peers.subscribe();
        let generation = CatalogGeneration::new(peers);
        let change = |outcome| {
            generation.change(std::future::ready(outcome), |outcome| *outcome == Err("refused")).now_or_never()
        };
        assert_eq!(change(Err("refused")), Some(Err("refused")));
        assert_eq!((generation.number(), subscription.try_next()), (0, None));
        // What failed may have happened.
        assert_eq!(change(Err("failed")), Some(Err("failed")));
        assert_eq!(change(Ok(())), Some(Ok(())));
        assert_eq!(generation.change(std::future::pending::<Result<(), ()>>(), |_| true).now_or_never(), None);
        assert_eq!(generation.number(), 3);
        assert_eq!(std::iter::from_fn(|| subscription.try_next()).count(), 3);
        let id = ConcertId::new(Uuid::from_u128(1));
        let outcome = std::future::ready(Ok::<_, ()>(()));
        assert_eq!(generation.change_of(Some(id), outcome, |_| false).now_or_never(), Some(Ok(())));
        let announced = Announcement::Published { topic: Topic::Catalog, text: id.to_string().into() };
        assert_eq!((generation.number(), subscription.try_next()), (4, Some(announced)));
        // What a peer has changed is not published again.
        generation.begin();
        assert_eq!((generation.number(), subscription.try_next()), (5, None));
    }
}
