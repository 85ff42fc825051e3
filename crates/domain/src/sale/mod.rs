//! Deciding what becomes of seats and points: the core of every storage adapter.
//!
//! Six [`Command`]s change what is sold and what is in the wallets. An adapter collects the commands that wait into a
//! batch and carries it out in one transaction:
//!
//! 1. **Load** the rows that the batch's [`LoadPlan`] names into a [`SaleState`], and lock them.
//! 2. **Decide** each command with [`SaleState::decide`], in order of arrival, with the time read after locking.
//!    A command sees what the earlier ones of its batch did; a refusal affects its own command only.
//! 3. **Save** the [`Changes`] and commit.
//! 4. **Answer** each command with its [`Outcome`], not before the commit.
//!
//! Everything that decides is here. An adapter that loads and saves faithfully keeps every promise of
//! [the crate](crate#what-always-holds), whatever it stores the rows in.
//!
//! ```
//! use boxoffice_domain::{fixtures, idempotency::Made, sale::{Command, Outcome, LoadPlan, SaleState}};
//!
//! let terms = fixtures::terms();
//! let request = fixtures::hold_request(&terms, &["A-1-1"]);
//! let batch = [Command::Hold(request.clone()), Command::Hold(fixtures::hold_request(&terms, &["A-1-1"]))];
//!
//! let plan = LoadPlan::new(&batch);
//! assert!(plan.performances.contains(&terms.id));
//! let mut state = SaleState::without_wallets();
//! state.add_terms(terms.clone());
//! for seat in fixtures::seats(&["A-1-1"]) {
//!     state.add_seat(terms.id, seat);
//! }
//!
//! let now = fixtures::instant(0);
//! let outcomes: Vec<_> = batch.iter().map(|command| state.decide(now, command)).collect();
//! assert!(matches!(outcomes[0], Ok(Outcome::Hold(Ok(Made { replayed: false, .. })))));
//! assert!(matches!(outcomes[1], Ok(Outcome::Hold(Err(_)))), "the seat is taken");
//! assert_eq!(state.changes().reservations_new().count(), 1);
//! assert_eq!(state.changes().events().len(), 1);
//! ```

mod cancel;
mod changes;
mod charge;
mod charge_refund;
mod expire;
mod hold;
mod hold_budget;
mod pay;
mod plan;
mod replay;
mod rows;
mod state;
#[cfg(test)]
mod testing;

use crate::{
    AccountId, ChargeId, ChargeRefundId, PerformanceId, ReservationId, Timestamp,
    gateway::{GatewayReference, GatewayVerdict, RefundVerdict},
    idempotency::{KeyReused, Made},
    payments::{PayRefusal, PayRequest, Receipt},
    reservations::{CancelRefusal, CancelRequest, HoldRefusal, HoldRequest, ReservationView},
    seats::SeatLabel,
    wallet::{Charge, ChargeRefund, ChargeRefundRefusal, ChargeRefundRequest, ChargeRefusal, ChargeRequest},
};

pub use changes::Changes;
pub use hold_budget::HoldBudget;
pub use pay::check_payable;
pub use plan::LoadPlan;
pub use state::{HeldAmount, Holding, SaleState};

/// One write that a caller waits for.
#[derive(Clone, Debug)]
pub enum Command {
    /// Hold seats.
    Hold(HoldRequest),
    /// Pay a reservation.
    Pay(PayRequest),
    /// Cancel a reservation.
    Cancel(CancelRequest),
    /// Mark a lapsed hold as expired and free its seats.
    Expire {
        /// The reservation.
        reservation_id: ReservationId,
        /// The reservation's account, so that its wallet can be locked before the reservation is read.
        account_id: AccountId,
    },
    /// Record a charge before the payment gateway is asked.
    BeginCharge(ChargeRequest),
    /// Record what the payment gateway answers about a charge.
    CompleteCharge {
        /// The charge.
        charge_id: ChargeId,
        /// The charge's account, so that its wallet can be locked before the charge is read.
        account_id: AccountId,
        /// What the gateway decided.
        verdict: GatewayVerdict,
        /// The gateway's name for it, if it has given one.
        reference: Option<GatewayReference>,
    },
    /// Take points of a charge out of the wallet before the payment gateway is asked for the money.
    BeginChargeRefund(ChargeRefundRequest),
    /// End a refund of a charge by the payment gateway's verdict.
    CompleteChargeRefund {
        /// The refund.
        refund_id: ChargeRefundId,
        /// Its charge.
        charge_id: ChargeId,
        /// The charge's account, so that its wallet can be locked before the refund is read.
        account_id: AccountId,
        /// What the gateway decided.
        verdict: RefundVerdict,
    },
}

