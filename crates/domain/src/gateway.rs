//! The payment gateway: the outside system that takes real money for a charge, and gives it back.

use std::fmt;

use async_trait::async_trait;
#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use crate::{AccountId, ChargeId, ChargeRefundId, Points, StorageError, Timestamp};

/// The most bytes of a [`GatewayReference`].
pub const REFERENCE_BYTES_MAX: usize = 255;

/// The name that the gateway has for a payment; for Stripe `pi_…`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct GatewayReference(String);

impl GatewayReference {
    /// Takes a name of 1 to [`REFERENCE_BYTES_MAX`] visible ASCII characters; `None` if it is none.
    pub fn new(name: impl Into<String>) -> Option<Self> {
        let name = name.into();
        let is_plain = name.bytes().all(|byte| byte.is_ascii_graphic());
        (is_plain && (1..=REFERENCE_BYTES_MAX).contains(&name.len())).then_some(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a way to pay that the buyer has set up with the gateway; for Stripe `pm_…`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct PaymentMethod(String);

impl PaymentMethod {
    /// Takes a name of 1 to [`REFERENCE_BYTES_MAX`] ASCII letters, digits, `_` and `-`; `None` if it is none.
    pub fn new(name: impl Into<String>) -> Option<Self> {
        let name = name.into();
        let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        (is_plain && (1..=REFERENCE_BYTES_MAX).contains(&name.len())).then_some(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why the gateway took no money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum DeclineReason {
    /// The way to pay was refused, and the gateway says no more.
    Refused,
    /// There is too little money.
    InsufficientFunds,
    /// The card has expired.
    ExpiredCard,
    /// A number, date or code of the card is wrong.
    IncorrectDetails,
    /// The buyer could not be authenticated, or did not want to be.
    AuthenticationFailed,
    /// The gateway knows no such way to pay.
    UnknownMethod,
    /// The charge was given up before it was paid: the buyer did not act in time.
    Abandoned,
}

impl DeclineReason {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::Refused,
        Self::InsufficientFunds,
        Self::ExpiredCard,
        Self::IncorrectDetails,
        Self::AuthenticationFailed,
        Self::UnknownMethod,
        Self::Abandoned,
    ];

    /// Its name, as stored and published.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::InsufficientFunds => "insufficient_funds",
            Self::ExpiredCard => "expired_card",
            Self::IncorrectDetails => "incorrect_details",
            Self::AuthenticationFailed => "authentication_failed",
            Self::UnknownMethod => "unknown_method",
            Self::Abandoned => "abandoned",
        }
    }

    /// The reason of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}

/// What the buyer has to do before the gateway takes the money. It is secret: it is answered to the buyer, and neither
/// stored nor logged.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientAction {
    /// What the gateway's own client needs to go on with the payment.
    pub client_secret: String,
    /// Where the buyer confirms the payment with a browser, if that is what is left to do.
    pub redirect_url: Option<String>,
}

impl fmt::Debug for ClientAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAction").finish_non_exhaustive()
    }
}

/// How a payment stands at the gateway.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GatewayState {
    /// The gateway has not decided; it will by itself.
    Processing,
    /// The buyer has to do something first.
    ActionRequired(ClientAction),
    /// The money was taken.
    Approved,
    /// The money was not taken, and will not be.
    Declined(DeclineReason),
}

impl GatewayState {
    /// What is recorded of it; `None` while the gateway has not decided.
    pub fn verdict(&self) -> Option<GatewayVerdict> {
        match self {
            Self::Processing => None,
            Self::ActionRequired(_) => Some(GatewayVerdict::ActionRequired),
            Self::Approved => Some(GatewayVerdict::Approved),
            Self::Declined(reason) => Some(GatewayVerdict::Declined(*reason)),
        }
    }
}

/// What is recorded of the gateway's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum GatewayVerdict {
    /// The buyer has to do something first.
    ActionRequired,
    /// The money was taken.
    Approved,
    /// The money was not taken, and will not be.
    Declined(DeclineReason),
}

