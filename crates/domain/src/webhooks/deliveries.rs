//! What became of each event that was sent to a webhook.

use async_trait::async_trait;
#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Webhook, WebhookState, retry_delay};
use crate::{
    ConcertId, StorageError, Timestamp, WebhookId,
    event_delivery::PublishedEvent,
    page::{Page, PageRequest},
};

/// The most bytes that are kept of what an endpoint answers.
pub const ANSWER_BYTES_MAX: usize = 1_024;

/// Names the delivery of one event to one webhook. Ids sort by the time of the event, and are the same each time the event
/// is handed over, so that there is one delivery however often that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct DeliveryId(Uuid);

impl DeliveryId {
    /// Takes a UUID for the id of a delivery.
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The id of the delivery of an event of this time, with a digest of its webhook and its event.
    pub fn of_digest(occurred_at: Timestamp, mut digest: [u8; 16]) -> Self {
        digest[..6].copy_from_slice(&Self::beginning(occurred_at));
        Self(uuid::Builder::from_custom_bytes(digest).into_uuid())
    }

    /// Sorts before all deliveries of events of this millisecond, and after those of the one before.
    pub fn first_at(occurred_at: Timestamp) -> Self {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&Self::beginning(occurred_at));
        Self(Uuid::from_bytes(bytes))
    }

    fn beginning(at: Timestamp) -> [u8; 6] {
        let milliseconds = u64::try_from(at.timestamp_millis()).unwrap_or(0).to_be_bytes();
        let [_, _, beginning @ ..] = milliseconds;
        beginning
    }

    /// The time of the event, in whole milliseconds.
    pub fn occurred_at(self) -> Timestamp {
        let bytes = self.0.as_bytes();
        let milliseconds = bytes[..6].iter().fold(0_i64, |sum, byte| sum << 8 | i64::from(*byte));
        Timestamp::from_timestamp_millis(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// The UUID itself.
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl std::str::FromStr for DeliveryId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

impl From<Uuid> for DeliveryId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

/// An event that is to be sent to a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named after the entities they come from")]
pub struct NewDelivery {
    pub id: DeliveryId,
    pub webhook_id: WebhookId,
    pub event: PublishedEvent,
}

/// How a delivery is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeliveryStatus {
    /// It is to be sent, for the first time or again.
    Pending,
    /// The endpoint has accepted it.
    Delivered,
    /// All attempts have failed.
    GivenUp,
}

impl DeliveryStatus {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Delivered, Self::GivenUp];

    /// Its name, as stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::GivenUp => "given_up",
        }
    }
}

/// Whether a delivery is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// It is to be sent.
    Pending {
        /// When.
        next_attempt_at: Timestamp,
    },
    /// The endpoint has accepted it.
    Delivered,
    /// All attempts have failed.
    GivenUp,
}

impl DeliveryState {
    /// How it is shown.
    pub fn status(self) -> DeliveryStatus {
        match self {
            Self::Pending { .. } => DeliveryStatus::Pending,
            Self::Delivered => DeliveryStatus::Delivered,
            Self::GivenUp => DeliveryStatus::GivenUp,
        }
    }

    /// When it is sent next.
    pub fn next_attempt_at(self) -> Option<Timestamp> {
        match self {
            Self::Pending { next_attempt_at } => Some(next_attempt_at),
            Self::Delivered | Self::GivenUp => None,
        }
    }

    /// After an attempt, of which so many were made with it. `random` spreads what failed together.
    pub fn after(attempt: &Attempt, attempts_count: u32, random: u32) -> Self {
        if attempt.outcome.is_success() {
            return Self::Delivered;
        }
        match retry_delay(attempts_count, random) {
            Some(delay) => Self::Pending { next_attempt_at: attempt.at + delay },
            None => Self::GivenUp,
        }
    }
}

/// What came of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The endpoint answered.
    Answered {
        /// Its status. Only 2xx accepts the event.
        status: u16,
        /// At most [`ANSWER_BYTES_MAX`] of its body, without what is no text.
        beginning: String,
    },
    /// There was no answer that counts.
    Failed {
        /// Why, as a word: `timed_out`, `unknown_host`, `refused_address`, `no_connection`, `tls`, `invalid_url`,
        /// `not_http`.
        reason: &'static str,
    },
}

impl AttemptOutcome {
    /// The words of [`Self::Failed`].
    pub const REASONS: [&str; 7] =
        ["timed_out", "unknown_host", "refused_address", "no_connection", "tls", "invalid_url", "not_http"];

    /// Whether the endpoint has accepted the event.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Answered { status: 200..=299, .. })
    }

    /// Whether the endpoint wants no more events.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Answered { status: 410, .. })
    }
}

/// One request to an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When it began.
    pub at: Timestamp,
    /// What came of it.
    pub outcome: AttemptOutcome,
    /// How long it took.
    pub milliseconds: u32,
}

/// The delivery of an event to a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct Delivery {
    pub id: DeliveryId,
    pub webhook_id: WebhookId,
    pub event_id: Uuid,
    pub kind: String,
    pub subject: Uuid,
    pub concert_id: Option<ConcertId>,
    pub occurred_at: Timestamp,
    pub state: DeliveryState,
    /// How many attempts were made since it was to be sent, or sent again.
    pub attempts_count: u32,
    pub last_attempt: Option<Attempt>,
}

