//! Which webhooks get an event.

use std::{collections::BTreeMap, sync::Arc};

use boxoffice_domain::{
    AccountId, Clock, ConcertId, StorageError,
    accounts::Role,
    async_trait,
    catalog::Catalog,
    event_delivery::{EventSink, EventSinkError, PublishedEvent},
    page::{PAGE_ITEMS_MAX, PageRequest},
    webhooks::{ActiveWebhook, NewDelivery, WebhookDeliveries, Webhooks},
};

use super::delivery_id;

/// How many deliveries one transaction adds.
const ADDED_AT_ONCE: usize = 1_000;

/// Takes events from the outbox, and notes for each webhook that wants it that it is to be sent. An event that is handed over
/// again is sent once.
pub struct WebhookFanOut {
    pub webhooks: Arc<dyn Webhooks>,
    pub deliveries: Arc<dyn WebhookDeliveries>,
    pub catalog: Arc<dyn Catalog>,
    pub clock: Arc<dyn Clock>,
}

impl WebhookFanOut {
    async fn active(&self) -> Result<Vec<ActiveWebhook>, StorageError> {
        let (mut active, mut request) = (Vec::new(), PageRequest::first(PAGE_ITEMS_MAX));
        loop {
            let page = self.webhooks.active(request).await?;
            active.extend(page.items);
            let Some(after) = page.next else { return Ok(active) };
            request = PageRequest { limit: PAGE_ITEMS_MAX, after: Some(after) };
        }
    }

    /// The promoters of the concerts of these events, which only webhooks of promoters need.
    async fn promoters(
        &self,
        events: &[PublishedEvent],
        active: &[ActiveWebhook],
    ) -> Result<BTreeMap<ConcertId, AccountId>, StorageError> {
        let mut promoters = BTreeMap::new();
        if active.iter().all(|active| active.owner_role != Role::Promoter) {
            return Ok(promoters);
        }
        let mut concerts: Vec<_> = events.iter().filter_map(|event| event.concert_id).collect();
        concerts.sort_unstable();
        concerts.dedup();
        for id in concerts {
            let summary = self.catalog.concert(id).await?;
            let promoter_id = summary.and_then(|summary| summary.concert.promoter_id);
            promoters.extend(promoter_id.map(|promoter_id| (id, promoter_id)));
        }
        Ok(promoters)
    }

    async fn add(&self, events: &[PublishedEvent]) -> Result<(), StorageError> {
        let active = if events.is_empty() { Vec::new() } else { self.active().await? };
        if active.is_empty() {
            return Ok(());
        }
        let (promoters, now) = (self.promoters(events, &active).await?, self.clock.now());
        let mut new = Vec::new();
        for event in events {
            let promoter_id = event.concert_id.and_then(|id| promoters.get(&id).copied());
            for webhook in active.iter().filter(|active| active.wants(event, promoter_id)).map(|active| &active.webhook)
            {
                let id = delivery_id(webhook.id, event.id, event.occurred_at);
                new.push(NewDelivery { id, webhook_id: webhook.id, event: event.clone() });
                if new.len() >= ADDED_AT_ONCE {
                    self.deliveries.add(std::mem::take(&mut new), now).await?;
                }
            }
        }
        self.deliveries.add(new, now).await
    }
}

#[async_trait]
impl EventSink for WebhookFanOut {
    async fn deliver(&self, events: &[PublishedEvent]) -> Result<(), EventSinkError> {
        self.add(events).await.map_err(|error| EventSinkError::Unavailable(error.into()))
    }
}
