//! The prepaid points of an account, their history, and the charges that fill it.

use async_trait::async_trait;
#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use crate::{
    AccountId, ActError, ChargeId, ChargeRefundId, PaymentId, Points, ReservationId, StorageError, Timestamp,
    gateway::{DeclineReason, GatewayReference, GatewayRequest, GatewayVerdict, PaymentMethod, RefundVerdict},
    idempotency::{Idempotency, KeyReused, Made},
    page::{Page, PageRequest},
};

/// The points of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct Wallet {
    /// Whose it is.
    pub account_id: AccountId,
    /// The points it has. Always the sum of its entries.
    pub balance: Points,
    /// The points that charges in progress will add; they count against the limit of the balance.
    pub pending: Points,
    /// How many entries its history has; the next one gets this number plus 1.
    pub entries_count: u64,
    /// When the balance last changed.
    pub updated_at: Timestamp,
}

/// Why a wallet changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[expect(missing_docs, reason = "the fields name the cause")]
pub enum EntryKind {
    /// Points were charged.
    Charge { charge_id: ChargeId },
    /// Points of a charge were given back for money; or came back, since the payment gateway refused that.
    ChargeRefund { charge_id: ChargeId },
    /// Seats were paid.
    Payment { reservation_id: ReservationId, payment_id: PaymentId },
    /// A paid reservation was cancelled.
    Refund { reservation_id: ReservationId },
}

impl EntryKind {
    /// The name of the kind.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Charge { .. } => "charge",
            Self::ChargeRefund { .. } => "charge_refund",
            Self::Payment { .. } => "payment",
            Self::Refund { .. } => "refund",
        }
    }

    /// The reservation that caused it, if one did.
    pub fn reservation_id(&self) -> Option<ReservationId> {
        match self {
            Self::Charge { .. } | Self::ChargeRefund { .. } => None,
            Self::Payment { reservation_id, .. } | Self::Refund { reservation_id } => Some(*reservation_id),
        }
    }

    /// The charge that caused it, if one did.
    pub fn charge_id(&self) -> Option<ChargeId> {
        match self {
            Self::Charge { charge_id } | Self::ChargeRefund { charge_id } => Some(*charge_id),
            Self::Payment { .. } | Self::Refund { .. } => None,
        }
    }
}

/// One line of a wallet's history. Never changed, never removed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct WalletEntry {
    pub account_id: AccountId,
    /// Its number in the wallet's history, from 1 without gaps.
    pub sequence: u64,
    pub kind: EntryKind,
    /// How many points came (positive) or went (negative).
    pub amount: i64,
    /// The balance after it.
    pub balance_after: Points,
    pub created_at: Timestamp,
}

impl Wallet {
    /// The empty wallet of a new account.
    pub fn new(account_id: AccountId, now: Timestamp) -> Self {
        Self { account_id, balance: Points::ZERO, pending: Points::ZERO, entries_count: 0, updated_at: now }
    }

    /// The wallet after `amount` points came (positive) or went (negative), with the line of its history; `None` if the
    /// balance would be negative, or too large to represent. The limit of the balance was checked when a charge began,
    /// and a refund returns what had been in the wallet before.
    #[must_use]
    pub(crate) fn moved(&self, now: Timestamp, amount: i64, kind: EntryKind) -> Option<(Self, WalletEntry)> {
        let balance = self.balance.get().checked_add(amount)?;
        let balance = Points::new(balance).ok()?;
        let sequence = self.entries_count + 1;
        let wallet = Self { balance, entries_count: sequence, updated_at: now, ..self.clone() };
        let entry = WalletEntry {
            account_id: self.account_id,
            sequence,
            kind,
            amount,
            balance_after: balance,
            created_at: now,
        };
        Some((wallet, entry))
    }
}

/// How a charge is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum ChargeStatus {
    /// The payment gateway has not answered yet.
    Pending,
    /// The buyer has to do something with the payment gateway first.
    RequiresAction,
    /// Approved and credited.
    Completed,
    /// Declined by the payment gateway.
    Declined,
    /// Credited, and some of it given back.
    PartiallyRefunded,
    /// Credited, and all of it given back.
    Refunded,
}

/// What state a charge is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub enum ChargeState {
    /// The payment gateway has not answered yet.
    Pending,
    /// The buyer has to do something with the payment gateway first.
    RequiresAction,
    /// Approved and credited.
    Completed {
        /// The balance after the credit.
        balance_after: Points,
        /// When.
        completed_at: Timestamp,
    },
    /// Declined by the payment gateway.
    Declined {
        /// Why.
        reason: DeclineReason,
        /// When.
        declined_at: Timestamp,
    },
}

impl ChargeState {
    /// Whether the gateway can still approve or decline it.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Pending | Self::RequiresAction)
    }
}

