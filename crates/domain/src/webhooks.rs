//! Webhooks: endpoints of other systems that get events, and what became of each event that was sent to one.
//!
//! A webhook belongs to an account of staff. It gets events as long as that account may see them: a promoter those of own
//! concerts, an admin all. An account that is locked, erased or no longer staff gets none.

mod deliveries;
mod kinds;
mod schedule;

use std::fmt;

use async_trait::async_trait;
use chrono::TimeDelta;

use crate::{
    AccountId, ActError, StorageError, Timestamp, WebhookId,
    accounts::Role,
    event_delivery::PublishedEvent,
    page::{Page, PageRequest},
};

#[cfg(feature = "mocks")]
pub use self::deliveries::MockWebhookDeliveries;
pub use self::{
    deliveries::{
        ANSWER_BYTES_MAX, Attempt, AttemptOutcome, Attempted, Delivery, DeliveryId, DeliveryState, DeliveryStatus,
        DeliveryToSend, NewDelivery, SentAgain, WebhookDeliveries,
    },
    kinds::{EventKinds, InvalidEventKinds, KIND_PATTERN_CHARACTERS_MAX, KIND_PATTERNS_MAX},
    schedule::{FAILING_DAYS_MAX, RETRY_DELAYS, SERIES_PAUSE_HOURS_MAX, is_to_be_turned_off, retry_delay},
};

/// How many webhooks an account may have.
pub const WEBHOOKS_PER_ACCOUNT_MAX: u32 = 20;
/// How long the former secret is good after another one was made.
pub const FORMER_SECRET_HOURS: i64 = 24;
/// The most bytes of a URL.
pub const URL_BYTES_MAX: usize = 2_048;

/// What the server and an endpoint share: 32 bytes that cannot be guessed. Nothing shows them by accident.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct WebhookSecret([u8; 32]);

impl WebhookSecret {
    /// A secret of these bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for signing, for storing, and for showing them once to the owner.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

/// The secrets of a webhook: while one replaces the other there are two, and each request is signed with both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebhookSecrets {
    /// The secret that the endpoint should know.
    pub current: WebhookSecret,
    /// The one before, and until when requests are signed with it too.
    pub former: Option<(WebhookSecret, Timestamp)>,
}

impl WebhookSecrets {
    /// The first secret.
    pub fn first(current: WebhookSecret) -> Self {
        Self { current, former: None }
    }

    /// Another secret from now on. The one before signs along for [`FORMER_SECRET_HOURS`]; a third one is dropped. The same
    /// secret again changes nothing.
    #[must_use]
    pub fn rotated(self, secret: WebhookSecret, now: Timestamp) -> Self {
        if secret == self.current {
            return self;
        }
        Self { current: secret, former: Some((self.current, now + TimeDelta::hours(FORMER_SECRET_HOURS))) }
    }

    /// The former secret, as long as it is good.
    pub fn former_at(&self, now: Timestamp) -> Option<WebhookSecret> {
        self.former.filter(|(_, until)| now < *until).map(|(secret, _)| secret)
    }
}

/// Why a webhook is turned off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OffReason {
    /// Its owner turned it off.
    ByHand,
    /// It has failed for [`FAILING_DAYS_MAX`] days without a success.
    Failing,
    /// The endpoint answered that it wants no more (410).
    Gone,
}

impl OffReason {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::ByHand, Self::Failing, Self::Gone];

    /// Its name, as stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ByHand => "by_hand",
            Self::Failing => "failing",
            Self::Gone => "gone",
        }
    }
}

/// Whether a webhook gets events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookState {
    /// It does.
    On {
        /// Its first failure after its last success.
        failing_since: Option<Timestamp>,
    },
    /// It does not. What happens meanwhile is not sent later; what had waited goes on when it is turned on.
    Off {
        /// Since when.
        since: Timestamp,
        /// Why.
        reason: OffReason,
    },
}

impl WebhookState {
    /// A webhook that has not failed.
    pub const WORKING: Self = Self::On { failing_since: None };

    /// Whether it gets events.
    pub fn is_on(self) -> bool {
        matches!(self, Self::On { .. })
    }

