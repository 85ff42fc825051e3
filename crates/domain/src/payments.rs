//! Payments: what turned held seats into owned ones.

use async_trait::async_trait;
#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use crate::{
    AccountId, ActError, ConcertId, PaymentId, Points, ReservationId, StorageError, Timestamp,
    idempotency::{Idempotency, IdempotencyKey, KeyReused, Made},
    page::{Page, PageRequest},
    reservations::ReservationView,
    waiting_room::PlaceNumber,
};

/// How a payment is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum PaymentStatus {
    /// The points were taken.
    Completed,
    /// The points were given back.
    Refunded,
}

/// What state a payment is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub enum PaymentState {
    /// The points were taken.
    Completed,
    /// The points were given back.
    Refunded {
        /// When.
        refunded_at: Timestamp,
    },
}

/// How a caller pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub enum PaymentMethod {
    /// With the points of the account's wallet.
    Wallet,
    /// Outside of this crate's wallets; the caller vouches for the amount having been paid, and gives it back when the
    /// reservation is cancelled.
    Outside,
}

/// Where the amount of a payment came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub enum PaymentSource {
    /// The points of the account's wallet.
    Wallet {
        /// The balance after it.
        balance_after: Points,
    },
    /// Outside of this crate's wallets.
    Outside,
}

/// A paid reservation's payment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct Payment {
    pub id: PaymentId,
    pub account_id: AccountId,
    /// The concert of the reservation.
    pub concert_id: ConcertId,
    pub reservation_id: ReservationId,
    /// How much: the reservation's total.
    pub amount: Points,
    /// Where the amount came from.
    pub source: PaymentSource,
    pub paid_at: Timestamp,
    pub state: PaymentState,
    /// The place in the queue that it spent, so that it stays spent if the queue is lost.
    pub queue_place: Option<PlaceNumber>,
    /// The key under which it was asked for.
    pub idempotency: Idempotency,
}

impl Payment {
    /// How it is shown.
    pub fn status(&self) -> PaymentStatus {
        match self.state {
            PaymentState::Completed => PaymentStatus::Completed,
            PaymentState::Refunded { .. } => PaymentStatus::Refunded,
        }
    }

    /// When the points were given back, if they were.
    pub fn refunded_at(&self) -> Option<Timestamp> {
        match self.state {
            PaymentState::Completed => None,
            PaymentState::Refunded { refunded_at } => Some(refunded_at),
        }
    }

    /// The wallet's balance after it; `None` if it was paid outside.
    pub fn balance_after(&self) -> Option<Points> {
        match self.source {
            PaymentSource::Wallet { balance_after } => Some(balance_after),
            PaymentSource::Outside => None,
        }
    }
}

/// An account pays one of its reservations. How much is the reservation's to say, never the caller's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct PayRequest {
    /// The id of the payment to be made.
    pub payment_id: PaymentId,
    pub reservation_id: ReservationId,
    pub account_id: AccountId,
    /// The concert that the account was admitted to.
    pub concert_id: ConcertId,
    /// Its place in that concert's queue.
    pub queue_place: Option<PlaceNumber>,
    pub method: PaymentMethod,
    pub idempotency: Idempotency,
}

/// Why a payment was not made. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayRefusal {
    /// There is no such reservation of this account.
    #[error("the reservation does not exist")]
    ReservationNotFound,
    /// The account was admitted to another concert than the reservation's.
    #[error("the reservation belongs to another concert")]
    WrongConcert,
    /// It is paid.
    #[error("the reservation is paid already")]
    AlreadyPaid,
    /// It was cancelled.
    #[error("the reservation was cancelled")]
    Cancelled,
    /// Its hold has lapsed.
    #[error("the hold has expired")]
    HoldExpired,
    /// The performance has started.
    #[error("the performance has started")]
    PerformanceStarted,
    /// The performance is taken from sale.
    #[error("the performance is no longer sold")]
    PerformanceWithdrawn,
    /// The wallet has too few points.
    #[error("the wallet has {balance} points, and {required} are needed")]
    InsufficientPoints {
        /// What the wallet has.
        balance: Points,
        /// What is to be paid.
        required: Points,
    },
    /// The idempotency key names another request.
    #[error(transparent)]
    KeyReused(#[from] KeyReused),
}

/// A payment with its reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct PaymentView {
    pub payment: Payment,
    pub reservation: ReservationView,
}

/// The answer to a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct Receipt {
    /// The payment, with its reservation.
    pub payment: PaymentView,
    /// Until when the account holds other seats of the concert now, also in the answer to a repeated request; `None` if
    /// it holds none.
    pub other_held_until: Option<Timestamp>,
}

/// Why a payment was not made.
pub type PayError = ActError<PayRefusal>;

/// Keeps payments.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Payments: Send + Sync {
    /// Carries out [`Command::Pay`](crate::sale::Command::Pay) in one transaction, the debit with it. However many calls
    /// come at once, a reservation is paid once and a point spent once. A repeated request under its idempotency key,
    /// which is unique for the account, gets the payment [as it was made](PaymentView::replay), or [`KeyReused`].
    async fn pay(&self, request: PayRequest) -> Result<Made<Receipt>, PayError>;

    /// A payment of this account; `None` also if it is another account's.
    async fn find(&self, account_id: AccountId, id: PaymentId) -> Result<Option<PaymentView>, StorageError>;

    /// The payment that this account made under this key, as it is now.
    async fn find_by_key(
        &self,
        account_id: AccountId,
        key: &IdempotencyKey,
    ) -> Result<Option<PaymentView>, StorageError>;

    /// The payments of an account, newest first.
    async fn list(
        &self,
        account_id: AccountId,
        page: PageRequest<PaymentId>,
    ) -> Result<Page<PaymentView, PaymentId>, StorageError>;

    /// Whether a payment of this account, refunded or not, spent this place in the concert's queue. A place is not
    /// spent while the account holds other seats of the concert now: their payment is what spends it.
    async fn has_spent(
        &self,
        account_id: AccountId,
        concert_id: ConcertId,
        place: PlaceNumber,
    ) -> Result<bool, StorageError>;
}
