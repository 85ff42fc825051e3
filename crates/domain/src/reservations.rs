//! Seats of one performance, held for or owned by one account.

use std::{collections::HashSet, fmt, str::FromStr};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    AccountId, ConcertId, PaymentId, PerformanceId, Points, ReservationId, StorageError, Timestamp,
    catalog::{NotOnSale, PartName, PerformanceTerms},
    events::Event,
    idempotency::{Idempotency, IdempotencyKey, KeyReused, Made},
    page::{Page, PageRequest},
    payments::{Payment, PaymentState},
    text::string_conversions,
    time::seconds_after,
    wallet::{EntryKind, Wallet, WalletEntry},
};

/// The most seats of one reservation, where nothing else is set.
pub const SEATS_PER_RESERVATION_MAX: usize = 4;
/// How long a hold lasts where nothing else is set.
pub const HOLD_SECONDS_DEFAULT: u32 = 300;
/// The most bytes of a seat label: two names of 255 characters, two dashes and a number.
pub const SEAT_LABEL_BYTES_MAX: usize = 2_060;

/// The label of a seat: `SECTION-ROW-NUMBER`, unique within its performance.
///
/// ```
/// use boxoffice_domain::reservations::SeatLabel;
/// assert_eq!(SeatLabel::new("A-1-12")?.as_str(), "A-1-12");
/// assert!(SeatLabel::new("A-1").is_err());
/// assert!(SeatLabel::new("A-1-01").is_err());
/// # Ok::<(), boxoffice_domain::reservations::InvalidSeatLabel>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SeatLabel(String);

/// The text is not the label of a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a seat label is `SECTION-ROW-NUMBER`")]
pub struct InvalidSeatLabel;

impl SeatLabel {
    /// Checks a label.
    pub fn new(text: &str) -> Result<Self, InvalidSeatLabel> {
        let mut parts = text.split('-');
        let (Some(section), Some(row), Some(number), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidSeatLabel);
        };
        let number_is_plain = number.parse::<u32>().is_ok_and(|parsed| parsed > 0 && parsed.to_string() == number);
        let name_is_plain = |name: &str| PartName::new(name).is_ok_and(|parsed| parsed.as_str() == name);
        if number_is_plain && name_is_plain(section) && name_is_plain(row) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidSeatLabel)
        }
    }

    /// The label of a seat in a plan.
    pub fn of(section: &PartName, row: &PartName, number: u32) -> Self {
        Self(format!("{}-{}-{number}", section.as_str(), row.as_str()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names of the section and the row, and the number in the row.
    ///
    /// ```
    /// use boxoffice_domain::reservations::SeatLabel;
    /// assert_eq!(SeatLabel::new("A-1-12")?.parts(), ("A", "1", 12));
    /// # Ok::<(), boxoffice_domain::reservations::InvalidSeatLabel>(())
    /// ```
    pub fn parts(&self) -> (&str, &str, u32) {
        // A label has three parts, the last of which is a number: it was checked when it was made.
        let mut parts = self.0.splitn(3, '-');
        let (section, row) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        (section, row, parts.next().and_then(|number| number.parse().ok()).unwrap_or_default())
    }
}

string_conversions! {
    SeatLabel, InvalidSeatLabel;
}

/// Seats that are wanted together: 1 to [`SEATS_PER_RESERVATION_MAX`] distinct labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatSelection(Vec<SeatLabel>);

/// Why labels are not a selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// None at all.
    #[error("select at least one seat")]
    Empty,
    /// More than allowed.
    #[error("select at most {seats_max} seats")]
    TooMany {
        /// The most seats of one reservation.
        seats_max: usize,
    },
    /// One label twice.
    #[error("the seat is selected twice")]
    Repeated {
        /// The index of the later of the two.
        index: usize,
    },
}

impl SeatSelection {
    /// Checks labels; they keep their order.
    pub fn new(labels: Vec<SeatLabel>) -> Result<Self, SelectionError> {
        Self::with_max(labels, SEATS_PER_RESERVATION_MAX)
    }

    /// As [`Self::new`], with another number of seats allowed.
    pub fn with_max(labels: Vec<SeatLabel>, seats_max: usize) -> Result<Self, SelectionError> {
        if labels.is_empty() {
            return Err(SelectionError::Empty);
        }
        if labels.len() > seats_max {
            return Err(SelectionError::TooMany { seats_max });
        }
        let mut seen = HashSet::new();
        match labels.iter().position(|label| !seen.insert(label)) {
            Some(index) => Err(SelectionError::Repeated { index }),
            None => Ok(Self(labels)),
        }
    }

    /// The labels.
    pub fn labels(&self) -> &[SeatLabel] {
        &self.0
    }
}

/// Whether a seat can be had, as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeatStatus {
    /// It can be had.
    Available,
    /// Somebody has it in hand and has not paid yet.
    Held,
    /// It is sold.
    Sold,
}

