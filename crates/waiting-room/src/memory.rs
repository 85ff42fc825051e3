//! The waiting room in memory: for one server process.
//!
//! Each concert has a queue behind its own lock, which is held for O(log n) with n in the queue, never across an `await`,
//! and never while another one is taken. The visit that frees an admission gives it to the next in the queue in the same
//! critical section, so that no tick has to be waited for and no other account can come between.
//!
//! # Memory
//!
//! An account that waits takes about 110 bytes: 40 in the tree that finds positions, and 48 in the map from accounts to
//! places with its share of the nodes. One that takes part in a draw takes 24 more. It may be twice as much, after the
//! vector of the tree has grown and while the nodes of the maps are half full. A test asserts that it is below 300.
//!
//! # After a restart
//!
//! The queues are lost, the tokens are not. Places are counted from the time of the start in microseconds, so that an
//! earlier process gave every lower place: such a place is [forgotten](Recall::Forgotten), and
//! [restoring](WaitingRoom::restore) it puts it back in the old order, before all accounts that have joined since. For
//! [`Settings::reform_seconds`] no account is admitted, so that those that come back are in order first.
//!
//! What has ended must not come back. The queue keeps the account and place of all that ended since the start, as long as
//! there may be places to restore ([`Settings::restorable_seconds`]), and at most as many as may wait
//! ([`Settings::capacity`]). Past that bound the queue restores nothing any more: old places are expired then, as they are
//! once the queue was [emptied](WaitingRoom::empty).
//! This process cannot know what ended *before* the restart, except from the payment that spent it.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, Clock, ConcertId, Timestamp,
    waiting_room::{
        JoinRequest, Joined, QueueCensus, QueuePlace, QueueStats, QueueStatus, QueueTerms, Recall, RestoreRequest,
        Visit, WaitingRoom, WaitingRoomError,
    },
};
use tokio::sync::watch;

use crate::{
    queue::Queue,
    rules::{Rules, expired},
    settings::{Settings, describe_metrics},
};

/// The version if there is no queue. Queues have later ones.
const VERSION_OF_NO_QUEUE: u64 = 1;

struct Slot {
    queue: Mutex<Queue>,
    /// Written after the queue's lock is released, so that waking watchers holds up no request.
    version: watch::Sender<u64>,
}

/// The waiting room in memory. See the [module](self).
pub struct MemoryWaitingRoom {
    clock: Arc<dyn Clock>,
    rules: Arc<Rules>,
    queues: RwLock<HashMap<ConcertId, Arc<Slot>>>,
    /// Counts the versions of all queues together, so that a queue that was dropped and opened again never has an earlier
    /// version again.
    last_version: AtomicU64,
    /// Changes whenever a queue is opened.
    opened: watch::Sender<()>,
}

impl fmt::Debug for MemoryWaitingRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryWaitingRoom").field("rules", &self.rules).finish_non_exhaustive()
    }
}

impl MemoryWaitingRoom {
    /// A waiting room without queues. Settings out of their bounds are moved into them.
    pub fn new(clock: Arc<dyn Clock>, settings: Settings) -> Self {
        describe_metrics();
        let rules = Arc::new(Rules::new(settings.bounded(), clock.now()));
        Self {
            clock,
            rules,
            queues: RwLock::default(),
            last_version: AtomicU64::new(VERSION_OF_NO_QUEUE),
            opened: watch::Sender::new(()),
        }
    }

    fn slot(&self, concert_id: ConcertId) -> Option<Arc<Slot>> {
        self.queues.read().unwrap_or_else(PoisonError::into_inner).get(&concert_id).cloned()
    }

