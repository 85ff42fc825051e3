//! What a process does about the other processes of its installation.
//!
//! Several processes may serve one database. They are each other's [`Peers`]: a process publishes what it has changed, so
//! that the caches of its peers do not show what is no longer so, and shares quotas with them. [`Leases`](leases::Leases)
//! let one of them at a time run a job.
//!
//! * [`RedisPeers`](redis::RedisPeers) reaches peers over Redis.
//! * [`Presence`](presence::Presence) only finds out whether there are any.
//! * [`MemoryPeers`] stands for peers in tests.
//! * [`Alone`] is a process that has none.
//!
//! [`SingleFlight`] is how every cache reads: one caller for all that ask at once.

mod announcements;
pub mod leases;
mod memory;
pub mod presence;
#[cfg(feature = "redis")]
pub mod redis;
mod shared_error;
mod single_flight;

use std::{num::NonZeroU32, time::Duration};

use async_trait::async_trait;
use boxoffice_domain::accounts::GuessingRule;
use chrono::TimeDelta;

pub use announcements::{Announcement, Subscription, Topic};
pub use memory::{MemoryLeases, MemoryPeers};
pub use shared_error::SharedError;
pub use single_flight::SingleFlight;

/// The other processes of this installation. Each default is that of a process without peers.
#[async_trait]
pub trait Peers: Send + Sync {
    /// Publishes to all peers, as soon as possible. Neither waits nor fails: what cannot be sent is lost. What the text
    /// says is up to the parts that publish and apply it.
    ///
    /// An announcement may also arrive late or twice. So a cache limits the age of its values besides, and nothing that
    /// decides depends on an announcement.
    fn publish(&self, _topic: Topic, _text: String) {}

    /// Whether anything may receive what is published. If not, there is no need to compose a text.
    fn are_reachable(&self) -> bool {
        false
    }

    /// Whether this process has received everything that was published up to a moment ago. While it has, a cache may
    /// keep its values for longer.
    fn all_received(&self) -> bool {
        true
    }

    /// How many peers have published on this topic within the last second.
    fn busy_with(&self, _topic: Topic) -> u32 {
        0
    }

    /// By how much the clock of a peer is ahead of that of this process: of the one that differs most. `None` if it cannot
    /// be known.
    fn clock_difference(&self) -> Option<TimeDelta> {
        None
    }

    /// Takes one of the `per_minute` that `client` has of `what`, counted over all processes; `None` if they cannot be
    /// counted, so that each process counts its own.
    async fn take_quota(&self, _what: &str, _client: &str, _per_minute: NonZeroU32) -> Option<Quota> {
        None
    }

    /// Counts an attempt of `who` at `what` over all processes, as [`Attempts`](boxoffice_domain::accounts::Attempts) does;
    /// if it may not be made yet, gives in how many seconds one may be. `None` if attempts cannot be counted, so that each
    /// process counts its own.
    async fn count_attempt(&self, _what: &str, _who: &str, _rule: GuessingRule) -> Option<Result<(), u64>> {
        None
    }

    /// Forgets the attempts that [`Self::count_attempt`] counted, since one has succeeded.
    async fn forget_attempts(&self, _what: &str, _who: &str) {}

    /// Publishes that this process publishes nothing more, so that its peers do not wait for it.
    async fn leave(&self) {}
}

/// A process that has no peers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Peers for Alone {}

/// What is left of a quota after an attempt to take one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Whether one was taken.
    pub taken: bool,
    /// How many are left.
    pub remaining: u32,
    /// In how long all are there again; if none was taken, in how long one is.
    pub until: Duration,
}