impl SeatStatus {
    /// The name of the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Held => "held",
            Self::Sold => "sold",
        }
    }
}

/// Whose a seat is. Written by the decisions of this crate alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeatState {
    /// Nobody's.
    Free,
    /// Held; nobody's again from `until` on, whether or not anybody has tidied up.
    Held {
        /// The reservation that holds it.
        by: ReservationId,
        /// The first instant at which the hold is over.
        until: Timestamp,
    },
    /// Sold.
    Sold {
        /// The reservation that owns it.
        to: ReservationId,
    },
}

impl SeatState {
    /// How the seat is shown at `now`.
    pub fn status(&self, now: Timestamp) -> SeatStatus {
        match self {
            Self::Sold { .. } => SeatStatus::Sold,
            Self::Held { until, .. } if now < *until => SeatStatus::Held,
            Self::Held { .. } | Self::Free => SeatStatus::Available,
        }
    }

    /// The reservation written on the seat, lapsed or not.
    pub fn reservation_id(&self) -> Option<ReservationId> {
        match self {
            Self::Free => None,
            Self::Held { by, .. } => Some(*by),
            Self::Sold { to } => Some(*to),
        }
    }
}

/// One place of one performance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Its label.
    pub label: SeatLabel,
    /// What it costs.
    pub price: Points,
    /// Whose it is.
    pub state: SeatState,
}

/// A seat of a reservation, at the price at which it was held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservedSeat {
    /// Its label.
    pub label: SeatLabel,
    /// What it costs.
    pub price: Points,
}

/// How a reservation is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReservationStatus {
    /// Waiting for its payment.
    Held,
    /// Paid: the seats are owned.
    Confirmed,
    /// Given up by its owner.
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

/// How far a reservation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Given up.
    Cancelled {
        /// The payment that was refunded, where it had been paid.
        payment_id: Option<PaymentId>,
    },
    /// The hold lapsed, and was tidied away.
    Expired,
}

/// Some seats of one performance, held for or owned by one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Its id.
    pub id: ReservationId,
    /// Whose it is.
    pub account_id: AccountId,
    /// The performance.
    pub performance_id: PerformanceId,
    /// The performance's concert.
    pub concert_id: ConcertId,
    /// The seats, in the order in which they were asked for.
    pub seats: Vec<ReservedSeat>,
    /// The sum of their prices.
    pub total_amount: Points,
    /// How far it has come.
    pub state: ReservationState,
    /// Until when its hold lasted, or lasts.
    pub held_until: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// The key under which it was asked for.
    pub idempotency: Option<Idempotency>,
}

impl Reservation {
    /// How it is shown at `now`: a hold whose time is over is expired, tidied away or not.
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
            ReservationState::Cancelled { payment_id } => payment_id,
            ReservationState::Held { .. } | ReservationState::Expired => None,
        }
    }

    /// The reservation as it was first answered: what a repeated request gets.
    #[must_use]
    pub fn as_made(self) -> Self {
        let (until, created_at) = (self.held_until, self.created_at);
        Self { state: ReservationState::Held { until }, updated_at: created_at, ..self }
    }

    /// The reservation as it was when its payment was first answered.
    #[must_use]
    pub fn as_paid(self, payment: &Payment) -> Self {
        Self { state: ReservationState::Confirmed { payment_id: payment.id }, updated_at: payment.paid_at, ..self }
    }
}

