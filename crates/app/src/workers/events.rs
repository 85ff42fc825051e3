//! What takes events from the outbox to their readers.

use std::{
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use boxoffice_application::{EventReader, EventSequencer};
use boxoffice_domain::{Clock, events::EventLog, page::PageRequest, webhooks::Webhooks as WebhookStore};
use tokio::time::Instant;

use super::Worker;

/// How often it is looked whether there are events: so much later they arrive.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How often it is looked whether somebody reads events at all.
const WANTED_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is looked which sales have opened.
const OPENINGS_INTERVAL: Duration = Duration::from_secs(1);
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

/// Whether somebody reads events. What nobody reads gets no position, and costs nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventsWanted(Arc<AtomicBool>);

impl EventsWanted {
    /// From now on somebody does.
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Gives the events the order in which readers get them.
pub(crate) struct Sequencing {
    pub(crate) sequencer: EventSequencer,
    pub(crate) wanted: EventsWanted,
    /// When it was last looked which sales have opened.
    pub(crate) looked_at: Option<Instant>,
}

impl Sequencing {
    pub(crate) fn new(log: Arc<dyn EventLog>, clock: Arc<dyn Clock>, wanted: EventsWanted) -> Self {
        Self { sequencer: EventSequencer { log, clock }, wanted, looked_at: None }
    }
}

#[async_trait]
impl Worker for Sequencing {
    const NAME: &'static str = "event_sequencer";

    async fn tick(&mut self) -> anyhow::Result<Duration> {
        if !self.wanted.get() {
            return Ok(WANTED_INTERVAL);
        }
        if self.looked_at.is_none_or(|at| at.elapsed() >= OPENINGS_INTERVAL) {
            self.sequencer.note_openings().await?;
            self.looked_at = Some(Instant::now());
        }
        Ok(if self.sequencer.sequence().await? { Duration::ZERO } else { LOOK_INTERVAL })
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
    wanted: EventsWanted,
    is_registered: bool,
}

impl RelayToWebhooks {
    pub(crate) fn new(relay: Relay<Webhooks>, webhooks: Arc<dyn WebhookStore>, wanted: EventsWanted) -> Self {
        Self { relay, webhooks, wanted, is_registered: false }
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
        self.wanted.set();
        Ok(true)
    }
}

#[async_trait]
impl Worker for RelayToWebhooks {
    const NAME: &'static str = Webhooks::WORKER;

    async fn tick(&mut self) -> anyhow::Result<Duration> {
        if self.is_wanted().await? { self.relay.tick().await } else { Ok(WANTED_INTERVAL) }
    }

    fn is_done_elsewhere(&mut self) {
        self.relay.is_done_elsewhere();
    }
}
