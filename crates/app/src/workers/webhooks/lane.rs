//! What is due to one webhook.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use boxoffice_application::WebhookService;
use boxoffice_domain::{
    StorageError, WebhookId,
    webhooks::{Attempted, DeliveryId, DeliveryStatus, DeliveryToSend, OffReason, Webhook, WebhookState},
};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// How many requests are made at once to one endpoint, at the beginning and at most.
const REQUESTS_FIRST: usize = 2;
const REQUESTS_MAX: usize = 16;
/// An endpoint that takes longer than this to answer gets fewer requests at once, so that slow endpoints leave room to others.
const SLOW_MILLISECONDS: u32 = 2_000;
/// How many deliveries are read at once.
const READ_MAX: usize = 256;
/// What came of requests is stored when there is so much of it, or after so long.
const STORED_MAX: usize = 128;
const STORE_INTERVAL: Duration = Duration::from_millis(250);

/// Counts attempts by what a delivery is after them; one that is to be sent again has failed.
pub(super) fn count(status: DeliveryStatus) -> metrics::Counter {
    let outcome = match status {
        DeliveryStatus::Pending => "failed",
        DeliveryStatus::Delivered => "delivered",
        DeliveryStatus::GivenUp => "given_up",
    };
    metrics::counter!("boxoffice_webhook_deliveries_total", "outcome" => outcome)
}

/// Sends what is due to one webhook, until nothing is.
pub(super) struct Lane {
    id: WebhookId,
    /// `None` if it is to end.
    webhook: watch::Receiver<Option<Arc<Webhook>>>,
    webhooks: Arc<WebhookService>,
    /// Those of all lanes of the owner, and those of all lanes.
    requests: [Arc<Semaphore>; 2],
    requests_max: usize,
    waiting: VecDeque<DeliveryToSend>,
    sending: JoinSet<Attempted>,
    done: Vec<Attempted>,
    store_at: Instant,
    /// What was read and is not stored yet: the storage still has it as due.
    read: HashSet<DeliveryId>,
    /// Whether the last reading found nothing else.
    is_all_read: bool,
    /// Whether the webhook was turned off or removed meanwhile.
    is_off: bool,
}

impl Lane {
    pub(super) fn new(
        id: WebhookId,
        webhook: watch::Receiver<Option<Arc<Webhook>>>,
        webhooks: Arc<WebhookService>,
        requests: [Arc<Semaphore>; 2],
    ) -> Self {
        Self {
            id,
            webhook,
            webhooks,
            requests,
            requests_max: REQUESTS_FIRST,
            waiting: VecDeque::new(),
            sending: JoinSet::new(),
            done: Vec::new(),
            store_at: Instant::now(),
            read: HashSet::new(),
            is_all_read: false,
            is_off: false,
        }
    }

    /// Runs until nothing is due, or the worker ends it. Requests that are under way then are dropped.
    pub(super) async fn run(mut self) {
        let ran = self.send_all().await;
        self.sending.abort_all();
        let stored = if ran.is_ok() { self.store().await } else { ran };
        if let Err(error) = stored {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(webhook_id = %self.id, error, "what came of a webhook cannot be stored; it is sent again");
        }
    }

    async fn send_all(&mut self) -> Result<(), StorageError> {
        loop {
            let Some(webhook) = self.webhook.borrow_and_update().clone() else { return Ok(()) };
            if self.waiting.len() < self.requests_max && !self.is_all_read && !self.is_off {
                self.read().await?;
            }
            while self.sending.len() < self.requests_max
                && let Some(delivery) = self.waiting.pop_front()
            {
                self.send(&webhook, delivery);
            }
            if self.sending.is_empty() && self.done.is_empty() {
                return Ok(());
            }
            tokio::select! {
                biased;
                changed = self.webhook.changed() => if changed.is_err() { return Ok(()) },
                Some(attempted) = self.sending.join_next() => match attempted {
                    Ok(attempted) => self.note(attempted),
                    // It is read again when the lane starts again.
                    Err(error) => tracing::error!(webhook_id = %self.id, %error, "sending a webhook panicked"),
                },
                () = sleep_until(self.store_at), if !self.done.is_empty() => self.store().await?,
            }
            if self.done.len() >= STORED_MAX || self.sending.is_empty() {
                self.store().await?;
            }
        }
    }

    async fn read(&mut self) -> Result<(), StorageError> {
        let limit = READ_MAX + self.read.len();
        let due = self.webhooks.due(self.id, u32::try_from(limit).unwrap_or(u32::MAX)).await?;
        self.is_all_read = due.len() < limit;
        let new = due.into_iter().filter(|delivery| self.read.insert(delivery.id));
        self.waiting.extend(new);
        Ok(())
    }

    fn send(&mut self, webhook: &Arc<Webhook>, delivery: DeliveryToSend) {
        let (webhooks, requests, webhook) = (Arc::clone(&self.webhooks), self.requests.clone(), Arc::clone(webhook));
        self.sending.spawn(async move {
            let [of_owner, of_all] = requests;
            // They are never closed. Who waits for a permit of the owner keeps none of those that all share.
            let _permits = (of_owner.acquire_owned().await, of_all.acquire_owned().await);
            webhooks.attempt(&webhook, &delivery).await
        });
    }

    fn note(&mut self, attempted: Attempted) {
        let is_slow = attempted.attempt.milliseconds > SLOW_MILLISECONDS;
        self.requests_max =
            if is_slow { (self.requests_max / 2).max(1) } else { (self.requests_max * 2).min(REQUESTS_MAX) };
        count(attempted.state.status()).increment(1);
        if self.done.is_empty() {
            self.store_at = Instant::now() + STORE_INTERVAL;
        }
        self.done.push(attempted);
    }

    /// Stores what came of requests, and looks for more afterwards.
    async fn store(&mut self) -> Result<(), StorageError> {
        if self.done.is_empty() {
            return Ok(());
        }
        let done = std::mem::take(&mut self.done);
        let ids: Vec<_> = done.iter().map(|attempted| attempted.id).collect();
        let state = self.webhooks.record(self.id, done).await?;
        for id in &ids {
            self.read.remove(id);
        }
        self.is_all_read = false;
        if state.is_none_or(|state| !state.is_on()) {
            if let Some(WebhookState::Off { reason: reason @ (OffReason::Failing | OffReason::Gone), .. }) = state
                && !self.is_off
            {
                tracing::warn!(webhook_id = %self.id, reason = reason.as_str(), "a webhook was turned off");
            }
            self.is_off = true;
            self.waiting.clear();
        }
        Ok(())
    }
}
