//! Points turned into confirmed seats, and the outside gateway that fills wallets with real money.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    AccountId, ChargeId, ConcertId, PaymentId, Points, ReservationId, StorageError, Timestamp,
    catalog::PerformanceTerms,
    events::Event,
    idempotency::{Idempotency, IdempotencyKey, KeyReused, Made},
    page::{Page, PageRequest},
    reservations::{Reservation, ReservationState, ReservationStatus, ReservationView, Seat, SeatState},
    waiting_room::PlaceNumber,
    wallet::{EntryKind, GatewayVerdict, Wallet, WalletEntry},
};

/// How a payment is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// The points were taken.
    Completed,
    /// The points were given back.
    Refunded,
}

/// How far a payment has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentState {
    /// The points were taken.
    Completed,
    /// The points were given back.
    Refunded {
        /// When.
        refunded_at: Timestamp,
    },
}

/// Points turned into confirmed seats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Its id.
    pub id: PaymentId,
    /// Whose it is.
    pub account_id: AccountId,
    /// What was paid.
    pub reservation_id: ReservationId,
    /// How many points: the reservation's total.
    pub amount: Points,
    /// The balance after it.
    pub balance_after: Points,
    /// When the points were taken.
    pub paid_at: Timestamp,
    /// How far it has come.
    pub state: PaymentState,
    /// The place in the line that it spent, so that it stays spent when the line is lost.
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

    /// The payment as it was first answered: what a repeated request gets.
    #[must_use]
    pub fn as_made(self) -> Self {
        Self { state: PaymentState::Completed, ..self }
    }
}

/// An account pays a reservation of its own. How much is the reservation's to say, never the caller's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettleRequest {
    /// The id of the payment to be made.
    pub payment_id: PaymentId,
    /// The reservation.
    pub reservation_id: ReservationId,
    /// Who pays.
    pub account_id: AccountId,
    /// The concert that the account was admitted to.
    pub concert_id: ConcertId,
    /// Its place in that concert's line.
    pub queue_place: Option<PlaceNumber>,
    /// The caller's key.
    pub idempotency: Idempotency,
}

/// Why a payment was not made. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettleRefusal {
    /// There is no such reservation of this account.
    #[error("the reservation does not exist")]
    ReservationNotFound,
    /// The account was admitted to another concert than the reservation's.
    #[error("the reservation belongs to another concert than the queue token")]
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

/// A reservation is paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The new payment.
    pub payment: Payment,
    /// The reservation as it is now.
    pub reservation: Reservation,
    /// Its seats as they are now.
    pub seats: Vec<Seat>,
    /// The wallet as it is now.
    pub wallet: Wallet,
    /// The debit in the wallet's history.
    pub entry: WalletEntry,
    /// What to tell.
    pub event: Event,
}

/// Whether a reservation could be paid by its owner at `now`, points aside.
pub fn check_payable(now: Timestamp, reservation: &Reservation, terms: &PerformanceTerms) -> Result<(), SettleRefusal> {
    match reservation.status(now) {
        ReservationStatus::Confirmed => Err(SettleRefusal::AlreadyPaid),
        ReservationStatus::Cancelled => Err(SettleRefusal::Cancelled),
        ReservationStatus::Expired => Err(SettleRefusal::HoldExpired),
        ReservationStatus::Held if now >= terms.starts_at => Err(SettleRefusal::PerformanceStarted),
        ReservationStatus::Held => Ok(()),
    }
}