/// Points being added to a wallet, paid for through the payment gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct Charge {
    /// Its id, here and at the gateway.
    pub id: ChargeId,
    pub account_id: AccountId,
    pub amount: Points,
    pub state: ChargeState,
    /// How much of it was given back, or is about to be.
    pub refunded: Points,
    /// How the buyer pays; `None` if that was left to the gateway's client.
    pub payment_method: Option<PaymentMethod>,
    /// The gateway's name for it, once it has answered.
    pub reference: Option<GatewayReference>,
    pub created_at: Timestamp,
    /// The key under which it was asked for.
    pub idempotency: Idempotency,
}

impl Charge {
    /// How it is shown.
    pub fn status(&self) -> ChargeStatus {
        match self.state {
            ChargeState::Pending => ChargeStatus::Pending,
            ChargeState::RequiresAction => ChargeStatus::RequiresAction,
            ChargeState::Declined { .. } => ChargeStatus::Declined,
            ChargeState::Completed { .. } if self.refunded == Points::ZERO => ChargeStatus::Completed,
            ChargeState::Completed { .. } if self.refunded < self.amount => ChargeStatus::PartiallyRefunded,
            ChargeState::Completed { .. } => ChargeStatus::Refunded,
        }
    }

    /// What the gateway is asked for.
    pub fn gateway_request(&self) -> GatewayRequest {
        GatewayRequest {
            charge_id: self.id,
            account_id: self.account_id,
            amount: self.amount,
            payment_method: self.payment_method.clone(),
            created_at: self.created_at,
            reference: self.reference.clone(),
        }
    }
}

/// How many points a charge adds: at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Points"))]
pub struct ChargeAmount(Points);

/// A charge of no points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a charge adds at least 1 point")]
pub struct InvalidChargeAmount;

impl ChargeAmount {
    /// Checks an amount.
    pub fn new(points: Points) -> Result<Self, InvalidChargeAmount> {
        if points == Points::ZERO { Err(InvalidChargeAmount) } else { Ok(Self(points)) }
    }

    /// The points.
    pub const fn points(self) -> Points {
        self.0
    }
}

impl TryFrom<Points> for ChargeAmount {
    type Error = InvalidChargeAmount;

    fn try_from(points: Points) -> Result<Self, InvalidChargeAmount> {
        Self::new(points)
    }
}

/// An account wants points.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct ChargeRequest {
    /// The id of the charge to be made.
    pub charge_id: ChargeId,
    pub account_id: AccountId,
    pub amount: ChargeAmount,
    /// How the account pays; `None` if that is left to the gateway's client.
    pub payment_method: Option<PaymentMethod>,
    /// The most points that charging may bring the wallet to.
    pub balance_max: Points,
    pub idempotency: Idempotency,
}

/// Why a charge was not begun. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChargeRefusal {
    /// The wallet could hold more than it may.
    #[error("the balance would exceed the most points that a wallet may have")]
    BalanceLimitReached,
    /// The idempotency key names another request.
    #[error(transparent)]
    KeyReused(#[from] KeyReused),
}

/// Why a charge was not begun.
pub type ChargeError = ActError<ChargeRefusal>;

/// What state a refund of a charge is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub enum ChargeRefundState {
    /// The points have left the wallet; the payment gateway has not answered yet.
    Pending,
    /// The payment gateway gives the money back.
    Completed {
        /// When it said so.
        completed_at: Timestamp,
    },
    /// The payment gateway gives nothing back, and the points are in the wallet again.
    Refused {
        /// When it said so.
        refused_at: Timestamp,
    },
}

/// Points of a charge that become money again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct ChargeRefund {
    /// Its id, here and at the gateway.
    pub id: ChargeRefundId,
    pub charge_id: ChargeId,
    pub account_id: AccountId,
    pub amount: Points,
    pub state: ChargeRefundState,
    pub created_at: Timestamp,
    /// The key under which it was asked for.
    pub idempotency: Idempotency,
}

/// An account wants money back for points of a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct ChargeRefundRequest {
    /// The id of the refund to be made.
    pub refund_id: ChargeRefundId,
    pub charge_id: ChargeId,
    pub account_id: AccountId,
    /// How many points; `None` for as many as can be given back.
    pub amount: Option<ChargeAmount>,
    pub idempotency: Idempotency,
}

/// Why no refund of a charge was begun. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChargeRefundRefusal {
    /// The account has no such charge.
    #[error("the account has no such charge")]
    NoSuchCharge,
    /// The charge was not credited, or all of it was given back before.
    #[error("nothing of the charge can be given back")]
    NotRefundable,
    /// More is asked for than is left of the charge.
    #[error("only {rest} points of the charge are left")]
    ExceedsCharge {
        /// What is left.
        rest: Points,
    },
    /// The points were spent.
    #[error("the balance of {balance} points is less than {required}")]
    InsufficientPoints {
        /// The points there are.
        balance: Points,
        /// The points that are asked for, at least.
        required: Points,
    },
    /// The idempotency key names another request.
    #[error(transparent)]
    KeyReused(#[from] KeyReused),
}