/// What the gateway answers about a charge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GatewayAnswer {
    /// Its name for the payment; `None` if it has made none.
    pub reference: Option<GatewayReference>,
    /// How the payment stands.
    pub state: GatewayState,
}

/// What the gateway is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayRequest {
    /// The charge; the gateway keeps what it decided under this id.
    pub charge_id: ChargeId,
    /// Who pays.
    pub account_id: AccountId,
    /// How much; 1 point is 1 won.
    pub amount: Points,
    /// How the buyer pays; `None` if that is left to the gateway's client.
    pub payment_method: Option<PaymentMethod>,
    /// When the charge was recorded, which was before the gateway was asked.
    pub created_at: Timestamp,
    /// The gateway's name for the payment, where it is known.
    pub reference: Option<GatewayReference>,
}

/// What the gateway is asked to give back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayRefund {
    /// The refund; the gateway keeps what it decided under this id.
    pub refund_id: ChargeRefundId,
    /// The charge whose money it is.
    pub charge: GatewayRequest,
    /// How much of it.
    pub amount: Points,
}

/// What the gateway decided about a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum RefundVerdict {
    /// The gateway gives the money back: at once, or in the coming days by itself.
    Accepted,
    /// The money stays where it is.
    Refused,
}

/// A field of the head of a request: its name in lower case, and its value.
pub type HeaderField = (String, Vec<u8>);

/// The most bytes of the id of a [`Notification`].
pub const NOTIFICATION_ID_BYTES_MAX: usize = 255;

/// A message of the gateway that is genuine: something about a charge has changed. It says only about which: how the
/// charge stands is asked, so messages may come twice, late and in any order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The gateway's name for the message, the same if it is sent again: 1 to [`NOTIFICATION_ID_BYTES_MAX`] bytes of visible
    /// ASCII characters.
    pub id: String,
    /// The charge; `None` if the message is about something else.
    pub charge_id: Option<ChargeId>,
}

/// Why a message is not taken for one of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotificationRefusal {
    /// This gateway sends none.
    #[error("this gateway sends no notifications")]
    NotExpected,
    /// The signature is missing, or is not that of the gateway over these bytes.
    #[error("the notification is not signed by the gateway")]
    Forged,
    /// The signature was made too long ago, or is dated in the future.
    #[error("the notification was signed at another time")]
    OutOfTime,
    /// It is signed, and cannot be read.
    #[error("the notification cannot be read")]
    Malformed,
}

/// A payment in the books of the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayRecord {
    /// The gateway's name for it.
    pub reference: GatewayReference,
    /// The charge that it is for; `None` if boxoffice did not make it.
    pub charge_id: Option<ChargeId>,
    /// How much was asked for.
    pub amount: Points,
    /// Whether the money was taken.
    pub is_paid: bool,
    /// How much of it was given back.
    pub refunded: Points,
    /// When the gateway recorded it.
    pub created_at: Timestamp,
}

/// Why the payment gateway gave no answer. Whether it did what was asked is unknown: ask again under the same id.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// It did not answer in time.
    #[error("the payment gateway did not answer in time")]
    TimedOut,
    /// It could not be reached, or answered nonsense.
    #[error("the payment gateway failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It knows the id with other particulars, such as another amount. Nothing was done.
    #[error("the payment gateway knows the same id with other particulars")]
    Conflict,
    /// It does not offer what was asked for.
    #[error("the payment gateway does not offer this")]
    Unsupported,
}