    fn slots(&self) -> Vec<Arc<Slot>> {
        self.queues.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The queue of a concert, opened if there is none.
    fn open_slot(&self, concert_id: ConcertId) -> Result<Arc<Slot>, WaitingRoomError> {
        if let Some(slot) = self.slot(concert_id) {
            return Ok(slot);
        }
        let now = self.clock.now();
        let mut queues = self.queues.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = queues.get(&concert_id) {
            return Ok(Arc::clone(slot));
        }
        if queues.len() >= self.rules.settings.queues_max {
            queues.retain(|_, slot| !is_idle(slot, now));
        }
        if queues.len() >= self.rules.settings.queues_max {
            tracing::warn!(queues = queues.len(), "no further queue can be opened");
            return Err(WaitingRoomError::Full);
        }
        let queue = Mutex::new(Queue::new(Arc::clone(&self.rules), concert_id, now));
        let slot = Arc::new(Slot { queue, version: watch::Sender::new(self.next_version()) });
        queues.insert(concert_id, Arc::clone(&slot));
        drop(queues);
        self.opened.send_replace(());
        Ok(slot)
    }

    /// The queue of a concert, opened if there is none and a place may have to be remembered as ended.
    fn remembering_slot(
        &self,
        concert_id: ConcertId,
        may_remember: bool,
    ) -> Result<Option<Arc<Slot>>, WaitingRoomError> {
        match self.slot(concert_id) {
            None if may_remember => self.open_slot(concert_id).map(Some),
            slot => Ok(slot),
        }
    }

    fn next_version(&self) -> u64 {
        self.last_version.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Advances a queue, acts on it, and wakes its watchers if that has changed a standing.
    fn visit<T>(&self, slot: &Slot, act: impl FnOnce(&mut Queue, Timestamp) -> T) -> T {
        // A panic in the critical section would be a defect, and must not end the sale for all requests.
        let mut queue = slot.queue.lock().unwrap_or_else(PoisonError::into_inner);
        // Read with the lock held, so that time does not run backwards from one visit to the next.
        let now = self.clock.now();
        queue.advance(now);
        let result = act(&mut queue, now);
        let changed = queue.take_changed();
        drop(queue);
        if changed {
            slot.version.send_modify(|version| *version = self.next_version());
        }
        result
    }
}

/// Whether a queue can be dropped. No other task can get hold of it meanwhile: the caller has the map's write lock, and
/// every task that uses the queue shares its `Arc`.
fn is_idle(slot: &mut Arc<Slot>, now: Timestamp) -> bool {
    Arc::get_mut(slot).is_some_and(|slot| {
        let queue = slot.queue.get_mut().unwrap_or_else(PoisonError::into_inner);
        queue.advance(now);
        slot.version.receiver_count() == 0 && queue.is_idle(now)
    })
}

#[async_trait]
impl WaitingRoom for MemoryWaitingRoom {
    async fn join(&self, request: JoinRequest) -> Result<Joined, WaitingRoomError> {
        let slot = self.open_slot(request.concert_id)?;
        self.visit(&slot, |queue, now| queue.join(&request, now))
    }

    async fn status(&self, place: &QueuePlace, visit: Visit) -> Result<Recall, WaitingRoomError> {
        if let Some(slot) = self.slot(place.concert_id) {
            return Ok(self.visit(&slot, |queue, now| queue.status(place, visit, now)));
        }
        if self.rules.is_restorable(place, self.clock.now()) {
            return Ok(Recall::Forgotten);
        }
        Ok(expired(place))
    }

    async fn restore(&self, request: RestoreRequest) -> Result<QueueStatus, WaitingRoomError> {
        let slot = self.open_slot(request.place.concert_id)?;
        self.visit(&slot, |queue, now| queue.restore(&request, now))
    }

    async fn leave(&self, place: &QueuePlace) -> Result<(), WaitingRoomError> {
        let may_remember = self.rules.is_restorable(place, self.clock.now());
        if let Some(slot) = self.remembering_slot(place.concert_id, may_remember)? {
            self.visit(&slot, |queue, now| queue.leave(place, now));
        }
        Ok(())
    }

    async fn keep_until(
        &self,
        concert_id: ConcertId,
        account_id: AccountId,
        held_until: Option<Timestamp>,
    ) -> Result<(), WaitingRoomError> {
        if let Some(slot) = self.slot(concert_id) {
            self.visit(&slot, |queue, now| queue.keep_until(account_id, held_until, now));
        }
        Ok(())
    }

    async fn spend(&self, concert_id: ConcertId, account_id: AccountId) -> Result<(), WaitingRoomError> {
        if let Some(slot) = self.remembering_slot(concert_id, self.rules.any_restorable(self.clock.now()))? {
            self.visit(&slot, |queue, now| queue.spend(account_id, now));
        }
        Ok(())
    }

    async fn set_terms(&self, concert_id: ConcertId, terms: QueueTerms) -> Result<(), WaitingRoomError> {
        // If there is no queue, the request that opens it brings the terms.
        if let Some(slot) = self.slot(concert_id) {
            self.visit(&slot, |queue, now| queue.set_terms(terms, now));
        }
        Ok(())
    }

    async fn empty(&self, concert_id: ConcertId) -> Result<u64, WaitingRoomError> {
        let slot = self.remembering_slot(concert_id, self.rules.any_restorable(self.clock.now()))?;
        Ok(slot.map_or(0, |slot| self.visit(&slot, |queue, _| queue.empty())))
    }

    async fn is_empty(&self, concert_id: ConcertId, since: Timestamp) -> Result<bool, WaitingRoomError> {
        let slot = self.slot(concert_id);
        let restores = self.rules.any_restorable(self.clock.now()) && !self.rules.is_ours(since);
        Ok(slot.map_or(!restores, |slot| self.visit(&slot, |queue, _| queue.is_empty(restores))))
    }

    async fn stats(&self, concert_id: ConcertId) -> Result<Option<QueueStats>, WaitingRoomError> {
        Ok(self.slot(concert_id).map(|slot| self.visit(&slot, |queue, now| queue.stats(now))))
    }

    async fn changed(&self, concert_id: ConcertId, seen: u64) -> Result<u64, WaitingRoomError> {
        loop {
            // Subscribed before looking, so that a queue opened in between is not missed.
            let mut opened = self.opened.subscribe();
            // Only the receiver is kept while waiting, not the queue.
            let version = self.slot(concert_id).map(|slot| slot.version.subscribe());
            if let Some(mut version) = version {
                if let Ok(version) = version.wait_for(|version| *version != seen).await {
                    return Ok(*version);
                }
            } else if seen == VERSION_OF_NO_QUEUE {
                // Waiting for a queue must not open one: nothing would bound how many there are. It fails only when the
                // waiting room is dropped, and then there is no waiter.
                let _ = opened.changed().await;
            } else {
                return Ok(VERSION_OF_NO_QUEUE);
            }
        }
    }

    async fn advance(&self) -> Result<Option<Timestamp>, WaitingRoomError> {
        // If nothing is due, a visit is one look at the first ending of the queue.
        let visit = |slot: Arc<Slot>| self.visit(&slot, |queue, _| queue.next_due());
        let due = self.slots().into_iter().filter_map(visit).min();
        let reformed_at = self.rules.reformed_at;
        let reforming = (self.clock.now() < reformed_at).then_some(reformed_at);
        Ok(due.into_iter().chain(reforming).min())
    }

    async fn census(&self, limit: usize) -> Result<Vec<QueueCensus>, WaitingRoomError> {
        let visit = |slot: Arc<Slot>| self.visit(&slot, |queue, _| queue.census());
        let mut queues: Vec<QueueCensus> = self.slots().into_iter().map(visit).collect();
        queues.sort_unstable_by_key(|queue| (std::cmp::Reverse(queue.waiting), queue.concert_id));
        queues.truncate(limit);
        Ok(queues)
    }
}
