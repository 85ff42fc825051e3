//! Whether another instance works with the same database, if nothing connects the two.
//!
//! Queues in memory are for one instance. An instance that has no peers knows all that is written, and may keep what it
//! has read for longer. If it has any, it must not, and has to warn, because each of them admits by itself. They find
//! each other by two leases: the first instance holds one, and a further one shows itself by the other.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use boxoffice_domain::{Clock, StorageError};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    Peers,
    leases::{self, Claim, Leases},
};

const FIRST: &str = "first instance";
const FURTHER: &str = "further instance";
/// How long the result of a look counts, from its beginning.
const TRUSTED: Duration = Duration::from_secs(2);
/// How long the leases are taken for.
const SHOWN_FOR: Duration = Duration::from_secs(5);

/// Peers that cannot be reached, but may be there.
pub struct Presence {
    leases: Arc<dyn Leases>,
    clock: Arc<dyn Clock>,
    holder: Uuid,
    alone_until: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for Presence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Presence").field("holder", &self.holder).finish_non_exhaustive()
    }
}

impl Presence {
    /// The presence of the instance `holder`.
    pub fn new(leases: Arc<dyn Leases>, clock: Arc<dyn Clock>, holder: Uuid) -> Self {
        Self { leases, clock, holder, alone_until: Mutex::default() }
    }

    fn claim(&self, job: &'static str) -> Claim<'static> {
        Claim { job, holder: self.holder }
    }

    /// Looks whether there are peers, and shows them this instance.
    pub async fn look(&self) -> Result<bool, StorageError> {
        let began = Instant::now();
        let has_peers = self.finds_peers().await?;
        let alone_until = (!has_peers).then_some(began + TRUSTED);
        *self.alone_until.lock().unwrap_or_else(PoisonError::into_inner) = alone_until;
        Ok(has_peers)
    }

    async fn finds_peers(&self) -> Result<bool, StorageError> {
        let now = self.clock.now();
        let until = now + SHOWN_FOR;
        if self.leases.take(self.claim(FIRST), now, until).await? {
            return self.leases.is_held_by_other(self.claim(FURTHER), now).await;
        }
        // A third instance that holds it shows the first one as much.
        self.leases.take(self.claim(FURTHER), now, until).await?;
        Ok(true)
    }

    /// Ends the presence of this instance.
    pub async fn end(&self) {
        for job in [FIRST, FURTHER] {
            leases::release(self.leases.as_ref(), self.claim(job)).await;
        }
    }
}

#[async_trait]
impl Peers for Presence {
    fn all_received(&self) -> bool {
        let alone_until = *self.alone_until.lock().unwrap_or_else(PoisonError::into_inner);
        alone_until.is_some_and(|until| Instant::now() < until)
    }
}

#[cfg(test)]
mod tests {
    use boxoffice_domain::fixtures::TestClock;

    use super::*;
    use crate::MemoryLeases;

    fn instances() -> ([Presence; 3], Arc<TestClock>) {
        let (leases, clock) = (Arc::new(MemoryLeases::default()), Arc::new(TestClock::new()));
        let instance = |number| Presence::new(leases.clone(), clock.clone(), Uuid::from_u128(number));
        ([1, 2, 3].map(instance), clock)
    }

    async fn seconds_pass(clock: &TestClock, instances: &[Presence], seconds: u32) {
        for _ in 0..seconds {
            tokio::time::advance(Duration::from_secs(1)).await;
            clock.advance_seconds(1);
            for instance in instances {
                instance.look().await.unwrap();
            }
        }
    }

    fn alone(instances: &[Presence]) -> Vec<bool> {
        instances.iter().map(Presence::all_received).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn an_instance_is_alone_until_another_one_shows_itself() {
        let (instances, clock) = instances();
        assert_eq!(alone(&instances), [false, false, false], "no instance has looked yet");
        seconds_pass(&clock, &instances[..1], 1).await;
        assert_eq!(alone(&instances), [true, false, false]);
        // The second one is seen by the first with its next look.
        seconds_pass(&clock, &instances[..2], 2).await;
        assert_eq!(alone(&instances), [false, false, false]);
        seconds_pass(&clock, &instances, 10).await;
        assert_eq!(alone(&instances), [false, false, false]);
        // An instance that dies is there until its leases end; one that stops is gone at once.
        instances[2].end().await;
        seconds_pass(&clock, &instances[1..2], 7).await;
        assert_eq!(alone(&instances), [false, true, false]);
        instances[1].end().await;
        seconds_pass(&clock, &instances[2..], 1).await;
        assert_eq!(alone(&instances), [false, true, true], "a look counts for a moment");
    }

    #[tokio::test(start_paused = true)]
    async fn an_instance_that_cannot_look_is_soon_not_alone() {
        let ([instance, ..], clock) = instances();
        seconds_pass(&clock, std::slice::from_ref(&instance), 1).await;
        tokio::time::advance(TRUSTED / 2).await;
        assert!(instance.all_received());
        tokio::time::advance(TRUSTED / 2).await;
        assert!(!instance.all_received());
    }
}
