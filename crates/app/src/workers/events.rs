//! What takes events from the outbox to their readers.

use std::{marker::PhantomData, sync::Arc, time::Duration};

use async_trait::async_trait;
use boxoffice_application::{EventReader, EventSequencer};
use boxoffice_domain::{Clock, events::EventLog, page::PageRequest, webhooks::Webhooks as WebhookStore};
use tokio::time::Instant;

use super::Worker;

/// How often it is looked whether there are events: so much later they arrive.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How often it is looked whether there is a reader, and which sales have opened.
const LOOK_FOR_READERS_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is counted what a reader has yet to get.
const LAG_INTERVAL: Duration = Duration::from_secs(5);
/// How long a tick goes on while there is something to deliver. A stop waits for it.
const TICK_MAX: Duration = Duration::from_millis(500);

/// A reader of events: what its worker and its place are called.
pub(crate) trait Reader: Send + Sync + 'static {
    /// The name of the worker.
    const WORKER: &'static str;
    /// The name under which the storage keeps how far it is, and its label in metrics.
    const NAME: &'static str;
}

/// The message broker, or the stream of Redis.
pub(crate) enum Broker {}

impl Reader for Broker {
    const WORKER: &'static str = "events_to_broker";
    const NAME: &'static str = "broker";
}

/// What writes to account holders.
pub(crate) enum Mail {}

impl Reader for Mail {
    const WORKER: &'static str = "events_to_mail";
    const NAME: &'static str = "mail";
}

/// The endpoints of webhooks.
pub(crate) enum Webhooks {}

impl Reader for Webhooks {
    const WORKER: &'static str = "events_to_webhooks";
    const NAME: &'static str = "webhooks";
}

/// Gives the events the order in which readers get them, as soon as the storage knows of a reader, whichever instance runs
/// it. What nobody reads gets no position.
pub(crate) struct Sequencing {
    sequencer: EventSequencer,
    /// When it was last looked which sales have opened, and whether there is a reader.
    looked_at: Option<Instant>,
    has_readers: bool,
}

impl Sequencing {
    pub(crate) fn new(log: Arc<dyn EventLog>, clock: Arc<dyn Clock>) -> Self {
        Self { sequencer: EventSequencer { log, clock }, looked_at: None, has_readers: false }
    }
}

#[async_trait]
impl Worker for Sequencing {
    const NAME: &'static str = "event_sequencer";

    async fn tick(&mut self) -> anyhow::Result<Duration> {
        if self.looked_at.is_none_or(|at| at.elapsed() >= LOOK_FOR_READERS_INTERVAL) {
            self.has_readers = self.sequencer.note_openings().await?;
            self.looked_at = Some(Instant::now());
        }
        Ok(match self.has_readers {
            true if self.sequencer.sequence().await? => Duration::ZERO,
            true => LOOK_INTERVAL,
            false => LOOK_FOR_READERS_INTERVAL,
        })
    }
}

/// Takes events to one reader.
pub(crate) struct Relay<R> {
    reader: EventReader,
    clock: Arc<dyn Clock>,
    measured_at: Option<Instant>,
    kind: PhantomData<fn() -> R>,
}

impl<R: Reader> Relay<R> {
    pub(crate) fn new(reader: EventReader, clock: Arc<dyn Clock>) -> Self {
        metrics::counter!("boxoffice_events_delivered_total", "reader" => R::NAME).absolute(0);
        metrics::counter!("boxoffice_event_delivery_failures_total", "reader" => R::NAME).absolute(0);
        Self { reader, clock, measured_at: None, kind: PhantomData }
    }

    /// Counts what the reader has yet to get, now and then.
    async fn measure(&mut self) -> anyhow::Result<()> {
        if self.measured_at.is_some_and(|at| at.elapsed() < LAG_INTERVAL) {
            return Ok(());
        }
        let lag = self.reader.lag().await?;
        let age = lag.oldest_at.map(|at| (self.clock.now() - at).to_std().unwrap_or_default());
        set_lag::<R>(lag.batches, age.unwrap_or_default());
        self.measured_at = Some(Instant::now());
        Ok(())
    }
}

fn set_lag<R: Reader>(batches: u64, age: Duration) {
    metrics::gauge!("boxoffice_event_batches_behind", "reader" => R::NAME).set(super::as_gauge(batches));
    metrics::gauge!("boxoffice_events_behind_seconds", "reader" => R::NAME).set(age.as_secs_f64());
}