/// Why no refund of a charge was begun.
pub type ChargeRefundError = ActError<ChargeRefundRefusal>;

/// Where a list of refunds without a verdict goes on: they are sorted by their beginning, then by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the last refund seen")]
pub struct PendingRefundKey {
    pub created_at: Timestamp,
    pub id: ChargeRefundId,
}

/// Where a list of pending charges goes on: they are sorted by their beginning, then by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the last charge seen")]
pub struct PendingKey {
    pub created_at: Timestamp,
    pub id: ChargeId,
}

/// Keeps wallets and charges.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Wallets: Send + Sync {
    /// The wallet of an account; every account has one.
    async fn find(&self, account_id: AccountId) -> Result<Option<Wallet>, StorageError>;

    /// The history of a wallet, newest first; the key of a page is the entry's `sequence`.
    async fn entries(
        &self,
        account_id: AccountId,
        page: PageRequest<u64>,
    ) -> Result<Page<WalletEntry, u64>, StorageError>;

    /// Carries out [`Command::BeginCharge`](crate::sale::Command::BeginCharge) in one transaction. However many charges
    /// of one wallet come at once, each that the rule allows succeeds. A repeated request under its idempotency key gets
    /// the charge as it is now, or [`KeyReused`].
    async fn begin_charge(&self, request: ChargeRequest) -> Result<Made<Charge>, ChargeError>;

    /// Carries out [`Command::CompleteCharge`](crate::sale::Command::CompleteCharge) in one transaction, the credit with
    /// it. Returns the charge as it is then, also if it had ended before; `None` if there is none.
    async fn complete_charge(
        &self,
        id: ChargeId,
        verdict: GatewayVerdict,
        reference: Option<GatewayReference>,
    ) -> Result<Option<Charge>, StorageError>;

    /// Carries out [`Command::BeginChargeRefund`](crate::sale::Command::BeginChargeRefund) in one transaction. A repeated
    /// request under its idempotency key gets the refund as it is now, or [`KeyReused`].
    async fn begin_charge_refund(&self, request: ChargeRefundRequest) -> Result<Made<ChargeRefund>, ChargeRefundError>;

    /// Carries out [`Command::CompleteChargeRefund`](crate::sale::Command::CompleteChargeRefund) in one transaction.
    /// Returns the refund as it is then, also if it had ended before; `None` if there is none. One that was completed may
    /// still be refused.
    async fn complete_charge_refund(
        &self,
        id: ChargeRefundId,
        verdict: RefundVerdict,
    ) -> Result<Option<ChargeRefund>, StorageError>;

    /// A charge, of whatever account.
    async fn charge(&self, id: ChargeId) -> Result<Option<Charge>, StorageError>;

    /// A charge of this account; `None` also where it is another's.
    async fn find_charge(&self, account_id: AccountId, id: ChargeId) -> Result<Option<Charge>, StorageError>;

    /// The refunds of a charge of this account, the oldest first.
    async fn charge_refunds(&self, account_id: AccountId, id: ChargeId) -> Result<Vec<ChargeRefund>, StorageError>;

    /// At most `limit` refunds of charges that are pending and were begun before `before`, the oldest first; with `after`
    /// only those that come after that one in this order.
    async fn pending_charge_refunds(
        &self,
        before: Timestamp,
        after: Option<PendingRefundKey>,
        limit: u32,
    ) -> Result<Vec<ChargeRefund>, StorageError>;

    /// The charges of all accounts in the order of their ids, which is about that in which they were begun.
    async fn charges(&self, page: PageRequest<ChargeId>) -> Result<Page<Charge, ChargeId>, StorageError>;

    /// At most `limit` open charges that were begun before `before`, the oldest first; with `after` only those that come
    /// after that one in this order. Either those that wait for their buyer, or the others.
    async fn open_charges(
        &self,
        wait_for_buyer: bool,
        before: Timestamp,
        after: Option<PendingKey>,
        limit: u32,
    ) -> Result<Vec<Charge>, StorageError>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn an_entry_names_what_caused_it() {
        let charge_id = ChargeId::new(Uuid::from_u128(1));
        let reservation_id = ReservationId::new(Uuid::from_u128(2));
        let payment_id = PaymentId::new(Uuid::from_u128(3));
        for (kind, name, charge, reservation) in [
            (EntryKind::Charge { charge_id }, "charge", Some(charge_id), None),
            (EntryKind::ChargeRefund { charge_id }, "charge_refund", Some(charge_id), None),
            (EntryKind::Payment { reservation_id, payment_id }, "payment", None, Some(reservation_id)),
            (EntryKind::Refund { reservation_id }, "refund", None, Some(reservation_id)),
        ] {
            assert_eq!((kind.as_str(), kind.charge_id(), kind.reservation_id()), (name, charge, reservation));
        }
    }
}