    /// After an attempt, or after several in the order of their times: a success ends a series of failures, a series of
    /// [`FAILING_DAYS_MAX`] days turns the webhook off, and so does an endpoint that is gone. One that is off stays off.
    #[must_use]
    pub fn after<'a>(self, attempts: impl IntoIterator<Item = &'a Attempt>) -> Self {
        attempts.into_iter().fold(self, Self::after_one)
    }

    fn after_one(self, attempt: &Attempt) -> Self {
        let Self::On { failing_since } = self else { return self };
        if attempt.outcome.is_success() {
            return Self::WORKING;
        }
        let off = |reason| Self::Off { since: attempt.at, reason };
        let since = failing_since.unwrap_or(attempt.at).min(attempt.at);
        if attempt.outcome.is_gone() {
            off(OffReason::Gone)
        } else if is_to_be_turned_off(Some(since), attempt.at) {
            off(OffReason::Failing)
        } else {
            Self::On { failing_since: Some(since) }
        }
    }

    /// Whether a failure at `now` turns it off if it goes on with the series of failures.
    pub fn ends_by_failure_at(self, now: Timestamp) -> bool {
        matches!(self, Self::On { failing_since } if is_to_be_turned_off(failing_since, now))
    }

    /// Before an attempt at `now`, when the attempt before was made at `last`: after a pause of more than
    /// [`SERIES_PAUSE_HOURS_MAX`] a series of failures is over, since nothing shows that the endpoint failed meanwhile. So
    /// one failure does not turn a webhook off that had no events for months.
    #[must_use]
    pub fn after_pause(self, last: Option<Timestamp>, now: Timestamp) -> Self {
        let was_paused = last.is_none_or(|last| now - last > TimeDelta::hours(SERIES_PAUSE_HOURS_MAX));
        if self.is_on() && was_paused { Self::WORKING } else { self }
    }

    /// Turned on or off by hand. A webhook that is turned on may fail for as long as a new one.
    #[must_use]
    pub fn switched(self, on: bool, now: Timestamp) -> Self {
        match (self.is_on(), on) {
            (false, true) => Self::WORKING,
            (true, false) => Self::Off { since: now, reason: OffReason::ByHand },
            (true, true) | (false, false) => self,
        }
    }
}

/// An endpoint of another system that gets events.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct Webhook {
    pub id: WebhookId,
    pub owner_id: AccountId,
    /// As [`WebhookTransport::check`] gave it.
    pub url: String,
    /// Which events it gets.
    pub kinds: EventKinds,
    pub state: WebhookState,
    pub secrets: WebhookSecrets,
    pub created_at: Timestamp,
}

/// What is changed of a webhook; `None` leaves it as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of a webhook")]
pub struct WebhookChange {
    pub url: Option<String>,
    pub kinds: Option<EventKinds>,
    /// Turns it on or off.
    pub on: Option<bool>,
    /// Another secret.
    pub secret: Option<WebhookSecret>,
}

impl WebhookChange {
    /// The webhook as it is after this change. The same change again changes nothing.
    #[must_use]
    pub fn apply(&self, webhook: Webhook, now: Timestamp) -> Webhook {
        Webhook {
            url: self.url.clone().unwrap_or(webhook.url),
            kinds: self.kinds.clone().unwrap_or(webhook.kinds),
            state: self.on.map_or(webhook.state, |on| webhook.state.switched(on, now)),
            secrets: self.secret.map_or(webhook.secrets, |secret| webhook.secrets.rotated(secret, now)),
            ..webhook
        }
    }
}

/// A webhook that is on, and whose owner may get events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveWebhook {
    /// The webhook.
    pub webhook: Webhook,
    /// The role of its owner.
    pub owner_role: Role,
}

impl ActiveWebhook {
    /// Whether it gets this event. `promoter_id` is the promoter of the event's concert.
    pub fn wants(&self, event: &PublishedEvent, promoter_id: Option<AccountId>) -> bool {
        let may_see = match self.owner_role {
            Role::Admin => true,
            Role::Promoter => promoter_id == Some(self.webhook.owner_id),
            Role::Customer => false,
        };
        may_see && self.webhook.kinds.include(&event.kind)
    }
}

/// Why a webhook was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreateWebhookRefusal {
    /// The account has [`WEBHOOKS_PER_ACCOUNT_MAX`].
    #[error("an account has at most {WEBHOOKS_PER_ACCOUNT_MAX} webhooks")]
    TooMany,
}