/// Decides whether a payment is made: the hold lasts, its seats are still its own, and the wallet has the
/// points.
///
/// `reservation` is whatever has the id, whoever owns it; `seats` are those of its labels, `wallet` is that
/// of the paying account.
pub fn settle(
    now: Timestamp,
    request: &SettleRequest,
    reservation: Option<Reservation>,
    terms: &PerformanceTerms,
    seats: Vec<Seat>,
    wallet: &Wallet,
) -> Result<Settled, SettleRefusal> {
    let owned = reservation.filter(|reservation| reservation.account_id == request.account_id);
    let reservation = owned.ok_or(SettleRefusal::ReservationNotFound)?;
    if reservation.concert_id != request.concert_id {
        return Err(SettleRefusal::WrongConcert);
    }
    check_payable(now, &reservation, terms)?;
    let own = |seat: &Seat| seat.state.reservation_id() == Some(reservation.id);
    if seats.len() != reservation.seats.len() || !seats.iter().all(own) {
        // Another instance, whose clock is ahead, saw the hold lapse first and gave a seat away.
        return Err(SettleRefusal::HoldExpired);
    }
    let kind = EntryKind::Payment { reservation_id: reservation.id, payment_id: request.payment_id };
    let required = reservation.total_amount;
    let (wallet, entry) = wallet
        .take_out(now, required, kind)
        .ok_or(SettleRefusal::InsufficientPoints { balance: wallet.balance, required })?;
    Ok(confirm(now, request, reservation, seats, wallet, entry))
}

fn confirm(
    now: Timestamp,
    request: &SettleRequest,
    mut reservation: Reservation,
    mut seats: Vec<Seat>,
    wallet: Wallet,
    entry: WalletEntry,
) -> Settled {
    reservation.state = ReservationState::Confirmed { payment_id: request.payment_id };
    reservation.updated_at = now;
    for seat in &mut seats {
        seat.state = SeatState::Sold { to: reservation.id };
    }
    let payment = Payment {
        id: request.payment_id,
        account_id: request.account_id,
        reservation_id: reservation.id,
        amount: reservation.total_amount,
        balance_after: wallet.balance,
        paid_at: now,
        state: PaymentState::Completed,
        queue_place: request.queue_place,
        idempotency: request.idempotency.clone(),
    };
    let event = Event::ReservationConfirmed {
        reservation_id: reservation.id,
        account_id: reservation.account_id,
        performance_id: reservation.performance_id,
        payment_id: payment.id,
        amount: payment.amount,
    };
    Settled { payment, reservation, seats, wallet, entry, event }
}

/// A payment with its reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentView {
    /// The payment.
    pub payment: Payment,
    /// Its reservation.
    pub reservation: ReservationView,
}

/// The answer to a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The payment, with its reservation.
    pub view: PaymentView,
    /// Until when the account still holds other seats of the concert, if it does.
    pub other_held_until: Option<Timestamp>,
}

/// Why a payment was not made.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// A rule refuses.
    #[error(transparent)]
    Refused(#[from] SettleRefusal),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Keeps payments.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Payments: Send + Sync {
    /// Decides with [`settle()`] and stores the outcome, the debit with it, in one transaction. However many
    /// calls come at once, a reservation is paid once and a point spent once. Under a known idempotency
    /// key, gives the payment [as it was made](Payment::as_made) with its reservation
    /// [as it was then](Reservation::as_paid), or [`KeyReused`].
    async fn settle(&self, request: SettleRequest) -> Result<Made<Settlement>, SettleError>;

    /// A payment of this account; `None` also where it is another's.
    async fn find(&self, account_id: AccountId, id: PaymentId) -> Result<Option<PaymentView>, StorageError>;

    /// The payment that this account made under this key.
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

    /// Whether a payment of this account spent this place in the concert's line. A place is not spent while
    /// the account still holds other seats of the concert: their payment is what spends it.
    async fn has_spent(
        &self,
        account_id: AccountId,
        concert_id: ConcertId,
        place: PlaceNumber,
    ) -> Result<bool, StorageError>;
}

/// What the payment gateway is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayRequest {
    /// The charge; the gateway keeps what it decided under this id.
    pub charge_id: ChargeId,
    /// Who pays.
    pub account_id: AccountId,
    /// How much; 1 point is 1 won.
    pub amount: Points,
}