impl Command {
    /// The account whose writes must be carried out one after the other.
    pub fn account_id(&self) -> AccountId {
        match self {
            Self::Hold(request) => request.account_id,
            Self::Pay(request) => request.account_id,
            Self::Cancel(request) => request.account_id,
            Self::BeginCharge(request) => request.account_id,
            Self::BeginChargeRefund(request) => request.account_id,
            Self::Expire { account_id, .. }
            | Self::CompleteCharge { account_id, .. }
            | Self::CompleteChargeRefund { account_id, .. } => *account_id,
        }
    }
}

/// What became of [`Command::Hold`].
pub type HoldOutcome = Result<Made<ReservationView>, HoldRefusal>;
/// What became of [`Command::Pay`].
pub type PayOutcome = Result<Made<Receipt>, PayRefusal>;
/// What became of [`Command::Cancel`].
pub type CancelOutcome = Result<Made<ReservationView>, CancelRefusal>;
/// What became of [`Command::Expire`]: the seats that were freed, or `None` if the hold has not lapsed or is no hold.
pub type ExpireOutcome = Option<FreedSeats>;
/// What became of [`Command::BeginCharge`].
pub type BeginChargeOutcome = Result<Made<Charge>, ChargeRefusal>;
/// What became of [`Command::CompleteCharge`]: the charge, `replayed` if it had ended before; `None` if there is none.
pub type CompleteChargeOutcome = Option<Made<Charge>>;
/// What became of [`Command::BeginChargeRefund`].
pub type BeginChargeRefundOutcome = Result<Made<ChargeRefund>, ChargeRefundRefusal>;
/// What became of [`Command::CompleteChargeRefund`]: the refund, `replayed` if it had ended before; `None` if there is none.
pub type CompleteChargeRefundOutcome = Option<Made<ChargeRefund>>;

/// What became of a [`Command`].
#[derive(Debug)]
#[expect(missing_docs, reason = "each variant is named after its command")]
pub enum Outcome {
    Hold(HoldOutcome),
    Pay(PayOutcome),
    Cancel(CancelOutcome),
    Expire(ExpireOutcome),
    BeginCharge(BeginChargeOutcome),
    CompleteCharge(CompleteChargeOutcome),
    BeginChargeRefund(BeginChargeRefundOutcome),
    CompleteChargeRefund(CompleteChargeRefundOutcome),
}

/// The outcome belongs to another kind of command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the outcome belongs to another kind of command")]
pub struct OtherOutcome;

macro_rules! outcomes {
    ($($variant:ident: $outcome:ty;)*) => {$(
        impl TryFrom<Outcome> for $outcome {
            type Error = OtherOutcome;

            fn try_from(outcome: Outcome) -> Result<Self, OtherOutcome> {
                match outcome {
                    Outcome::$variant(outcome) => Ok(outcome),
                    _ => Err(OtherOutcome),
                }
            }
        }
    )*};
}

outcomes! {
    Hold: HoldOutcome;
    Pay: PayOutcome;
    Cancel: CancelOutcome;
    Expire: ExpireOutcome;
    BeginCharge: BeginChargeOutcome;
    CompleteCharge: CompleteChargeOutcome;
    BeginChargeRefund: BeginChargeRefundOutcome;
    CompleteChargeRefund: CompleteChargeRefundOutcome;
}