/// The outside system that takes real money for charges.
///
/// Each method may be called again with the same id after an error, after a restart, and at the same time by another
/// instance: the money of a charge is taken at most once, and given back at most once for each refund.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait PaymentGateway: Send + Sync {
    /// Begins the payment of a charge, and tells how it stands. Asked again under the same charge id, it begins nothing
    /// more; with another amount it is a [`GatewayError::Conflict`]. After [`GatewayState::Declined`] nobody can pay it any
    /// more.
    async fn begin(&self, request: &GatewayRequest) -> Result<GatewayAnswer, GatewayError>;

    /// How the payment of a charge stands; `None` if the gateway has none.
    async fn query(&self, request: &GatewayRequest) -> Result<Option<GatewayAnswer>, GatewayError>;

    /// Gives the payment of a charge up, unless it is made already, and tells how it stands then: approved, or declined for
    /// good. A payment that was never begun is declined.
    async fn abandon(&self, request: &GatewayRequest) -> Result<GatewayAnswer, GatewayError>;

    /// Gives money back. Asked again under the same refund id, it gives nothing more.
    async fn refund(&self, refund: &GatewayRefund) -> Result<RefundVerdict, GatewayError>;

    /// Checks that a request comes from the gateway. `body` is as it was received; `now` is compared with the time of the
    /// signature.
    fn verify_notification(
        &self,
        fields: &[HeaderField],
        body: &[u8],
        now: Timestamp,
    ) -> Result<Notification, NotificationRefusal>;

    /// The payments that the gateway recorded from `from` on and before `until`, in any order, those included that others
    /// than boxoffice have made; at most `limit`, and [`GatewayError::Failed`] if there are more.
    async fn records(
        &self,
        from: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<GatewayRecord>, GatewayError>;
}

/// Keeps the notifications of the gateway until they are worked off, and long after, so that each counts once.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait GatewayInbox: Send + Sync {
    /// Keeps a notification about a charge. Returns `false` if one of the same id is there already.
    async fn keep(&self, id: &str, charge_id: ChargeId, now: Timestamp) -> Result<bool, StorageError>;

    /// At most `limit` notifications that are not worked off, each as its id and the charge, the oldest first.
    async fn unhandled(&self, limit: u32) -> Result<Vec<(String, ChargeId)>, StorageError>;

    /// Notes that a notification is worked off.
    async fn mark_handled(&self, id: &str, now: Timestamp) -> Result<(), StorageError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_gateway_are_kept_as_they_are_within_their_bounds() {
        let longest = "p".repeat(REFERENCE_BYTES_MAX);
        for name in ["pi_1", "~!/", &longest] {
            assert_eq!(GatewayReference::new(name).expect("a name").as_str(), name);
        }
        for name in ["pm_1-A", &longest] {
            assert_eq!(PaymentMethod::new(name).expect("a name").as_str(), name);
        }
        for bad in ["", "a b", "pi_1\n", "좌석", &format!("{longest}p")] {
            assert_eq!(GatewayReference::new(bad), None, "{bad}");
            assert_eq!(PaymentMethod::new(bad), None, "{bad}");
        }
        assert_eq!(PaymentMethod::new("pm/1"), None, "it becomes part of a path");
    }

    #[test]
    fn each_reason_has_a_name_of_its_own() {
        for reason in DeclineReason::ALL {
            assert_eq!(DeclineReason::named(reason.as_str()), Some(reason));
        }
        assert_eq!(DeclineReason::InsufficientFunds.as_str(), "insufficient_funds");
        assert_eq!(DeclineReason::named("Refused"), None);
    }

    #[test]
    fn what_the_buyer_has_to_do_is_recorded_and_its_secret_is_not_logged() {
        let action = ClientAction { client_secret: "pi_1_secret_2".to_owned(), redirect_url: None };
        let state = GatewayState::ActionRequired(action);
        let logged = format!("{state:?}");
        assert!(logged.contains("ClientAction") && !logged.contains("secret_2"), "{logged}");
        assert_eq!(state.verdict(), Some(GatewayVerdict::ActionRequired));
        assert_eq!(GatewayState::Processing.verdict(), None);
        assert_eq!(GatewayState::Approved.verdict(), Some(GatewayVerdict::Approved));
        let reason = DeclineReason::ExpiredCard;
        assert_eq!(GatewayState::Declined(reason).verdict(), Some(GatewayVerdict::Declined(reason)));
    }
}
