//! Whether another instance works with the same database, where each has lines of its own and nobody announces anything.
//!
//! Lines in memory are for one instance. One that is alone knows all that is written, and keeps what it has read for
//! longer; one that is not must not, and says so, because each of the two admits by itself. They find each other by two
//! leases: whoever is first has the one, and whoever comes later shows itself by the other.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use boxoffice_domain::{
    Clock,
    announcements::{Announcements, Topic},
    leases::Leases,
};
use tokio::time::Instant;
use uuid::Uuid;

use crate::workers::Worker;

const FIRST: &str = "first instance";
const FURTHER: &str = "further instance";
/// How often the others are looked for.
const LOOKED_AGAIN: Duration = Duration::from_secs(1);
/// How long a look is trusted, from its beginning.
const TRUSTED: Duration = Duration::from_secs(2);
/// How long the leases are taken for.
const SHOWN_FOR: Duration = Duration::from_secs(5);

/// What is known of others.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    alone_until: Mutex<Option<Instant>>,
}

impl Presence {
    fn set(&self, alone_until: Option<Instant>) {
        *self.alone_until.lock().unwrap_or_else(PoisonError::into_inner) = alone_until;
    }

    fn is_alone(&self) -> bool {
        let alone_until = *self.alone_until.lock().unwrap_or_else(PoisonError::into_inner);
        alone_until.is_some_and(|until| Instant::now() < until)
    }
}

#[async_trait]
impl Announcements for Presence {
    fn has_listeners(&self) -> bool {
        false
    }

    fn hears_all(&self) -> bool {
        self.is_alone()
    }

    fn others_busy_with(&self, _topic: Topic) -> usize {
        0
    }

    fn announce(&self, _topic: Topic, _text: String) {}

    async fn leave(&self) {}
}

/// Looks for others, and lets them see this one.
pub(crate) struct PresenceWatch {
    pub(crate) leases: Arc<dyn Leases>,
    pub(crate) clock: Arc<dyn Clock>,
    /// This instance.
    pub(crate) holder: Uuid,
    pub(crate) presence: Arc<Presence>,
    /// Whether another one was there at the last look.
    pub(crate) others: bool,
}

impl PresenceWatch {
    async fn sees_others(&self) -> anyhow::Result<bool> {
        let now = self.clock.now();
        let until = now + SHOWN_FOR;
        if self.leases.take(FIRST, self.holder, now, until).await? {
            return Ok(self.leases.is_taken_by_another(FURTHER, self.holder, now).await?);
        }
        // Where a third one has it, it shows the first one as much.
        self.leases.take(FURTHER, self.holder, now, until).await?;
        Ok(true)
    }
}

#[async_trait]
impl Worker for PresenceWatch {
    fn name(&self) -> &'static str {
        "presence"
    }

    async fn turn(&mut self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let others = self.sees_others().await?;
        self.presence.set((!others).then_some(began + TRUSTED));
        if others && !self.others {
            tracing::warn!(
                "another instance works with this database, and each has lines of its own and admits by itself: \
                 let them share a Redis (waiting_room)"
            );
        }
        self.others = others;
        Ok(LOOKED_AGAIN)
    }

    async fn end(&mut self) {
        for work in [FIRST, FURTHER] {
            if let Err(error) = self.leases.release(work, self.holder).await {
                // It lapses by itself.
                tracing::debug!(error = &error as &dyn std::error::Error, "a lease could not be let go");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workers::tests::{LeasesInMemory, RuntimeClock};

    struct Instance {
        presence: Arc<Presence>,
        watch: PresenceWatch,
    }

    fn instances() -> [Instance; 3] {
        let leases: Arc<dyn Leases> = Arc::new(LeasesInMemory::default());
        let clock: Arc<dyn Clock> = Arc::new(RuntimeClock::default());
        [1, 2, 3].map(|number| {
            let presence = Arc::new(Presence::default());
            let (leases, clock, holder) = (Arc::clone(&leases), Arc::clone(&clock), Uuid::from_u128(number));
            let watch = PresenceWatch { leases, clock, holder, presence: Arc::clone(&presence), others: false };
            Instance { presence, watch }
        })
    }

    async fn seconds_pass(instances: &mut [Instance], seconds: u32) {
        for _ in 0..seconds {
            tokio::time::advance(Duration::from_secs(1)).await;
            for instance in &mut *instances {
                instance.watch.turn().await.unwrap();
            }
        }
    }

    fn alone(instances: &[Instance]) -> Vec<bool> {
        instances.iter().map(|instance| instance.presence.hears_all()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn an_instance_is_alone_until_another_one_shows_itself() {
        let mut instances = instances();
        assert_eq!(alone(&instances), [false, false, false], "nobody has looked yet");
        seconds_pass(&mut instances[..1], 1).await;
        assert_eq!(alone(&instances), [true, false, false]);
        // The second one is seen by the first with its next look.
        seconds_pass(&mut instances[..2], 2).await;
        assert_eq!(alone(&instances), [false, false, false]);
        seconds_pass(&mut instances, 10).await;
        assert_eq!(alone(&instances), [false, false, false]);
        // One that dies is there until what it has taken lapses; one that stops is gone at once.
        instances[2].watch.end().await;
        seconds_pass(&mut instances[1..2], 7).await;
        assert_eq!(alone(&instances), [false, true, false]);
        instances[1].watch.end().await;
        seconds_pass(&mut instances[2..], 1).await;
        assert_eq!(alone(&instances), [false, true, true], "a look is trusted for a moment");
    }

    #[tokio::test(start_paused = true)]
    async fn an_instance_that_cannot_look_is_soon_not_alone() {
        let mut instances = instances();
        seconds_pass(&mut instances[..1], 1).await;
        tokio::time::advance(TRUSTED / 2).await;
        assert!(instances[0].presence.hears_all());
        tokio::time::advance(TRUSTED / 2).await;
        assert!(!instances[0].presence.hears_all());
    }
}
