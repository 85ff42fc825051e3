//! Webhooks: who may have which, and what is sent to them.

mod fan_out;
mod sending;

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use boxoffice_domain::{
    AccountId, ActError, Clock, EntropySource, StorageError, Timestamp, WebhookId,
    accounts::Role,
    event_delivery::PublishedEvent,
    page::{Page, PageRequest},
    webhooks::{
        CreateWebhookRefusal, Delivery, DeliveryId, DeliveryStatus, EventKinds, NewDelivery, Webhook, WebhookChange,
        WebhookDeliveries, WebhookSecret, WebhookSecrets, WebhookState, WebhookTransport, WebhookUrlRefusal, Webhooks,
    },
};
use chrono::TimeDelta;
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub use fan_out::WebhookFanOut;

use crate::{
    Identity,
    published_events::{digest_bytes, document},
};

/// The most deliveries that one call sends again.
pub const SENT_AGAIN_MAX: u32 = 10_000;
/// The longest span of which deliveries are sent again.
pub const SPAN_DAYS_MAX: i64 = 31;
/// The kind of a test event.
pub const TEST_KIND: &str = "webhook.test";

/// Makes webhooks, and shows what became of what was sent to them. Promoters have their own; admins see those of everyone.
pub struct WebhookService {
    pub webhooks: Arc<dyn Webhooks>,
    pub deliveries: Arc<dyn WebhookDeliveries>,
    pub transport: Arc<dyn WebhookTransport>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn EntropySource>,
}

/// Why something was not done with a webhook.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("the account may have no webhooks")]
    Forbidden,
    /// There is none that the caller may see.
    #[error("there is no such webhook")]
    NotFound,
    #[error("there is no such delivery")]
    DeliveryNotFound,
    #[error("the account has too many webhooks")]
    TooMany,
    #[error("the webhook is turned off")]
    Off,
    #[error("the URL is not accepted: it {0}")]
    Url(#[from] WebhookUrlRefusal),
    /// It is longer than [`SPAN_DAYS_MAX`], or ends before it begins.
    #[error("the span is empty or too long")]
    Span,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A webhook with a secret that is shown this once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WithSecret {
    pub webhook: Webhook,
    pub secret: Shown,
}

/// A secret as its owner enters it into the receiving program.
#[derive(Clone, PartialEq, Eq)]
pub struct Shown(pub String);

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shown(…)")
    }
}

impl Shown {
    fn new(secret: &WebhookSecret) -> Self {
        Self(format!("whsec_{}", STANDARD.encode(secret.expose())))
    }
}

/// What is asked to be changed of a webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeWebhook {
    pub url: Option<String>,
    pub kinds: Option<EventKinds>,
    /// Turns it on or off.
    pub on: Option<bool>,
}

/// How many deliveries were sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanSentAgain {
    pub count: u32,
    /// From when on events were left out, if there were too many for one call.
    pub next_from: Option<Timestamp>,
}

impl WebhookService {
    /// Makes a webhook of the caller, with a new secret.
    pub async fn create(&self, identity: Identity, url: &str, kinds: EventKinds) -> Result<WithSecret, WebhookError> {
        may_have_webhooks(identity)?;
        let secret = WebhookSecret::new(self.entropy.secret());
        let webhook = Webhook {
            id: WebhookId::new(self.entropy.uuid()),
            owner_id: identity.account_id,
            url: self.transport.check(url)?,
            kinds,
            state: WebhookState::WORKING,
            secrets: WebhookSecrets::first(secret),
            created_at: self.clock.now(),
        };
        match self.webhooks.create(webhook.clone()).await {
            Ok(()) => Ok(WithSecret { webhook, secret: Shown::new(&secret) }),
            Err(ActError::Refused(CreateWebhookRefusal::TooMany)) => Err(WebhookError::TooMany),
            Err(ActError::Storage(error)) => Err(error.into()),
        }
    }

    /// The webhooks of the caller, or for an admin of everyone; the newest first.
    pub async fn list(
        &self,
        identity: Identity,
        page: PageRequest<WebhookId>,
    ) -> Result<Page<Webhook, WebhookId>, WebhookError> {
        may_have_webhooks(identity)?;
        let owner_id: Option<AccountId> = (identity.role != Role::Admin).then_some(identity.account_id);
        Ok(self.webhooks.list(owner_id, page).await?)
    }

    /// The webhooks of one account, newest first, whatever its role is by now.
    pub async fn of_account(
        &self,
        account_id: AccountId,
        page: PageRequest<WebhookId>,
    ) -> Result<Page<Webhook, WebhookId>, StorageError> {
        self.webhooks.list(Some(account_id), page).await
    }