/// Why the payment gateway gave no verdict. Whether it took the money is unknown: ask again under the same
/// charge id.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// It did not answer in time.
    #[error("the payment gateway did not answer in time")]
    TimedOut,
    /// It could not be reached, or answered nonsense.
    #[error("the payment gateway failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The outside system that takes real money for a charge.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait PaymentGateway: Send + Sync {
    /// Takes the money for a charge. Asked again under the same charge id, it takes nothing more and tells
    /// what it decided.
    async fn charge(&self, request: GatewayRequest) -> Result<GatewayVerdict, GatewayError>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixtures::{self, instant},
        reservations::{Held, hold},
    };

    fn held() -> (PerformanceTerms, Held) {
        let terms = fixtures::terms();
        let request = fixtures::hold_request(&terms, &["A-1-1", "A-1-2"]);
        let held = hold(instant(0), &request, Some(&terms), 0, fixtures::seats(&["A-1-1", "A-1-2"])).unwrap();
        (terms, held)
    }

    fn purse(held: &Held, balance: i64) -> Wallet {
        let balance = Points::new(balance).unwrap();
        Wallet { balance, ..Wallet::new(held.reservation.account_id, instant(0)) }
    }

    #[test]
    fn a_payment_takes_exactly_the_total_and_sells_the_seats() {
        let (terms, held) = held();
        let wallet = purse(&held, 110_000);
        let request = fixtures::settle_request(&held.reservation);
        let paid = settle(instant(299), &request, Some(held.reservation), &terms, held.seats, &wallet).unwrap();
        assert_eq!(paid.wallet.balance, Points::ZERO);
        assert_eq!(paid.entry.amount, -110_000);
        assert_eq!(paid.payment.amount.get(), 110_000);
        assert_eq!(paid.reservation.status(instant(9_999)), ReservationStatus::Confirmed);
        assert!(paid.seats.iter().all(|seat| seat.state == SeatState::Sold { to: paid.reservation.id }));
    }

    #[test]
    fn each_refusal_of_a_payment_has_its_cause() {
        let (terms, held) = held();
        let request = fixtures::settle_request(&held.reservation);
        let refused = |now, request: &SettleRequest, reservation: &Reservation, seats: &[Seat], balance| {
            let wallet = purse(&held, balance);
            settle(now, request, Some(reservation.clone()), &terms, seats.to_vec(), &wallet).unwrap_err()
        };
        let (reservation, seats) = (&held.reservation, &held.seats);
        assert_eq!(
            refused(instant(0), &request, reservation, seats, 109_999),
            SettleRefusal::InsufficientPoints {
                balance: Points::new(109_999).unwrap(),
                required: Points::new(110_000).unwrap()
            }
        );
        assert_eq!(refused(instant(300), &request, reservation, seats, 110_000), SettleRefusal::HoldExpired);
        let mut lost = seats.clone();
        lost[0].state = SeatState::Sold { to: ReservationId::new(uuid::Uuid::from_u128(5)) };
        assert_eq!(refused(instant(0), &request, reservation, &lost, 110_000), SettleRefusal::HoldExpired);
        let elsewhere = SettleRequest { concert_id: ConcertId::new(uuid::Uuid::from_u128(4)), ..request.clone() };
        assert_eq!(refused(instant(0), &elsewhere, reservation, seats, 110_000), SettleRefusal::WrongConcert);
        let stranger = SettleRequest { account_id: AccountId::new(uuid::Uuid::from_u128(4)), ..request.clone() };
        assert_eq!(refused(instant(0), &stranger, reservation, seats, 110_000), SettleRefusal::ReservationNotFound);
        let with = |state| Reservation { state, ..reservation.clone() };
        let paid = with(ReservationState::Confirmed { payment_id: request.payment_id });
        assert_eq!(refused(instant(0), &request, &paid, seats, 110_000), SettleRefusal::AlreadyPaid);
        let cancelled = with(ReservationState::Cancelled { payment_id: None });
        assert_eq!(refused(instant(0), &request, &cancelled, seats, 110_000), SettleRefusal::Cancelled);
        let long = with(ReservationState::Held { until: Timestamp::MAX_UTC });
        assert_eq!(refused(terms.starts_at, &request, &long, seats, 110_000), SettleRefusal::PerformanceStarted);
    }
}