/// Keeps webhooks.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Webhooks: Send + Sync {
    /// Keeps a new webhook, unless its owner has [`WEBHOOKS_PER_ACCOUNT_MAX`], however many calls come at once. A webhook
    /// whose id is there already is left as it is.
    async fn create(&self, webhook: Webhook) -> Result<(), ActError<CreateWebhookRefusal>>;

    /// A webhook.
    async fn find(&self, id: WebhookId) -> Result<Option<Webhook>, StorageError>;

    /// The webhooks of an account, or of all accounts, newest first.
    async fn list(
        &self,
        owner_id: Option<AccountId>,
        page: PageRequest<WebhookId>,
    ) -> Result<Page<Webhook, WebhookId>, StorageError>;

    /// [Applies](WebhookChange::apply) a change in one transaction, and returns the webhook as it is then; `None` if there
    /// is no such webhook.
    async fn change(
        &self,
        id: WebhookId,
        change: WebhookChange,
        now: Timestamp,
    ) -> Result<Option<Webhook>, StorageError>;

    /// Removes a webhook, and says whether there was one. Its deliveries are no longer sent; they go with the others when
    /// they are old.
    async fn remove(&self, id: WebhookId) -> Result<bool, StorageError>;

    /// The webhooks that are on and whose owners are staff and neither locked nor erased, in the order of their ids.
    async fn active(&self, page: PageRequest<WebhookId>) -> Result<Page<ActiveWebhook, WebhookId>, StorageError>;

    /// How many webhooks were turned off since they failed or are gone.
    async fn turned_off(&self) -> Result<u64, StorageError>;
}

/// Why a URL is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookUrlRefusal {
    /// It is too long, or no absolute URL of `http` or `https`.
    #[error("must be `https://HOST/PATH`, or with `http`, of at most {URL_BYTES_MAX} bytes")]
    Malformed,
    /// It has a user or a password in it.
    #[error("must not have a user or a password in it")]
    Credentials,
    /// Its host is an address that is not on the public internet.
    #[error("must lead to a public address")]
    PrivateAddress,
}