#[async_trait]
impl<R: Reader> Worker for Relay<R> {
    const NAME: &'static str = R::WORKER;

    async fn tick(&mut self) -> anyhow::Result<Duration> {
        let until = Instant::now() + TICK_MAX;
        loop {
            self.measure().await?;
            let relayed = match self.reader.step().await {
                Ok(relayed) => relayed,
                Err(error) => {
                    metrics::counter!("boxoffice_event_delivery_failures_total", "reader" => R::NAME).increment(1);
                    return Err(error.into());
                }
            };
            metrics::counter!("boxoffice_events_delivered_total", "reader" => R::NAME).increment(relayed.events);
            if !relayed.has_more {
                return Ok(LOOK_INTERVAL);
            }
            if Instant::now() >= until {
                return Ok(Duration::ZERO);
            }
        }
    }

    fn is_done_elsewhere(&mut self) {
        self.reader.forget();
        self.measured_at = None;
        set_lag::<R>(0, Duration::ZERO);
    }
}

/// Takes events to webhooks, from the first one on that is made. Before, nothing is read, and nothing is kept for it.
pub(crate) struct RelayToWebhooks {
    relay: Relay<Webhooks>,
    webhooks: Arc<dyn WebhookStore>,
    is_registered: bool,
}

impl RelayToWebhooks {
    pub(crate) fn new(relay: Relay<Webhooks>, webhooks: Arc<dyn WebhookStore>) -> Self {
        Self { relay, webhooks, is_registered: false }
    }

    /// Whether there is, or was, a webhook. The first one gets what happened since it was made.
    async fn is_wanted(&mut self) -> anyhow::Result<bool> {
        if !self.is_registered && !self.relay.reader.is_known().await? {
            // They come in the order in which they were made.
            let active = self.webhooks.active(PageRequest::first(1)).await?;
            let Some(first) = active.items.first() else { return Ok(false) };
            self.relay.reader.register(first.webhook.created_at).await?;
        }
        self.is_registered = true;
        Ok(true)
    }
}

#[async_trait]
impl Worker for RelayToWebhooks {
    const NAME: &'static str = Webhooks::WORKER;

    async fn tick(&mut self) -> anyhow::Result<Duration> {
        if self.is_wanted().await? { self.relay.tick().await } else { Ok(LOOK_FOR_READERS_INTERVAL) }
    }

    fn is_done_elsewhere(&mut self) {
        self.relay.is_done_elsewhere();
    }
}

#[cfg(test)]
mod tests {
    use boxoffice_contracts::{memory::MemoryStore, storage::Storage};
    use boxoffice_domain::{
        AccountId,
        accounts::{PasswordChange, PasswordHash},
        fixtures::{TestClock, TestEntropy},
    };

    use super::*;

    /// Another instance may run all readers: then this one knows of them by the storage alone.
    #[tokio::test(start_paused = true)]
    async fn events_get_positions_as_soon_as_any_instance_has_a_reader() {
        let clock = Arc::new(TestClock::new());
        let storage = Storage::of(Arc::new(MemoryStore::new(clock.clone(), Arc::new(TestEntropy))));
        let account = boxoffice_contracts::storage::credentials(clock.now());
        let (account_id, verified): (AccountId, _) = (account.account.id, account.password_hash.clone());
        storage.accounts.create(account).await.unwrap();
        let next = PasswordHash("another".to_owned());
        let kept = boxoffice_domain::SessionId::new(boxoffice_domain::uuid::Uuid::nil());
        storage.accounts.change_password(PasswordChange { account_id, verified, next, kept }).await.unwrap();
        let mut sequencing = Sequencing::new(Arc::clone(&storage.event_log), clock.clone());
        assert_eq!(sequencing.tick().await.unwrap(), LOOK_FOR_READERS_INTERVAL);
        assert_eq!(storage.event_log.batches_after(0, 10).await.unwrap(), [], "nobody reads");

        storage.event_log.reader(Webhooks::NAME, clock.now()).await.unwrap();
        tokio::time::advance(LOOK_FOR_READERS_INTERVAL).await;
        assert_eq!(sequencing.tick().await.unwrap(), LOOK_INTERVAL);
        assert_eq!(storage.event_log.batches_after(0, 10).await.unwrap().len(), 1);
    }
}