    /// A webhook that the caller may see.
    pub async fn find(&self, identity: Identity, id: WebhookId) -> Result<Webhook, WebhookError> {
        may_have_webhooks(identity)?;
        let found = self.webhooks.find(id).await?;
        let may_see = |webhook: &Webhook| identity.role == Role::Admin || webhook.owner_id == identity.account_id;
        found.filter(may_see).ok_or(WebhookError::NotFound)
    }

    /// Changes a webhook as far as is asked.
    pub async fn change(
        &self,
        identity: Identity,
        id: WebhookId,
        change: ChangeWebhook,
    ) -> Result<Webhook, WebhookError> {
        self.find(identity, id).await?;
        let ChangeWebhook { url, kinds, on } = change;
        let url = url.map(|url| self.transport.check(&url)).transpose()?;
        let change = WebhookChange { url, kinds, on, secret: None };
        self.webhooks.change(id, change, self.clock.now()).await?.ok_or(WebhookError::NotFound)
    }

    /// Removes a webhook. Nothing more is sent to it.
    pub async fn remove(&self, identity: Identity, id: WebhookId) -> Result<(), WebhookError> {
        self.find(identity, id).await?;
        if self.webhooks.remove(id).await? { Ok(()) } else { Err(WebhookError::NotFound) }
    }

    /// Gives a webhook another secret. The former one signs along for a day.
    pub async fn rotate_secret(&self, identity: Identity, id: WebhookId) -> Result<WithSecret, WebhookError> {
        self.find(identity, id).await?;
        let secret = WebhookSecret::new(self.entropy.secret());
        let change = WebhookChange { secret: Some(secret), ..WebhookChange::default() };
        let webhook = self.webhooks.change(id, change, self.clock.now()).await?.ok_or(WebhookError::NotFound)?;
        Ok(WithSecret { webhook, secret: Shown::new(&secret) })
    }

    /// Has an event sent that says nothing, whichever kinds the webhook gets.
    pub async fn send_test(&self, identity: Identity, id: WebhookId) -> Result<Delivery, WebhookError> {
        let webhook = self.find(identity, id).await?;
        if !webhook.state.is_on() {
            return Err(WebhookError::Off);
        }
        let (event_id, now) = (self.entropy.uuid(), self.clock.now());
        let event = PublishedEvent {
            id: event_id,
            kind: TEST_KIND.to_owned(),
            subject: id.uuid(),
            concert_id: None,
            occurred_at: now,
            document: document(event_id, TEST_KIND, id.uuid(), None, now, &json!({})),
        };
        let new = NewDelivery { id: delivery_id(id, event_id, now), webhook_id: id, event };
        let delivery_id = new.id;
        self.deliveries.add(vec![new], now).await?;
        self.deliveries.find(id, delivery_id).await?.ok_or(WebhookError::NotFound)
    }

    /// What became of events that were sent to a webhook, the newest first; with `status` only those of it.
    pub async fn deliveries(
        &self,
        identity: Identity,
        id: WebhookId,
        status: Option<DeliveryStatus>,
        page: PageRequest<DeliveryId>,
    ) -> Result<Page<Delivery, DeliveryId>, WebhookError> {
        self.find(identity, id).await?;
        Ok(self.deliveries.list(id, status, page).await?)
    }

    /// Has one event sent again, whatever became of it.
    pub async fn send_again(
        &self,
        identity: Identity,
        id: WebhookId,
        delivery_id: DeliveryId,
    ) -> Result<Delivery, WebhookError> {
        self.find(identity, id).await?;
        let again = self.deliveries.send_again(id, delivery_id, self.clock.now()).await?;
        again.ok_or(WebhookError::DeliveryNotFound)
    }

    /// The same for all events from `from` until before `until`, the oldest first, at most [`SENT_AGAIN_MAX`]. Instants count
    /// in whole milliseconds.
    pub async fn send_span_again(
        &self,
        identity: Identity,
        id: WebhookId,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<SpanSentAgain, WebhookError> {
        self.find(identity, id).await?;
        if until <= from || until - from > TimeDelta::days(SPAN_DAYS_MAX) {
            return Err(WebhookError::Span);
        }
        let [from, until] = [from, until].map(DeliveryId::first_at);
        let now = self.clock.now();
        let again = self.deliveries.send_span_again(id, from, until, now, SENT_AGAIN_MAX).await?;
        Ok(SpanSentAgain { count: again.count, next_from: again.next.map(DeliveryId::occurred_at) })
    }
}

fn may_have_webhooks(identity: Identity) -> Result<(), WebhookError> {
    if identity.role.may_publish() { Ok(()) } else { Err(WebhookError::Forbidden) }
}

/// The same each time the event is handed over for the webhook.
fn delivery_id(webhook_id: WebhookId, event_id: Uuid, occurred_at: Timestamp) -> DeliveryId {
    let digest = Sha256::new().chain_update(webhook_id.uuid().as_bytes()).chain_update(event_id.as_bytes());
    DeliveryId::of_digest(occurred_at, digest_bytes(digest))
}
