//! Peers and leases within one process, for tests.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
};

use async_trait::async_trait;
use boxoffice_domain::{StorageError, Timestamp};
use tokio::sync::broadcast;
use uuid::Uuid;

use crate::{
    Announcement, Peers, Subscription, Topic,
    leases::{Claim, Leases},
};

/// How many announcements wait for a slow subscriber, which gets [`Announcement::Missed`] in place of earlier ones.
const WAITING_MAX: usize = 65_536;

/// The peers of one process, which receive what it publishes.
#[derive(Debug)]
pub struct MemoryPeers {
    sender: broadcast::Sender<Announcement>,
    all_received: AtomicBool,
    busy: AtomicU32,
}

impl Default for MemoryPeers {
    fn default() -> Self {
        let (sender, _) = broadcast::channel(WAITING_MAX);
        Self { sender, all_received: AtomicBool::new(false), busy: AtomicU32::new(0) }
    }
}

impl MemoryPeers {
    /// What the peers receive.
    pub fn subscribe(&self) -> Subscription {
        Subscription(self.sender.subscribe())
    }

    /// Sets whether this process has received all that its peers published; at first it has not.
    pub fn set_all_received(&self, all_received: bool) {
        self.all_received.store(all_received, SeqCst);
    }

    /// Sets how many peers are busy with seats.
    pub fn set_busy_with_seats(&self, count: u32) {
        self.busy.store(count, SeqCst);
    }
}

#[async_trait]
impl Peers for MemoryPeers {
    fn publish(&self, topic: Topic, text: String) {
        // Fails if there is no subscriber.
        let _ = self.sender.send(Announcement::Published { topic, text: text.into() });
    }

    fn are_reachable(&self) -> bool {
        true
    }

    fn all_received(&self) -> bool {
        self.all_received.load(SeqCst)
    }

    fn busy_with(&self, topic: Topic) -> u32 {
        if topic == Topic::Seats { self.busy.load(SeqCst) } else { 0 }
    }
}

/// Leases that are kept in memory.
#[derive(Debug, Default)]
pub struct MemoryLeases(Mutex<HashMap<String, (Uuid, Timestamp)>>);

impl MemoryLeases {
    /// Whether no lease is held.
    pub fn is_empty(&self) -> bool {
        self.locked().is_empty()
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<String, (Uuid, Timestamp)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Leases for MemoryLeases {
    async fn take(&self, claim: Claim<'_>, now: Timestamp, until: Timestamp) -> Result<bool, StorageError> {
        let mut leases = self.locked();
        let free = leases.get(claim.job).is_none_or(|(holder, ends_at)| *holder == claim.holder || *ends_at <= now);
        if free {
            leases.insert(claim.job.to_owned(), (claim.holder, until));
        }
        Ok(free)
    }

    async fn is_held_by_other(&self, claim: Claim<'_>, now: Timestamp) -> Result<bool, StorageError> {
        Ok(self.locked().get(claim.job).is_some_and(|(holder, ends_at)| *holder != claim.holder && now < *ends_at))
    }

    async fn release(&self, claim: Claim<'_>) -> Result<(), StorageError> {
        self.locked().retain(|job, (holder, _)| job != claim.job || *holder != claim.holder);
        Ok(())
    }
}
