//! Sends what is due to webhooks.
//!
//! Each webhook that has something due has a lane, which sends a few requests at once and stores what came of them many at a
//! time. A tick looks which webhooks have something due, and starts and ends lanes.

mod lane;

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use boxoffice_application::WebhookService;
use boxoffice_domain::{
    AccountId, WebhookId,
    webhooks::{DeliveryStatus, Webhook},
};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinHandle,
    time::{Instant, timeout},
};

use super::{Worker, as_gauge};
use lane::Lane;

/// How often it is looked which webhooks have something due.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// How many lanes there are at once.
const LANES_MAX: u32 = 10_000;
/// How many requests are made at once, by all lanes.
const REQUESTS_MAX: usize = 256;
/// How many of them by the lanes of one owner, whose endpoints may all be slow.
const REQUESTS_OF_OWNER_MAX: usize = 64;
/// How often it is measured what is due, and of how many webhooks and deliveries.
const MEASURE_INTERVAL: Duration = Duration::from_secs(10);
const MEASURED_WEBHOOKS_MAX: usize = 100;
const MEASURED_DELIVERIES_MAX: u32 = 10_000;
/// How often old deliveries are removed, and how many in one tick.
const REMOVE_INTERVAL: Duration = Duration::from_mins(1);
const REMOVED_MAX: u32 = 500;
/// How long lanes have to store what came of requests, when the worker ends.
const END_MAX: Duration = Duration::from_secs(5);

/// A lane that runs, and what it knows of its webhook: `None` tells it to end.
struct Running {
    webhook: watch::Sender<Option<Arc<Webhook>>>,
    task: JoinHandle<()>,
}

/// Sends what is due to webhooks, and removes what is old.
pub(crate) struct WebhookWorker {
    webhooks: Arc<WebhookService>,
    kept_days: u32,
    requests: Arc<Semaphore>,
    /// The permits that all lanes of one owner share.
    requests_of: HashMap<AccountId, Arc<Semaphore>>,
    lanes: HashMap<WebhookId, Running>,
    measures_at: Instant,
    removes_at: Instant,
}

impl WebhookWorker {
    pub(crate) fn new(webhooks: Arc<WebhookService>, kept_days: u32) -> Self {
        for status in DeliveryStatus::ALL {
            lane::count(status).absolute(0);
        }
        metrics::counter!("boxoffice_rows_removed_total", "kind" => "webhook_delivery").absolute(0);
        let now = Instant::now();
        let requests = Arc::new(Semaphore::new(REQUESTS_MAX));
        let (requests_of, lanes) = (HashMap::new(), HashMap::new());
        Self { webhooks, kept_days, requests, requests_of, lanes, measures_at: now, removes_at: now }
    }

    /// Starts a lane for each webhook that has something due, and ends those of others: they are turned off or gone, or
    /// everything is sent.
    fn follow(&mut self, due: Vec<Webhook>) {
        self.lanes.retain(|_, lane| !lane.task.is_finished());
        self.requests_of.retain(|_, requests| Arc::strong_count(requests) > 1);
        let mut others: HashMap<_, _> = std::mem::take(&mut self.lanes);
        for webhook in due {
            let (id, webhook) = (webhook.id, Arc::new(webhook));
            let lane = match others.remove(&id) {
                Some(lane) => {
                    lane.webhook.send_replace(Some(webhook));
                    lane
                }
                None => self.start(id, webhook),
            };
            self.lanes.insert(id, lane);
        }
        for (id, lane) in others {
            lane.webhook.send_replace(None);
            // It is still there until it has ended, so that there are no two.
            self.lanes.insert(id, lane);
        }
    }

    fn start(&mut self, id: WebhookId, webhook: Arc<Webhook>) -> Running {
        let of_owner = self.requests_of.entry(webhook.owner_id);
        let of_owner = of_owner.or_insert_with(|| Arc::new(Semaphore::new(REQUESTS_OF_OWNER_MAX)));
        let requests = [Arc::clone(of_owner), Arc::clone(&self.requests)];
        let (sender, receiver) = watch::channel(Some(webhook));
        let lane = Lane::new(id, receiver, Arc::clone(&self.webhooks), requests);
        Running { webhook: sender, task: tokio::spawn(lane.run()) }
    }

    async fn measure(&self) -> anyhow::Result<()> {
        let mut due = 0;
        for id in self.lanes.keys().take(MEASURED_WEBHOOKS_MAX) {
            due += u64::from(self.webhooks.count_due(*id, MEASURED_DELIVERIES_MAX).await?);
        }
        metrics::gauge!("boxoffice_webhook_deliveries_due").set(as_gauge(due));
        metrics::gauge!("boxoffice_webhooks_turned_off").set(as_gauge(self.webhooks.turned_off().await?));
        Ok(())
    }

    /// Tells all lanes to end.
    fn stop(&mut self) {
        for lane in self.lanes.values() {
            lane.webhook.send_replace(None);
        }
    }
}

#[async_trait]
impl Worker for WebhookWorker {
    const NAME: &'static str = "webhooks";

    async fn tick(&mut self) -> anyhow::Result<Duration> {
        let due = self.webhooks.webhooks_due(LANES_MAX).await?;
        self.follow(due);
        if self.measures_at <= Instant::now() {
            self.measure().await?;
            self.measures_at = Instant::now() + MEASURE_INTERVAL;
        }
        if self.removes_at <= Instant::now() {
            let removed = self.webhooks.remove_old(self.kept_days, REMOVED_MAX).await?;
            metrics::counter!("boxoffice_rows_removed_total", "kind" => "webhook_delivery")
                .increment(u64::from(removed));
            // After a full batch there may be more.
            if removed < REMOVED_MAX {
                self.removes_at = Instant::now() + REMOVE_INTERVAL;
            }
        }
        Ok(LOOK_INTERVAL)
    }

    fn is_done_elsewhere(&mut self) {
        self.stop();
        self.lanes.retain(|_, lane| !lane.task.is_finished());
        metrics::gauge!("boxoffice_webhook_deliveries_due").set(0);
        metrics::gauge!("boxoffice_webhooks_turned_off").set(0);
    }

    /// What was being sent is sent again at the next start: nobody knows whether it arrived.
    async fn end(&mut self) {
        self.stop();
        let lanes = self.lanes.drain().map(|(_, lane)| lane.task);
        if timeout(END_MAX, futures::future::join_all(lanes)).await.is_err() {
            tracing::warn!("what came of some webhooks could not be stored in time; they are sent again");
        }
    }
}
