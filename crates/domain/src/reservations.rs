//! Seats of one performance, held for or owned by one account.

use std::{num::NonZeroU32, str::FromStr};

use async_trait::async_trait;
#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use crate::{
    AccountId, ActError, ConcertId, PaymentId, PerformanceId, Points, ReservationId, StorageError, Timestamp,
    catalog::{NotOnSale, PerformanceTerms},
    idempotency::{Idempotency, IdempotencyKey, KeyReused, Made},
    page::{Page, PageRequest},
    seats::{Seat, SeatLabel, SeatSelection},
};

/// A seat of a reservation, at the price at which it was held.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct ReservedSeat {
    /// Its label.
    pub label: SeatLabel,
    /// What it costs.
    pub price: Points,
}

/// How a reservation is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum ReservationStatus {
    /// Waiting for its payment.
    Held,
    /// Paid: the seats are owned.
    Confirmed,
    /// Cancelled by its owner.
    Cancelled,
    /// Not paid in time.
    Expired,
}

impl ReservationStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Held, Self::Confirmed, Self::Cancelled, Self::Expired];

    /// The name of the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Confirmed => "confirmed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

/// The text names no status of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a reservation's status is `held`, `confirmed`, `cancelled` or `expired`")]
pub struct UnknownReservationStatus;

impl FromStr for ReservationStatus {
    type Err = UnknownReservationStatus;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(UnknownReservationStatus)
    }
}

/// What state a reservation is in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub enum ReservationState {
    /// The seats are held, and free again from `until` on.
    Held {
        /// The first instant at which the hold is over.
        until: Timestamp,
    },
    /// The seats are paid and owned.
    Confirmed {
        /// The payment.
        payment_id: PaymentId,
    },
    /// Cancelled by its owner.
    Cancelled {
        /// The payment that was refunded; `None` if it had not been paid.
        payment_id: Option<PaymentId>,
        /// The key of the cancellation, if the caller gave one. It names a request about this reservation only, so the
        /// same key may cancel another one.
        idempotency: Option<Idempotency>,
    },
    /// The hold lapsed, and a worker has marked it.
    Expired,
}

/// Some seats of one performance, held for or owned by one account.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct Reservation {
    pub id: ReservationId,
    pub account_id: AccountId,
    pub performance_id: PerformanceId,
    pub concert_id: ConcertId,
    /// The seats, in the order in which they were asked for.
    pub seats: Vec<ReservedSeat>,
    pub total_amount: Points,
    pub state: ReservationState,
    /// Until when its hold lasted, or lasts.
    pub held_until: Timestamp,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// The key under which it was asked for.
    pub idempotency: Option<Idempotency>,
}

impl Reservation {
    /// How it is shown at `now`: a hold whose time is over is expired, marked or not.
    pub fn status(&self, now: Timestamp) -> ReservationStatus {
        match self.state {
            ReservationState::Held { until } if now < until => ReservationStatus::Held,
            ReservationState::Held { .. } | ReservationState::Expired => ReservationStatus::Expired,
            ReservationState::Confirmed { .. } => ReservationStatus::Confirmed,
            ReservationState::Cancelled { .. } => ReservationStatus::Cancelled,
        }
    }

    /// When what is shown of it at `now` last changed: the end of the hold for one that lapsed.
    pub fn changed_at(&self, now: Timestamp) -> Timestamp {
        match self.state {
            ReservationState::Held { until } if until <= now => until,
            _ => self.updated_at,
        }
    }

    /// The payment that it was confirmed by, also after its refund.
    pub fn payment_id(&self) -> Option<PaymentId> {
        match self.state {
            ReservationState::Confirmed { payment_id } => Some(payment_id),
            ReservationState::Cancelled { payment_id, .. } => payment_id,
            ReservationState::Held { .. } | ReservationState::Expired => None,
        }
    }

    /// What its seats are called, in the order in which they were asked for.
    pub fn labels(&self) -> Vec<SeatLabel> {
        self.seats.iter().map(|seat| seat.label.clone()).collect()
    }

    /// The key of its cancellation, if it was cancelled under one.
    pub fn cancelled_under(&self) -> Option<&Idempotency> {
        match &self.state {
            ReservationState::Cancelled { idempotency, .. } => idempotency.as_ref(),
            _ => None,
        }
    }
}

/// A reservation with what is shown of its performance.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct ReservationView {
    pub reservation: Reservation,
    pub performance: PerformanceTerms,
}

/// An account wants seats.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct HoldRequest {
    /// The id of the reservation to be made.
    pub reservation_id: ReservationId,
    pub account_id: AccountId,
    /// The concert that the account was admitted to.
    pub concert_id: ConcertId,
    pub performance_id: PerformanceId,
    pub seats: SeatSelection,
    /// How long the hold lasts.
    pub hold_seconds: NonZeroU32,
    /// How many holds of the concert may end unpaid before the account has to wait.
    pub unpaid_holds_free: u32,
    /// The caller's key, if it gave one.
    pub idempotency: Option<Idempotency>,
}