/// A reservation with what is shown of its performance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservationView {
    /// The reservation.
    pub reservation: Reservation,
    /// Its performance.
    pub performance: PerformanceTerms,
}

// ---------------------------------------------------------------------------------------------------
// Hold
// ---------------------------------------------------------------------------------------------------

/// An account wants seats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldRequest {
    /// The id of the reservation to be made.
    pub reservation_id: ReservationId,
    /// Who wants them.
    pub account_id: AccountId,
    /// The concert that the account was admitted to.
    pub concert_id: ConcertId,
    /// The performance.
    pub performance_id: PerformanceId,
    /// The seats.
    pub seats: SeatSelection,
    /// How long the hold shall last.
    pub hold_seconds: u32,
    /// The caller's key, if it gave one.
    pub idempotency: Option<Idempotency>,
}

/// Why seats were not held. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HoldRefusal {
    /// There is no such performance.
    #[error("the performance does not exist")]
    PerformanceNotFound,
    /// The account was admitted to another concert than the performance's.
    #[error("the performance belongs to another concert than the queue token")]
    WrongConcert,
    /// The performance has started.
    #[error("the performance has started")]
    PerformanceStarted,
    /// The concert is not sold at the moment.
    #[error(transparent)]
    NotOnSale(#[from] NotOnSale),
    /// The performance has no seats of these labels.
    #[error("the performance has no such seat")]
    SeatNotFound(Vec<SeatLabel>),
    /// The account would have more seats of the concert than it may.
    #[error("an account may have {limit} seats of this concert")]
    SeatLimitReached {
        /// The most seats.
        limit: u32,
    },
    /// These seats are held or sold.
    #[error("some seats are not available")]
    SeatUnavailable(Vec<SeatLabel>),
    /// The idempotency key names another request.
    #[error(transparent)]
    KeyReused(#[from] KeyReused),
}

/// Seats are held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The new reservation.
    pub reservation: Reservation,
    /// Its seats as they are now.
    pub seats: Vec<Seat>,
    /// What to tell.
    pub event: Event,
}

/// Decides whether an account gets the seats that it wants: all of them, or none.
///
/// `terms` are those of the performance, `seats_had` is how many seats of the concert the account holds
/// and owns already, `seats` are those of the wanted labels that the performance has, in any order.
///
/// ```
/// use boxoffice_domain::{fixtures, reservations::{hold, HoldRefusal}};
///
/// let (now, terms) = (fixtures::instant(0), fixtures::terms());
/// let request = fixtures::hold_request(&terms, &["A-1-1"]);
/// let held = hold(now, &request, Some(&terms), 0, fixtures::seats(&["A-1-1"]))?;
///
/// // The same seat a second time, a moment before the hold lapses and the moment it does.
/// let late = fixtures::hold_request(&terms, &["A-1-1"]);
/// let refusal = hold(fixtures::instant(299), &late, Some(&terms), 0, held.seats.clone()).unwrap_err();
/// assert!(matches!(refusal, HoldRefusal::SeatUnavailable(_)));
/// assert!(hold(fixtures::instant(300), &late, Some(&terms), 0, held.seats).is_ok());
/// # Ok::<(), HoldRefusal>(())
/// ```
pub fn hold(
    now: Timestamp,
    request: &HoldRequest,
    terms: Option<&PerformanceTerms>,
    seats_had: u32,
    seats: Vec<Seat>,
) -> Result<Held, HoldRefusal> {
    let terms = terms.ok_or(HoldRefusal::PerformanceNotFound)?;
    if terms.concert_id != request.concert_id {
        return Err(HoldRefusal::WrongConcert);
    }
    if now >= terms.starts_at {
        return Err(HoldRefusal::PerformanceStarted);
    }
    terms.sales.check(now)?;
    let wanted = request.seats.labels();
    let seats = in_order_of(wanted, seats)?;
    let limit = terms.max_seats_per_account;
    if u64::from(seats_had) + wanted.len() as u64 > u64::from(limit) {
        return Err(HoldRefusal::SeatLimitReached { limit });
    }
    let taken = seats.iter().filter(|seat| seat.state.status(now) != SeatStatus::Available);
    let taken: Vec<_> = taken.map(|seat| seat.label.clone()).collect();
    if !taken.is_empty() {
        return Err(HoldRefusal::SeatUnavailable(taken));
    }
    Ok(take(now, request, seats))
}

