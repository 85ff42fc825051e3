//! What happened, for other systems to act on.
//!
//! An adapter stores an event in the transaction of its cause (the transactional outbox), so there is
//! never an event without its cause, nor a cause without its event. A reservation, charge, refund or act has at most one
//! event of a kind, so `(subject, kind)` identifies it.

mod log;
mod order;

use async_trait::async_trait;
#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    AccountId, ChargeId, ChargeRefundId, ConcertId, PaymentId, PerformanceId, Points, ReservationId, SessionId,
    StorageError, Timestamp,
    accounts::ClientName,
    gateway::DeclineReason,
    history::StaffAct,
    page::{Page, PageRequest},
    seats::SeatLabel,
};

#[cfg(feature = "mocks")]
pub use log::MockEventLog;
pub use log::{EventLog, READER_NAME_BYTES_MAX, ReaderCursor, ReaderLag, SequencedBatch};
pub use order::in_order;

/// Something that happened, with what a listener needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(tag = "kind", rename_all = "snake_case"))]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are named after the entities they come from")]
pub enum Event {
    /// Seats are held.
    ReservationHeld {
        reservation_id: ReservationId,
        account_id: AccountId,
        performance_id: PerformanceId,
        seats: Vec<SeatLabel>,
        held_until: Timestamp,
    },
    /// Held seats are paid and owned.
    ReservationConfirmed {
        reservation_id: ReservationId,
        account_id: AccountId,
        performance_id: PerformanceId,
        /// Nothing in events of earlier versions.
        #[cfg_attr(feature = "serde", serde(default))]
        seats: Vec<SeatLabel>,
        payment_id: PaymentId,
        amount: Points,
    },
    /// A reservation was cancelled; `refunded` is zero, and there is no payment, if it had not been paid.
    ReservationCancelled {
        reservation_id: ReservationId,
        account_id: AccountId,
        performance_id: PerformanceId,
        /// Nothing in events of earlier versions.
        #[cfg_attr(feature = "serde", serde(default))]
        seats: Vec<SeatLabel>,
        /// `None` in events of earlier versions, too.
        #[cfg_attr(feature = "serde", serde(default))]
        payment_id: Option<PaymentId>,
        refunded: Points,
    },
    /// A hold lapsed, and a worker has marked it.
    ReservationExpired {
        reservation_id: ReservationId,
        account_id: AccountId,
        performance_id: PerformanceId,
        /// Nothing in events of earlier versions.
        #[cfg_attr(feature = "serde", serde(default))]
        seats: Vec<SeatLabel>,
    },
    /// A charge was recorded, and the payment gateway is about to be asked.
    ChargeRequested { charge_id: ChargeId, account_id: AccountId, amount: Points },
    /// A charge was approved and credited.
    ChargeCompleted { charge_id: ChargeId, account_id: AccountId, amount: Points, balance: Points },
    /// A charge was declined by the payment gateway.
    ChargeDeclined {
        charge_id: ChargeId,
        account_id: AccountId,
        amount: Points,
        /// Nothing in events of earlier versions.
        #[cfg_attr(feature = "serde", serde(default))]
        reason: Option<DeclineReason>,
    },
    /// The buyer has to do something with the payment gateway before a charge can be approved.
    ChargeRequiresAction { charge_id: ChargeId, account_id: AccountId, amount: Points },
    /// Points of a charge left the wallet, and the payment gateway is about to be asked for the money.
    ChargeRefundRequested {
        refund_id: ChargeRefundId,
        charge_id: ChargeId,
        account_id: AccountId,
        amount: Points,
        balance: Points,
    },
    /// The payment gateway gives the money of points back.
    ChargeRefunded { refund_id: ChargeRefundId, charge_id: ChargeId, account_id: AccountId, amount: Points },
    /// The payment gateway gives nothing back, and the points are in the wallet again.
    ChargeRefundRefused {
        refund_id: ChargeRefundId,
        charge_id: ChargeId,
        account_id: AccountId,
        amount: Points,
        balance: Points,
    },
    /// The staff did something to the catalog or to a queue.
    StaffActed { act: StaffAct },
    /// The sale of a concert has opened, and its queue admits. `opened_at` is when it was to open.
    QueueOpened { concert_id: ConcertId, opened_at: Timestamp },
    /// The password of an account was changed.
    PasswordChanged { account_id: AccountId },
    /// An account was signed in to by a client that its holder may not know.
    SignedInElsewhere { account_id: AccountId, session_id: SessionId, client: Option<ClientName> },
}

impl Event {
    /// The reservation, charge, refund of a charge, act, concert or account that the event is about.
    pub fn subject(&self) -> Uuid {
        match self {
            Self::ReservationHeld { reservation_id, .. }
            | Self::ReservationConfirmed { reservation_id, .. }
            | Self::ReservationCancelled { reservation_id, .. }
            | Self::ReservationExpired { reservation_id, .. } => reservation_id.uuid(),
            Self::ChargeRequested { charge_id, .. }
            | Self::ChargeCompleted { charge_id, .. }
            | Self::ChargeDeclined { charge_id, .. }
            | Self::ChargeRequiresAction { charge_id, .. } => charge_id.uuid(),
            Self::ChargeRefundRequested { refund_id, .. }
            | Self::ChargeRefunded { refund_id, .. }
            | Self::ChargeRefundRefused { refund_id, .. } => refund_id.uuid(),
            Self::StaffActed { act } => act.id,
            Self::QueueOpened { concert_id, .. } => concert_id.uuid(),
            Self::PasswordChanged { account_id } => account_id.uuid(),
            Self::SignedInElsewhere { session_id, .. } => session_id.uuid(),
        }
    }

    /// The performance that a reservation is of.
    pub fn performance_id(&self) -> Option<PerformanceId> {
        match self {
            Self::ReservationHeld { performance_id, .. }
            | Self::ReservationConfirmed { performance_id, .. }
            | Self::ReservationCancelled { performance_id, .. }
            | Self::ReservationExpired { performance_id, .. } => Some(*performance_id),
            _ => None,
        }
    }

    /// The name of the kind, as stored and published.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ReservationHeld { .. } => "reservation_held",
            Self::ReservationConfirmed { .. } => "reservation_confirmed",
            Self::ReservationCancelled { .. } => "reservation_cancelled",
            Self::ReservationExpired { .. } => "reservation_expired",
            Self::ChargeRequested { .. } => "charge_requested",
            Self::ChargeCompleted { .. } => "charge_completed",
            Self::ChargeDeclined { .. } => "charge_declined",
            Self::ChargeRequiresAction { .. } => "charge_requires_action",
            Self::ChargeRefundRequested { .. } => "charge_refund_requested",
            Self::ChargeRefunded { .. } => "charge_refunded",
            Self::ChargeRefundRefused { .. } => "charge_refund_refused",
            Self::StaffActed { .. } => "staff_acted",
            Self::QueueOpened { .. } => "queue_opened",
            Self::PasswordChanged { .. } => "password_changed",
            Self::SignedInElsewhere { .. } => "signed_in_elsewhere",
        }
    }
}

/// The events of one batch of writes, stored in its transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct EventBatch {
    /// The batch's id: a `UUIDv7`, so batches of one instance sort in the order in which they were decided.
    pub id: Uuid,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// When it was decided.
    pub occurred_at: Timestamp,
}

/// Reads stored events.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Outbox: Send + Sync {
    /// The batches in the order of their ids. A batch of another instance may still be committed at an earlier place.
    async fn batches(&self, page: PageRequest<Uuid>) -> Result<Page<EventBatch, Uuid>, StorageError>;
}