/// Why seats were not held. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HoldRefusal {
    /// There is no such performance.
    #[error("the performance does not exist")]
    PerformanceNotFound,
    /// The account was admitted to another concert than the performance's.
    #[error("the performance belongs to another concert")]
    WrongConcert,
    /// The performance has started.
    #[error("the performance has started")]
    PerformanceStarted,
    /// The performance is taken from sale.
    #[error("the performance is no longer sold")]
    PerformanceWithdrawn,
    /// The concert is not sold at the moment.
    #[error(transparent)]
    NotOnSale(#[from] NotOnSale),
    /// The performance has no seats of these labels.
    #[error("the performance has no such seat")]
    SeatNotFound(Vec<SeatLabel>),
    /// Too many holds of the concert ended unpaid.
    #[error("too many holds of this concert ended unpaid; the next may begin in {seconds_left} s")]
    Cooldown {
        /// How long the account has to wait, rounded up.
        seconds_left: u64,
    },
    /// The account would have more seats of the concert than it may.
    #[error("an account may have {limit} seats of this concert")]
    SeatLimitReached {
        /// The most seats.
        limit: u32,
    },
    /// The concert wants holds to be covered, and the wallet does not cover all that the account would hold.
    #[error("the wallet has {balance} points, and {required} are needed for all that is held")]
    InsufficientPoints {
        /// What the wallet has.
        balance: Points,
        /// What all holds of the account, with the new one, cost.
        required: Points,
    },
    /// Some seats are held or sold.
    #[error("some seats are not available")]
    SeatUnavailable {
        /// Those seats, as they are.
        seats: Vec<Seat>,
        /// Those of them that the account itself holds and has not paid.
        held_by_account: Vec<SeatLabel>,
    },
    /// The idempotency key names another request.
    #[error(transparent)]
    KeyReused(#[from] KeyReused),
}

/// An account cancels one of its reservations.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct CancelRequest {
    pub reservation_id: ReservationId,
    pub account_id: AccountId,
    /// The caller's key, if it gave one.
    pub idempotency: Option<Idempotency>,
}

/// Why a reservation was not cancelled. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CancelRefusal {
    /// There is no such reservation of this account.
    #[error("the reservation does not exist")]
    NotFound,
    /// It was cancelled before.
    #[error("the reservation is cancelled already")]
    AlreadyCancelled,
    /// Its hold has lapsed, so there is nothing to cancel.
    #[error("the hold has expired")]
    HoldExpired,
    /// It is paid, and its performance has started at the latest time that was announced since.
    #[error("the performance has started; a paid reservation can no longer be cancelled")]
    Closed,
    /// The idempotency key names another request.
    #[error(transparent)]
    KeyReused(#[from] KeyReused),
}

/// Why a hold was not made.
pub type HoldError = ActError<HoldRefusal>;

/// Why a reservation was not cancelled.
pub type CancelError = ActError<CancelRefusal>;

/// Keeps reservations and the seats they are of. Time is judged by the implementor's [`Clock`](crate::Clock) at the
/// moment of decision, when everything is loaded and locked. [`sale`](crate::sale) is how an implementor decides.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Reservations: Send + Sync {
    /// Carries out [`Command::Hold`](crate::sale::Command::Hold) in one transaction. Exactly one of several concurrent
    /// calls gets a seat, and concurrent calls of one account never exceed its limit, in which seats that it owns count
    /// too. A repeated request under its idempotency key gets the reservation
    /// [as it was made](ReservationView::replay_hold), or [`KeyReused`].
    async fn hold(&self, request: HoldRequest) -> Result<Made<ReservationView>, HoldError>;

    /// Carries out [`Command::Cancel`](crate::sale::Command::Cancel) in one transaction, the refund with it. Exactly one
    /// of several concurrent calls succeeds, and only one of cancelling and paying. A repeated request under the key
    /// that the reservation was cancelled with gets it again, as it is.
    async fn cancel(&self, request: CancelRequest) -> Result<Made<ReservationView>, CancelError>;

    /// A reservation of this account; `None` also if it is another account's.
    async fn find(&self, account_id: AccountId, id: ReservationId) -> Result<Option<ReservationView>, StorageError>;

    /// The reservation that this account made under this key, as it is now. Another account's reservation under the same
    /// key is not shown.
    async fn find_by_key(
        &self,
        account_id: AccountId,
        key: &IdempotencyKey,
    ) -> Result<Option<ReservationView>, StorageError>;

    /// The reservations of an account, newest first; with `status` only those [shown](Reservation::status) with it.
    async fn list(
        &self,
        account_id: AccountId,
        status: Option<ReservationStatus>,
        page: PageRequest<ReservationId>,
    ) -> Result<Page<ReservationView, ReservationId>, StorageError>;

    /// Until when the account holds seats of this concert that it has not paid: the end of the last of its live holds;
    /// `None` if it has none. Holds of other concerts do not count.
    async fn held_until(&self, account_id: AccountId, concert_id: ConcertId)
    -> Result<Option<Timestamp>, StorageError>;

    /// Carries out [`Command::Expire`](crate::sale::Command::Expire) for at most `limit` holds whose time is over, the
    /// oldest first, and returns how many it marked. Loads no more than that.
    async fn expire_due(&self, limit: u32) -> Result<u32, StorageError>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, instant};

    #[test]
    fn statuses_are_named_as_they_are_parsed() {
        for status in ReservationStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        assert_eq!("".parse::<ReservationStatus>(), Err(UnknownReservationStatus));
    }

    #[test]
    fn a_hold_changes_when_it_lapses() {
        let held = fixtures::held(&fixtures::terms(), &["A-1-1"]);
        assert_eq!((held.changed_at(instant(299)), held.changed_at(instant(300))), (instant(0), instant(300)));
        assert_eq!(held.changed_at(instant(301)), instant(300));
    }
}
