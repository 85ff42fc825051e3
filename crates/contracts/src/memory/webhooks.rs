//! Webhooks, and what became of events that were sent to them.

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, ActError, StorageError, Timestamp, WebhookId,
    page::{Page, PageRequest},
    webhooks::{
        ActiveWebhook, Attempted, CreateWebhookRefusal, Delivery, DeliveryId, DeliveryState, DeliveryStatus,
        DeliveryToSend, NewDelivery, OffReason, SentAgain, WEBHOOKS_PER_ACCOUNT_MAX, Webhook, WebhookChange,
        WebhookDeliveries, WebhookState, Webhooks,
    },
};

use super::{MemoryStore, Rows, page};

/// A delivery with what is sent.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    delivery: Delivery,
    document: String,
}

impl Kept {
    fn is_due(&self, webhook_id: WebhookId, now: Timestamp) -> bool {
        let due = self.delivery.state.next_attempt_at().is_some_and(|at| at <= now);
        self.delivery.webhook_id == webhook_id && due
    }

    fn make_due(&mut self, now: Timestamp) {
        self.delivery.state = DeliveryState::Pending { next_attempt_at: now };
        self.delivery.attempts_count = 0;
    }
}

impl Rows {
    fn active_webhooks(&self) -> impl Iterator<Item = ActiveWebhook> {
        self.webhooks.values().filter(|webhook| webhook.state.is_on()).filter_map(|webhook| {
            let owner = self.accounts.get(&webhook.owner_id)?;
            let is_free = owner.standing.locked_at.is_none() && owner.standing.erased_at.is_none();
            let owner_role = owner.account.role;
            (is_free && owner_role.may_publish()).then(|| ActiveWebhook { webhook: webhook.clone(), owner_role })
        })
    }

    fn due(&self, webhook_id: WebhookId, now: Timestamp) -> Vec<&Kept> {
        let mut due: Vec<_> = self.deliveries.values().filter(|kept| kept.is_due(webhook_id, now)).collect();
        due.sort_by_key(|kept| (kept.delivery.state.next_attempt_at(), kept.delivery.id));
        due
    }
}

#[async_trait]
impl Webhooks for MemoryStore {
    async fn create(&self, webhook: Webhook) -> Result<(), ActError<CreateWebhookRefusal>> {
        let mut rows = self.rows();
        if rows.webhooks.contains_key(&webhook.id) {
            return Ok(());
        }
        let own = rows.webhooks.values().filter(|other| other.owner_id == webhook.owner_id).count();
        if own >= WEBHOOKS_PER_ACCOUNT_MAX as usize {
            return Err(ActError::Refused(CreateWebhookRefusal::TooMany));
        }
        rows.webhooks.insert(webhook.id, webhook);
        Ok(())
    }

    async fn find(&self, id: WebhookId) -> Result<Option<Webhook>, StorageError> {
        Ok(self.rows().webhooks.get(&id).cloned())
    }

    async fn list(
        &self,
        owner_id: Option<AccountId>,
        request: PageRequest<WebhookId>,
    ) -> Result<Page<Webhook, WebhookId>, StorageError> {
        let rows = self.rows();
        let own = rows.webhooks.values().rev().filter(|webhook| owner_id.is_none_or(|id| webhook.owner_id == id));
        Ok(page(own.cloned(), request, |webhook| webhook.id, WebhookId::lt))
    }

    async fn change(
        &self,
        id: WebhookId,
        change: WebhookChange,
        now: Timestamp,
    ) -> Result<Option<Webhook>, StorageError> {
        let mut rows = self.rows();
        let Some(webhook) = rows.webhooks.get_mut(&id) else { return Ok(None) };
        *webhook = change.apply(webhook.clone(), now);
        Ok(Some(webhook.clone()))
    }

    async fn remove(&self, id: WebhookId) -> Result<bool, StorageError> {
        Ok(self.rows().webhooks.remove(&id).is_some())
    }

    async fn active(&self, request: PageRequest<WebhookId>) -> Result<Page<ActiveWebhook, WebhookId>, StorageError> {
        Ok(page(self.rows().active_webhooks(), request, |active| active.webhook.id, WebhookId::gt))
    }

    async fn turned_off(&self) -> Result<u64, StorageError> {
        let failed = |webhook: &&Webhook| {
            matches!(webhook.state, WebhookState::Off { reason: OffReason::Failing | OffReason::Gone, .. })
        };
        Ok(self.rows().webhooks.values().filter(failed).count() as u64)
    }
}

#[async_trait]
impl WebhookDeliveries for MemoryStore {
    async fn add(&self, deliveries: Vec<NewDelivery>, now: Timestamp) -> Result<(), StorageError> {
        let mut rows = self.rows();
        for NewDelivery { id, webhook_id, event } in deliveries {
            let delivery = Delivery {
                id,
                webhook_id,
                event_id: event.id,
                kind: event.kind,
                subject: event.subject,
                concert_id: event.concert_id,
                occurred_at: event.occurred_at,
                state: DeliveryState::Pending { next_attempt_at: now },
                attempts_count: 0,
                last_attempt: None,
            };
            rows.deliveries.entry(id).or_insert(Kept { delivery, document: event.document });
        }
        Ok(())
    }