fn in_order_of(wanted: &[SeatLabel], mut seats: Vec<Seat>) -> Result<Vec<Seat>, HoldRefusal> {
    let missing = wanted.iter().filter(|label| !seats.iter().any(|seat| seat.label == **label));
    let missing: Vec<_> = missing.cloned().collect();
    if !missing.is_empty() {
        return Err(HoldRefusal::SeatNotFound(missing));
    }
    seats.sort_by_key(|seat| wanted.iter().position(|label| *label == seat.label));
    Ok(seats)
}

fn take(now: Timestamp, request: &HoldRequest, mut seats: Vec<Seat>) -> Held {
    let until = seconds_after(now, request.hold_seconds);
    for seat in &mut seats {
        seat.state = SeatState::Held { by: request.reservation_id, until };
    }
    let reserved = seats.iter().map(|seat| ReservedSeat { label: seat.label.clone(), price: seat.price });
    let reservation = Reservation {
        id: request.reservation_id,
        account_id: request.account_id,
        performance_id: request.performance_id,
        concert_id: request.concert_id,
        seats: reserved.collect(),
        total_amount: seats.iter().map(|seat| seat.price).sum(),
        state: ReservationState::Held { until },
        held_until: until,
        created_at: now,
        updated_at: now,
        idempotency: request.idempotency.clone(),
    };
    let event = Event::ReservationHeld {
        reservation_id: reservation.id,
        account_id: reservation.account_id,
        performance_id: reservation.performance_id,
        seats: request.seats.labels().to_vec(),
        held_until: until,
    };
    Held { reservation, seats, event }
}

// ---------------------------------------------------------------------------------------------------
// Cancel
// ---------------------------------------------------------------------------------------------------

/// An account gives up a reservation of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelRequest {
    /// The reservation.
    pub reservation_id: ReservationId,
    /// Who asks.
    pub account_id: AccountId,
    /// The caller's key, if it gave one.
    pub idempotency: Option<Idempotency>,
}

/// Why a reservation was not cancelled. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CancelRefusal {
    /// There is no such reservation of this account.
    #[error("the reservation does not exist")]
    NotFound,
    /// It was cancelled before.
    #[error("the reservation is cancelled already")]
    AlreadyCancelled,
    /// Its hold has lapsed, so there is nothing to give up.
    #[error("the hold has expired")]
    HoldExpired,
    /// It is paid and its performance has started.
    #[error("the performance has started; a paid reservation can no longer be cancelled")]
    Closed,
    /// The idempotency key names another request.
    #[error(transparent)]
    KeyReused(#[from] KeyReused),
}

/// A reservation is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancelled {
    /// The reservation as it is now.
    pub reservation: Reservation,
    /// Its seats as they are now: free.
    pub seats: Vec<Seat>,
    /// The wallet as it is now.
    pub wallet: Wallet,
    /// The refund in the wallet's history, where it had been paid.
    pub entry: Option<WalletEntry>,
    /// The refunded payment, where it had been paid.
    pub payment: Option<Payment>,
    /// What to tell.
    pub event: Event,
}

/// Decides whether a reservation may be given up: a hold while it lasts, a paid one until the performance
/// starts, with a refund of all that was paid.
///
/// `reservation` is whatever has the id, whoever owns it; `seats` are those of its labels, `wallet` is that
/// of the asking account, `payment` that of the reservation.
///
/// # Panics
///
/// Where `payment` is not the completed payment of a confirmed reservation: without it points would be lost.
pub fn cancel(
    now: Timestamp,
    request: &CancelRequest,
    reservation: Option<Reservation>,
    terms: &PerformanceTerms,
    seats: Vec<Seat>,
    wallet: &Wallet,
    payment: Option<Payment>,
) -> Result<Cancelled, CancelRefusal> {
    let reservation =
        reservation.filter(|found| found.account_id == request.account_id).ok_or(CancelRefusal::NotFound)?;
    match reservation.status(now) {
        ReservationStatus::Cancelled => Err(CancelRefusal::AlreadyCancelled),
        ReservationStatus::Expired => Err(CancelRefusal::HoldExpired),
        ReservationStatus::Confirmed if now >= terms.starts_at => Err(CancelRefusal::Closed),
        ReservationStatus::Held | ReservationStatus::Confirmed => Ok(give_up(now, reservation, seats, wallet, payment)),
    }
}