/// Sends webhooks to their endpoints.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait WebhookTransport: Send + Sync {
    /// Checks a URL before it is kept, without asking anything of the network, and returns it in the form in which it is to
    /// be kept. A host that is a name is judged when something is sent.
    fn check(&self, url: &str) -> Result<String, WebhookUrlRefusal>;

    /// Makes one request to the endpoint at `now`, and says what came of it. Returns within a bounded time.
    async fn send(&self, webhook: &Webhook, delivery: &DeliveryToSend, now: Timestamp) -> AttemptOutcome;
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{ConcertId, fixtures::instant};

    const DAY: i64 = 86_400;

    fn attempt(seconds: i64, status: u16) -> Attempt {
        let outcome = AttemptOutcome::Answered { status, beginning: String::new() };
        Attempt { at: instant(seconds), outcome, milliseconds: 1 }
    }

    #[test]
    fn what_is_stored_by_its_name_has_the_name_that_is_documented() {
        assert_eq!(OffReason::ALL.map(OffReason::as_str), ["by_hand", "failing", "gone"]);
        assert_eq!(DeliveryStatus::ALL.map(DeliveryStatus::as_str), ["pending", "delivered", "given_up"]);
    }

    fn failing(seconds: i64) -> WebhookState {
        WebhookState::On { failing_since: Some(instant(seconds)) }
    }

    #[test]
    fn a_series_of_failures_begins_and_ends_and_turns_off_after_five_days() {
        let on = WebhookState::WORKING;
        assert_eq!(on.after(&[attempt(1, 200), attempt(2, 503), attempt(3, 500)]), failing(2));
        assert_eq!(failing(2).after(&[attempt(9, 204)]), on);
        assert_eq!(failing(2).after(&[attempt(9, 204), attempt(10, 301)]), failing(10));
        assert_eq!(failing(0).after(&[attempt(5 * DAY - 1, 500)]), failing(0));
        let off = WebhookState::Off { since: instant(5 * DAY), reason: OffReason::Failing };
        assert_eq!(failing(0).after(&[attempt(5 * DAY, 500)]), off);
        assert_eq!(off.after(&[attempt(5 * DAY + 1, 200)]), off, "what is off stays off");
        let gone = WebhookState::Off { since: instant(7), reason: OffReason::Gone };
        assert_eq!(on.after(&[attempt(7, 410), attempt(8, 200)]), gone);
    }

    #[test]
    fn a_series_of_failures_is_over_after_a_pause() {
        let (last, hour) = (Some(instant(7)), 3_600);
        assert_eq!(failing(0).after_pause(last, instant(7 + 30 * hour)), failing(0));
        assert_eq!(failing(0).after_pause(last, instant(8 + 30 * hour)), WebhookState::WORKING);
        assert_eq!(failing(0).after_pause(None, instant(1)), WebhookState::WORKING);
        let off = WebhookState::Off { since: instant(1), reason: OffReason::Failing };
        assert_eq!(off.after_pause(None, instant(1)), off);
        assert!(
            failing(0).ends_by_failure_at(instant(5 * DAY)) && !failing(0).ends_by_failure_at(instant(5 * DAY - 1))
        );
        assert!(
            !WebhookState::WORKING.ends_by_failure_at(instant(9 * DAY)) && !off.ends_by_failure_at(instant(9 * DAY))
        );
        // The last of the attempts at one event, each as late as it may be.
        let longest = (1..=9).filter_map(|failed| retry_delay(failed, u32::MAX)).max().unwrap();
        assert!(longest.as_secs() < 30 * 3_600);
    }

    #[test]
    fn a_webhook_is_turned_on_and_off_by_hand() {
        let off = |seconds, reason| WebhookState::Off { since: instant(seconds), reason };
        assert_eq!(failing(1).switched(false, instant(5)), off(5, OffReason::ByHand));
        assert_eq!(off(2, OffReason::Gone).switched(false, instant(5)), off(2, OffReason::Gone));
        assert_eq!(off(2, OffReason::Failing).switched(true, instant(5)), WebhookState::WORKING);
        assert_eq!(failing(1).switched(true, instant(5)), failing(1));
    }

    #[test]
    fn the_former_secret_is_good_for_a_day_and_a_change_may_be_repeated() {
        let [first, second, third] = [1, 2, 3].map(|byte| WebhookSecret::new([byte; 32]));
        let secrets = WebhookSecrets::first(first);
        assert_eq!(secrets.former_at(instant(0)), None);
        let rotated = secrets.rotated(second, instant(0));
        assert_eq!(rotated.rotated(second, instant(9)), rotated);
        assert_eq!((rotated.current, rotated.former_at(instant(DAY - 1))), (second, Some(first)));
        assert_eq!(rotated.former_at(instant(DAY)), None);
        let again = rotated.rotated(third, instant(60));
        assert_eq!((again.current, again.former_at(instant(61))), (third, Some(second)));
        assert_eq!(format!("{first:?}"), "WebhookSecret(…)");
    }

    #[test]
    fn promoters_get_events_of_their_concerts_and_admins_all() {
        let [own, other] = [1, 2].map(|number| AccountId::new(Uuid::from_u128(number)));
        let webhook = Webhook {
            id: WebhookId::new(Uuid::nil()),
            owner_id: own,
            url: "https://shop.example/".to_owned(),
            kinds: EventKinds::new(["reservation.*"]).unwrap(),
            state: WebhookState::WORKING,
            secrets: WebhookSecrets::first(WebhookSecret::new([1; 32])),
            created_at: instant(0),
        };
        let event = |kind: &str| PublishedEvent {
            id: Uuid::nil(),
            kind: kind.to_owned(),
            subject: Uuid::nil(),
            concert_id: Some(ConcertId::new(Uuid::nil())),
            occurred_at: instant(0),
            document: "{}".to_owned(),
        };
        let wants = |owner_role, kind: &str, promoter_id| {
            ActiveWebhook { webhook: webhook.clone(), owner_role }.wants(&event(kind), promoter_id)
        };
        let held = "reservation.held";
        assert!(wants(Role::Promoter, held, Some(own)));
        assert!(!wants(Role::Promoter, held, Some(other)));
        assert!(!wants(Role::Promoter, held, None), "what belongs to no concert is for admins");
        assert!(!wants(Role::Promoter, "payment.completed", Some(own)));
        assert!(wants(Role::Admin, held, Some(other)) && wants(Role::Admin, held, None));
        assert!(!wants(Role::Admin, "charge.completed", None));
        assert!(!wants(Role::Customer, held, Some(own)));
    }
}