    async fn webhooks_due(&self, now: Timestamp, limit: u32) -> Result<Vec<Webhook>, StorageError> {
        let rows = self.rows();
        let active = rows.active_webhooks().map(|active| active.webhook);
        Ok(active.filter(|webhook| !rows.due(webhook.id, now).is_empty()).take(limit as usize).collect())
    }

    async fn due(
        &self,
        webhook_id: WebhookId,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<DeliveryToSend>, StorageError> {
        let to_send = |kept: &Kept| DeliveryToSend {
            id: kept.delivery.id,
            event_id: kept.delivery.event_id,
            document: kept.document.clone(),
            attempts_count: kept.delivery.attempts_count,
        };
        Ok(self.rows().due(webhook_id, now).into_iter().take(limit as usize).map(to_send).collect())
    }

    async fn record(
        &self,
        webhook_id: WebhookId,
        attempted: Vec<Attempted>,
    ) -> Result<Option<WebhookState>, StorageError> {
        let mut rows = self.rows();
        let of_webhook = rows.deliveries.values().filter(|kept| kept.delivery.webhook_id == webhook_id);
        let last = of_webhook.filter_map(|kept| Some(kept.delivery.last_attempt.as_ref()?.at)).max();
        for Attempted { id, attempts_before, attempt, state } in &attempted {
            let Some(Kept { delivery, .. }) = rows.deliveries.get_mut(id) else { continue };
            if delivery.state.status() == DeliveryStatus::Pending && delivery.attempts_count == *attempts_before {
                delivery.state = *state;
                delivery.attempts_count += 1;
                delivery.last_attempt = Some(attempt.clone());
            }
        }
        let Some(webhook) = rows.webhooks.get_mut(&webhook_id) else { return Ok(None) };
        let mut times = attempted.iter().map(|attempted| attempted.attempt.at);
        let before = match times.clone().next() {
            Some(first) if times.any(|at| webhook.state.ends_by_failure_at(at)) => {
                webhook.state.after_pause(last, first)
            }
            _ => webhook.state,
        };
        webhook.state = before.after(attempted.iter().map(|attempted| &attempted.attempt));
        Ok(Some(webhook.state))
    }

    async fn find(&self, webhook_id: WebhookId, id: DeliveryId) -> Result<Option<Delivery>, StorageError> {
        let found = self.rows().deliveries.get(&id).map(|kept| kept.delivery.clone());
        Ok(found.filter(|delivery| delivery.webhook_id == webhook_id))
    }

    async fn list(
        &self,
        webhook_id: WebhookId,
        status: Option<DeliveryStatus>,
        request: PageRequest<DeliveryId>,
    ) -> Result<Page<Delivery, DeliveryId>, StorageError> {
        let rows = self.rows();
        let all = rows.deliveries.values().rev().map(|kept| &kept.delivery);
        let own = all.filter(|delivery| delivery.webhook_id == webhook_id);
        let listed = own.filter(|delivery| status.is_none_or(|status| delivery.state.status() == status));
        Ok(page(listed.cloned(), request, |delivery| delivery.id, DeliveryId::lt))
    }

    async fn send_again(
        &self,
        webhook_id: WebhookId,
        id: DeliveryId,
        now: Timestamp,
    ) -> Result<Option<Delivery>, StorageError> {
        let mut rows = self.rows();
        let kept = rows.deliveries.get_mut(&id).filter(|kept| kept.delivery.webhook_id == webhook_id);
        Ok(kept.map(|kept| {
            kept.make_due(now);
            kept.delivery.clone()
        }))
    }

    async fn send_span_again(
        &self,
        webhook_id: WebhookId,
        from: DeliveryId,
        until: DeliveryId,
        now: Timestamp,
        limit: u32,
    ) -> Result<SentAgain, StorageError> {
        let mut rows = self.rows();
        let mut again = SentAgain { count: 0, next: None };
        let span = if from < until { from..until } else { from..from };
        for (id, kept) in rows.deliveries.range_mut(span) {
            if kept.delivery.webhook_id != webhook_id {
                continue;
            }
            if again.count == limit {
                again.next = Some(*id);
                break;
            }
            kept.make_due(now);
            again.count += 1;
        }
        Ok(again)
    }

    async fn count_due(&self, webhook_id: WebhookId, now: Timestamp, limit: u32) -> Result<u32, StorageError> {
        let due = self.rows().due(webhook_id, now).len();
        Ok(u32::try_from(due).unwrap_or(limit).min(limit))
    }

    async fn remove_old(&self, until: DeliveryId, limit: u32) -> Result<u32, StorageError> {
        let mut rows = self.rows();
        let old: Vec<_> = rows.deliveries.range(..until).map(|(id, _)| *id).take(limit as usize).collect();
        for id in &old {
            rows.deliveries.remove(id);
        }
        Ok(u32::try_from(old.len()).unwrap_or(limit))
    }
}
