//! Sending what is due.

use boxoffice_domain::{
    StorageError, WebhookId,
    webhooks::{Attempt, Attempted, DeliveryId, DeliveryState, DeliveryToSend, Webhook, WebhookState},
};
use chrono::TimeDelta;

use super::WebhookService;

impl WebhookService {
    /// The webhooks that have something to be sent now, at most `limit`.
    pub async fn webhooks_due(&self, limit: u32) -> Result<Vec<Webhook>, StorageError> {
        self.deliveries.webhooks_due(self.clock.now(), limit).await
    }

    /// What is to be sent to a webhook now, those first that have been due longest.
    pub async fn due(&self, id: WebhookId, limit: u32) -> Result<Vec<DeliveryToSend>, StorageError> {
        self.deliveries.due(id, self.clock.now(), limit).await
    }

    /// How many deliveries of a webhook are to be sent now, counted up to `limit`.
    pub async fn count_due(&self, id: WebhookId, limit: u32) -> Result<u32, StorageError> {
        self.deliveries.count_due(id, self.clock.now(), limit).await
    }

    /// Sends a delivery once, and says what it is then. Nothing is stored.
    pub async fn attempt(&self, webhook: &Webhook, delivery: &DeliveryToSend) -> Attempted {
        let at = self.clock.now();
        let outcome = self.transport.send(webhook, delivery, at).await;
        let took = (self.clock.now() - at).num_milliseconds();
        let attempt = Attempt { at, outcome, milliseconds: u32::try_from(took).unwrap_or(0) };
        let [one, two, three, four, ..] = self.entropy.secret();
        let random = u32::from_be_bytes([one, two, three, four]);
        let state = DeliveryState::after(&attempt, delivery.attempts_count + 1, random);
        Attempted { id: delivery.id, attempts_before: delivery.attempts_count, attempt, state }
    }

    /// Stores what came of attempts, and returns what the webhook is then; `None` if it is gone.
    pub async fn record(
        &self,
        id: WebhookId,
        mut attempted: Vec<Attempted>,
    ) -> Result<Option<WebhookState>, StorageError> {
        attempted.sort_by_key(|attempted| attempted.attempt.at);
        self.deliveries.record(id, attempted).await
    }

    /// How many webhooks were turned off since they failed or are gone.
    pub async fn turned_off(&self) -> Result<u64, StorageError> {
        self.webhooks.turned_off().await
    }

    /// Removes deliveries of events that are so many days old, at most `limit`, and says how many.
    pub async fn remove_old(&self, days: u32, limit: u32) -> Result<u32, StorageError> {
        let until = self.clock.now() - TimeDelta::days(i64::from(days));
        self.deliveries.remove_old(DeliveryId::first_at(until), limit).await
    }
}