fn give_up(
    now: Timestamp,
    mut reservation: Reservation,
    seats: Vec<Seat>,
    wallet: &Wallet,
    payment: Option<Payment>,
) -> Cancelled {
    let payment_id = reservation.payment_id();
    let paid = payment.filter(|payment| Some(payment.id) == payment_id && payment.state == PaymentState::Completed);
    assert_eq!(payment_id.is_some(), paid.is_some(), "a confirmed reservation comes with its completed payment");
    let (wallet, entry) = match &paid {
        Some(payment) => {
            let kind = EntryKind::Refund { reservation_id: reservation.id };
            let (wallet, entry) = wallet.give_back(now, payment.amount, kind);
            (wallet, Some(entry))
        }
        None => (wallet.clone(), None),
    };
    let payment = paid.map(|payment| Payment { state: PaymentState::Refunded { refunded_at: now }, ..payment });
    let seats = freed(&reservation, seats);
    reservation.state = ReservationState::Cancelled { payment_id };
    reservation.updated_at = now;
    let event = Event::ReservationCancelled {
        reservation_id: reservation.id,
        account_id: reservation.account_id,
        performance_id: reservation.performance_id,
        refunded: payment.as_ref().map(|payment| payment.amount).unwrap_or_default(),
    };
    Cancelled { reservation, seats, wallet, entry, payment, event }
}

/// The seats that are still this reservation's, made free; one that has been taken over is not touched.
fn freed(reservation: &Reservation, seats: Vec<Seat>) -> Vec<Seat> {
    let own = seats.into_iter().filter(|seat| seat.state.reservation_id() == Some(reservation.id));
    own.map(|seat| Seat { state: SeatState::Free, ..seat }).collect()
}

// ---------------------------------------------------------------------------------------------------
// Expire
// ---------------------------------------------------------------------------------------------------

/// A lapsed hold is tidied away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expired {
    /// The reservation as it is now.
    pub reservation: Reservation,
    /// Those of its seats that nobody else has taken meanwhile: free.
    pub seats: Vec<Seat>,
    /// What to tell.
    pub event: Event,
}

/// Tidies a hold away whose time is over at `now`; `None` where it is not, or where it is no hold.
pub fn expire(now: Timestamp, mut reservation: Reservation, seats: Vec<Seat>) -> Option<Expired> {
    match reservation.state {
        ReservationState::Held { until } if until <= now => {
            let seats = freed(&reservation, seats);
            reservation.state = ReservationState::Expired;
            // It expired then, whenever somebody comes to tidy up.
            reservation.updated_at = until;
            let event = Event::ReservationExpired {
                reservation_id: reservation.id,
                account_id: reservation.account_id,
                performance_id: reservation.performance_id,
            };
            Some(Expired { reservation, seats, event })
        }
        _ => None,
    }
}

// ---------------------------------------------------------------------------------------------------
// Port
// ---------------------------------------------------------------------------------------------------