/// The seats that an expired hold gave back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreedSeats {
    /// The performance.
    pub performance_id: PerformanceId,
    /// The reservation that held them.
    pub reservation_id: ReservationId,
    /// Their labels; none if other reservations have taken them all since.
    pub labels: Vec<SeatLabel>,
}

/// A command needs a row that was not loaded, or one that cannot be: a defect of the adapter, or damaged data. The
/// command changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// No wallet of this account.
    #[error("the wallet of account {0} is missing")]
    Wallet(AccountId),
    /// No terms of this performance.
    #[error("the terms of performance {0} are missing")]
    Terms(PerformanceId),
    /// No reservation of this id, though a payment names it.
    #[error("reservation {0}, which is paid, is missing")]
    Reservation(ReservationId),
    /// No completed payment of this reservation, though it is confirmed.
    #[error("the completed payment of reservation {0} is missing")]
    Payment(ReservationId),
    /// No charge of this id, though a refund names it.
    #[error("charge {0}, which is refunded, is missing")]
    Charge(ChargeId),
    /// The charge belongs to another account than the command says.
    #[error("charge {0} belongs to another account")]
    ChargeOfAnotherAccount(ChargeId),
    /// A sum of points is larger than can be represented.
    #[error("a sum of points is too large")]
    Overflow,
}

/// Why a command changed nothing.
enum NotDone<R> {
    /// A rule refuses it.
    Refused(R),
    /// Rows are missing or damaged.
    Load(LoadError),
}

impl<R> From<LoadError> for NotDone<R> {
    fn from(error: LoadError) -> Self {
        Self::Load(error)
    }
}

impl<R: From<KeyReused>> From<KeyReused> for NotDone<R> {
    fn from(reused: KeyReused) -> Self {
        Self::Refused(reused.into())
    }
}

type Decision<T, R> = Result<T, NotDone<R>>;

/// The outcome of a command, a refusal included.
fn outcome<T, R>(decision: Decision<T, R>) -> Result<Result<T, R>, LoadError> {
    match decision {
        Ok(done) => Ok(Ok(done)),
        Err(NotDone::Refused(refusal)) => Ok(Err(refusal)),
        Err(NotDone::Load(error)) => Err(error),
    }
}

impl SaleState {
    /// Decides a command at `now`, the time after the rows were locked, and shows the outcome to the commands after it.
    pub fn decide(&mut self, now: Timestamp, command: &Command) -> Result<Outcome, LoadError> {
        Ok(match command {
            Command::Hold(request) => Outcome::Hold(outcome(self.hold(now, request))?),
            Command::Pay(request) => Outcome::Pay(outcome(self.pay(now, request))?),
            Command::Cancel(request) => Outcome::Cancel(outcome(self.cancel(now, request))?),
            Command::Expire { reservation_id, account_id } => {
                Outcome::Expire(self.expire(now, *account_id, *reservation_id))
            }
            Command::BeginCharge(request) => Outcome::BeginCharge(outcome(self.begin_charge(now, request))?),
            Command::BeginChargeRefund(request) => {
                Outcome::BeginChargeRefund(outcome(self.begin_charge_refund(now, request))?)
            }
            Command::CompleteChargeRefund { refund_id, charge_id, account_id, verdict } => {
                let refund = self.charge_refunds.get(refund_id).cloned();
                if refund.as_ref().is_some_and(|refund| refund.account_id != *account_id) {
                    return Err(LoadError::ChargeOfAnotherAccount(*charge_id));
                }
                let completed = refund.map(|refund| self.complete_charge_refund(now, refund, *verdict));
                Outcome::CompleteChargeRefund(completed.transpose()?)
            }
            Command::CompleteCharge { charge_id, account_id, verdict, reference } => {
                let charge = self.charges.get(charge_id).cloned();
                if charge.as_ref().is_some_and(|charge| charge.account_id != *account_id) {
                    return Err(LoadError::ChargeOfAnotherAccount(*charge_id));
                }
                let completed = charge.map(|charge| self.complete_charge(now, charge, *verdict, reference.as_ref()));
                Outcome::CompleteCharge(completed.transpose()?)
            }
        })
    }
}