/// A delivery that is due, with what is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct DeliveryToSend {
    pub id: DeliveryId,
    pub event_id: Uuid,
    /// The document of the event, byte for byte.
    pub document: String,
    /// How many attempts were made.
    pub attempts_count: u32,
}

/// What a delivery is after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct Attempted {
    pub id: DeliveryId,
    /// How many attempts had been made before this one.
    pub attempts_before: u32,
    pub attempt: Attempt,
    pub state: DeliveryState,
}

/// How many deliveries of a span were sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentAgain {
    /// How many.
    pub count: u32,
    /// The first one that was left out, if there are more.
    pub next: Option<DeliveryId>,
}

/// Keeps the deliveries of webhooks.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait WebhookDeliveries: Send + Sync {
    /// Keeps deliveries that are due at `now`, all of them or none. One whose id is there already is left as it is.
    async fn add(&self, deliveries: Vec<NewDelivery>, now: Timestamp) -> Result<(), StorageError>;

    /// The [active](super::Webhooks::active) webhooks that have deliveries due at `now`, at most `limit`.
    async fn webhooks_due(&self, now: Timestamp, limit: u32) -> Result<Vec<Webhook>, StorageError>;

    /// The deliveries of a webhook that are due at `now`, those first that have been due longest.
    async fn due(&self, webhook_id: WebhookId, now: Timestamp, limit: u32)
    -> Result<Vec<DeliveryToSend>, StorageError>;

    /// Records attempts in one transaction, in the order of their times, and [what the webhook is after
    /// them](WebhookState::after), which it returns; `None` if the webhook is gone. A delivery that is no longer pending after
    /// `attempts_before` attempts is left as it is: it was recorded already, or is to be sent again.
    async fn record(
        &self,
        webhook_id: WebhookId,
        attempted: Vec<Attempted>,
    ) -> Result<Option<WebhookState>, StorageError>;

    /// A delivery of this webhook.
    async fn find(&self, webhook_id: WebhookId, id: DeliveryId) -> Result<Option<Delivery>, StorageError>;

    /// The deliveries of a webhook, or those of one status, newest event first.
    async fn list(
        &self,
        webhook_id: WebhookId,
        status: Option<DeliveryStatus>,
        page: PageRequest<DeliveryId>,
    ) -> Result<Page<Delivery, DeliveryId>, StorageError>;

    /// Makes a delivery of this webhook due at `now`, whatever its state, with all attempts before it; `None` if there is
    /// none.
    async fn send_again(
        &self,
        webhook_id: WebhookId,
        id: DeliveryId,
        now: Timestamp,
    ) -> Result<Option<Delivery>, StorageError>;

    /// The same for the first `limit` deliveries of events from `from` until before `until`, oldest first.
    async fn send_span_again(
        &self,
        webhook_id: WebhookId,
        from: DeliveryId,
        until: DeliveryId,
        now: Timestamp,
        limit: u32,
    ) -> Result<SentAgain, StorageError>;

    /// How many deliveries of a webhook are due at `now`, counted up to `limit`.
    async fn count_due(&self, webhook_id: WebhookId, now: Timestamp, limit: u32) -> Result<u32, StorageError>;

    /// Removes at most `limit` deliveries of events before `until`, whatever their state, and says how many.
    async fn remove_old(&self, until: DeliveryId, limit: u32) -> Result<u32, StorageError>;
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::fixtures::instant;

    #[test]
    fn ids_sort_by_the_time_of_the_event() {
        let id =
            |milliseconds, digest| DeliveryId::of_digest(instant(0) + TimeDelta::milliseconds(milliseconds), digest);
        let first = |milliseconds| DeliveryId::first_at(instant(0) + TimeDelta::milliseconds(milliseconds));
        assert!(id(0, [0xff; 16]) < id(1, [0; 16]));
        assert!(first(0) < id(0, [0; 16]) && id(0, [0xff; 16]) < first(1));
        assert_eq!(id(3, [7; 16]), id(3, [7; 16]));
        assert_ne!(id(3, [7; 16]), id(3, [8; 16]));
        assert_eq!(DeliveryId::new(id(3, [7; 16]).uuid()), id(3, [7; 16]));
        assert_eq!(id(3, [7; 16]).occurred_at(), instant(0) + TimeDelta::milliseconds(3));
    }

    #[test]
    fn a_failed_delivery_is_sent_again_until_it_is_given_up() {
        let failed =
            Attempt { at: instant(0), outcome: AttemptOutcome::Failed { reason: "timed_out" }, milliseconds: 20_000 };
        let again = |seconds| DeliveryState::Pending { next_attempt_at: instant(seconds) };
        assert_eq!(DeliveryState::after(&failed, 1, 0), again(5));
        assert_eq!(DeliveryState::after(&failed, 9, 0), again(86_400));
        assert_eq!(DeliveryState::after(&failed, 10, 0), DeliveryState::GivenUp);
        let outcome = AttemptOutcome::Answered { status: 299, beginning: String::new() };
        assert_eq!(DeliveryState::after(&Attempt { outcome, ..failed }, 10, 0), DeliveryState::Delivered);
    }
}