/// Why a hold was not made.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// A rule refuses.
    #[error(transparent)]
    Refused(#[from] HoldRefusal),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why a reservation was not cancelled.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    /// A rule refuses.
    #[error(transparent)]
    Refused(#[from] CancelRefusal),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Keeps reservations and the seats they are of. Time is judged by the implementor's
/// [`Clock`](crate::Clock) at the moment of decision, when everything is loaded and locked.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Reservations: Send + Sync {
    /// Decides with [`hold()`] and stores the outcome in one transaction. Exactly one of several
    /// concurrent calls gets a seat, and concurrent calls of one account never exceed its limit. Under
    /// a known idempotency key, gives the reservation [as it was made](Reservation::as_made), or
    /// [`KeyReused`].
    async fn hold(&self, request: HoldRequest) -> Result<Made<ReservationView>, HoldError>;

    /// Decides with [`cancel()`] and stores the outcome in one transaction, the refund with it. Exactly one
    /// of several concurrent calls succeeds, and only one of cancelling and paying. Under the key that the
    /// reservation was cancelled with, gives it again.
    async fn cancel(&self, request: CancelRequest) -> Result<Made<ReservationView>, CancelError>;

    /// A reservation of this account; `None` also where it is another's.
    async fn find(&self, account_id: AccountId, id: ReservationId) -> Result<Option<ReservationView>, StorageError>;

    /// The reservation that this account made under this key.
    async fn find_by_key(
        &self,
        account_id: AccountId,
        key: &IdempotencyKey,
    ) -> Result<Option<ReservationView>, StorageError>;

    /// The reservations of an account, newest first, with `status` only those [shown](Reservation::status)
    /// with it.
    async fn list(
        &self,
        account_id: AccountId,
        status: Option<ReservationStatus>,
        page: PageRequest<ReservationId>,
    ) -> Result<Page<ReservationView, ReservationId>, StorageError>;

    /// Until when the account holds seats of a concert that it has not paid, if it does: the end of the last
    /// of its holds.
    async fn held_until(&self, account_id: AccountId, concert_id: ConcertId)
    -> Result<Option<Timestamp>, StorageError>;

    /// Tidies away, with [`expire()`], at most `limit` holds whose time is over, the oldest first, and gives
    /// how many. Loads no more than that.
    async fn expire_due(&self, limit: u32) -> Result<u32, StorageError>;
}

impl fmt::Display for SeatStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, instant};

    #[test]
    fn labels_are_section_row_and_plain_number() {
        for good in ["A-1-1", "VIP석-나-120", "F 1-B-7"] {
            assert_eq!(SeatLabel::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "A", "A-1", "A-1-0", "A-1-01", "A-1-+1", "A-1-x", "A-1-1-1", " A-1-1", "-1-1", "A--1"] {
            assert!(SeatLabel::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_selection_is_one_to_four_distinct_seats() {
        let labels = |texts: &[&str]| texts.iter().map(|text| SeatLabel::new(text).unwrap()).collect::<Vec<_>>();
        assert_eq!(SeatSelection::new(vec![]), Err(SelectionError::Empty));
        assert_eq!(
            SeatSelection::new(labels(&["A-1-1", "A-1-2", "A-1-1"])),
            Err(SelectionError::Repeated { index: 2 })
        );
        assert!(SeatSelection::new(labels(&["A-1-1", "A-1-2", "A-1-3", "A-1-4"])).is_ok());
        assert_eq!(
            SeatSelection::new(labels(&["A-1-1", "A-1-2", "A-1-3", "A-1-4", "A-1-5"])),
            Err(SelectionError::TooMany { seats_max: 4 })
        );
    }

    #[test]
    fn a_hold_takes_all_seats_in_the_order_asked_for_at_their_prices() {
        let terms = fixtures::terms();
        let request = fixtures::hold_request(&terms, &["A-1-2", "A-1-1"]);
        let held = hold(instant(0), &request, Some(&terms), 0, fixtures::seats(&["A-1-1", "A-1-2"])).unwrap();
        let labels: Vec<_> = held.reservation.seats.iter().map(|seat| seat.label.as_str()).collect();
        assert_eq!(labels, ["A-1-2", "A-1-1"]);
        assert_eq!(held.reservation.total_amount.get(), 110_000);
        assert_eq!(held.reservation.held_until, instant(300));
        assert!(held.seats.iter().all(|seat| seat.state.status(instant(299)) == SeatStatus::Held));
        assert!(held.seats.iter().all(|seat| seat.state.status(instant(300)) == SeatStatus::Available));
    }

    #[test]
    fn each_refusal_of_a_hold_has_its_cause() {
        let terms = fixtures::terms();
        let request = fixtures::hold_request(&terms, &["A-1-1", "A-1-2"]);
        let free = || fixtures::seats(&["A-1-1", "A-1-2"]);
        let refused = |now, request: &HoldRequest, terms: Option<&PerformanceTerms>, had, seats| {
            hold(now, request, terms, had, seats).unwrap_err()
        };
        let now = instant(0);
        assert_eq!(refused(now, &request, None, 0, vec![]), HoldRefusal::PerformanceNotFound);
        let elsewhere = HoldRequest { concert_id: ConcertId::new(uuid::Uuid::from_u128(99)), ..request.clone() };
        assert_eq!(refused(now, &elsewhere, Some(&terms), 0, free()), HoldRefusal::WrongConcert);
        assert_eq!(refused(terms.starts_at, &request, Some(&terms), 0, free()), HoldRefusal::PerformanceStarted);
        let early = terms.sales.open_at() - chrono::TimeDelta::microseconds(1);
        assert_eq!(refused(early, &request, Some(&terms), 0, free()), HoldRefusal::NotOnSale(NotOnSale::NotOpen));
        let closed = terms.sales.close_at();
        assert_eq!(refused(closed, &request, Some(&terms), 0, free()), HoldRefusal::NotOnSale(NotOnSale::Closed));
        let missing = SeatLabel::new("A-1-2").unwrap();
        assert_eq!(
            refused(now, &request, Some(&terms), 0, fixtures::seats(&["A-1-1"])),
            HoldRefusal::SeatNotFound(vec![missing.clone()])
        );
        assert_eq!(refused(now, &request, Some(&terms), 3, free()), HoldRefusal::SeatLimitReached { limit: 4 });
        let mut seats = free();
        seats[1].state = SeatState::Sold { to: ReservationId::new(uuid::Uuid::from_u128(7)) };
        assert_eq!(refused(now, &request, Some(&terms), 0, seats), HoldRefusal::SeatUnavailable(vec![missing]));
    }

    #[test]
    fn cancelling_a_hold_frees_its_seats_and_moves_no_points() {
        let terms = fixtures::terms();
        let request = fixtures::hold_request(&terms, &["A-1-1"]);
        let held = hold(instant(0), &request, Some(&terms), 0, fixtures::seats(&["A-1-1"])).unwrap();
        let wallet = Wallet::new(request.account_id, instant(0));
        let request = fixtures::cancel_request(&held.reservation);
        let back =
            cancel(instant(1), &request, Some(held.reservation.clone()), &terms, held.seats.clone(), &wallet, None)
                .unwrap();
        assert_eq!(back.reservation.status(instant(1)), ReservationStatus::Cancelled);
        assert_eq!(back.seats[0].state, SeatState::Free);
        assert_eq!((back.wallet, back.entry, back.payment), (wallet.clone(), None, None));

        let again = cancel(instant(1), &request, Some(back.reservation), &terms, vec![], &wallet, None);
        assert_eq!(again.unwrap_err(), CancelRefusal::AlreadyCancelled);
        let late =
            cancel(instant(300), &request, Some(held.reservation.clone()), &terms, held.seats.clone(), &wallet, None);
        assert_eq!(late.unwrap_err(), CancelRefusal::HoldExpired);
        let stranger = CancelRequest { account_id: AccountId::new(uuid::Uuid::from_u128(9)), ..request };
        let foreign = cancel(instant(1), &stranger, Some(held.reservation), &terms, held.seats, &wallet, None);
        assert_eq!(foreign.unwrap_err(), CancelRefusal::NotFound);
    }

    #[test]
    fn expiring_leaves_a_seat_that_somebody_else_has_taken() {
        let terms = fixtures::terms();
        let request = fixtures::hold_request(&terms, &["A-1-1"]);
        let held = hold(instant(0), &request, Some(&terms), 0, fixtures::seats(&["A-1-1"])).unwrap();
        assert_eq!(expire(instant(299), held.reservation.clone(), held.seats.clone()), None);

        let next = fixtures::hold_request(&terms, &["A-1-1"]);
        let taken = hold(instant(300), &next, Some(&terms), 0, held.seats).unwrap();
        let expired = expire(instant(300), held.reservation, taken.seats).unwrap();
        assert_eq!(expired.reservation.state, ReservationState::Expired);
        assert_eq!(expired.seats, vec![]);
    }
}
