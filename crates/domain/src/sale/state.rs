//! What the commands of a batch are decided over.

use std::collections::{BTreeMap, HashMap};

use crate::{
    AccountId, ChargeId, ChargeRefundId, ConcertId, PerformanceId, Points, ReservationId, Timestamp,
    catalog::PerformanceTerms,
    events::Event,
    payments::Payment,
    reservations::{Reservation, ReservationState, ReservationView},
    seats::{Seat, SeatLabel},
    wallet::{Charge, ChargeRefund, Wallet, WalletEntry},
};

use super::{HoldBudget, LoadError, changes::Changes, rows::Rows};

/// Seats of one concert that an account holds or owns under one reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct Holding {
    pub account_id: AccountId,
    pub concert_id: ConcertId,
    pub reservation_id: ReservationId,
    pub seats_count: u32,
    /// When the hold ends; `None` if the seats are owned.
    pub held_until: Option<Timestamp>,
}

/// What an account has to pay for one hold of any concert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct HeldAmount {
    pub account_id: AccountId,
    pub reservation_id: ReservationId,
    pub amount: Points,
    pub held_until: Timestamp,
}

impl HeldAmount {
    /// What has to be paid for a reservation; `None` if it is no hold.
    pub fn of(reservation: &Reservation) -> Option<Self> {
        let ReservationState::Held { until } = reservation.state else { return None };
        Some(Self {
            account_id: reservation.account_id,
            reservation_id: reservation.id,
            amount: reservation.total_amount,
            held_until: until,
        })
    }
}

impl Holding {
    /// What a reservation holds, lapsed or not, or owns; `None` if it was cancelled or marked as expired.
    pub fn of(reservation: &Reservation) -> Option<Self> {
        let held_until = match reservation.state {
            ReservationState::Held { until } => Some(until),
            ReservationState::Confirmed { .. } => None,
            ReservationState::Cancelled { .. } | ReservationState::Expired => return None,
        };
        Some(Self {
            account_id: reservation.account_id,
            concert_id: reservation.concert_id,
            reservation_id: reservation.id,
            seats_count: u32::try_from(reservation.seats.len()).unwrap_or(u32::MAX),
            held_until,
        })
    }
}

/// The rows that the commands of a batch are decided over, as they are after the commands decided so far.
///
/// An adapter adds each row that the [`LoadPlan`](super::LoadPlan) names and the storage has. One that the storage does
/// not have is left out: a command about it is refused, or is a [`LoadError`] if the row must exist. Adding a row twice
/// replaces it. Each row goes where its own ids say, so a wallet cannot stand for another account's, nor a seat for two.
#[derive(Debug, Default)]
pub struct SaleState {
    wallets_optional: bool,
    pub(super) wallets: Rows<AccountId, Wallet>,
    pub(super) entries: Vec<WalletEntry>,
    pub(super) terms: HashMap<PerformanceId, PerformanceTerms>,
    pub(super) seats: BTreeMap<PerformanceId, Rows<SeatLabel, Seat>>,
    pub(super) reservations: Rows<ReservationId, Reservation>,
    pub(super) hold_budgets: Rows<(ConcertId, AccountId), HoldBudget>,
    holdings: HashMap<(AccountId, ConcertId), HashMap<ReservationId, Holding>>,
    held_amounts: HashMap<AccountId, HashMap<ReservationId, HeldAmount>>,
    pub(super) payments: Rows<ReservationId, Payment>,
    pub(super) charges: Rows<ChargeId, Charge>,
    pub(super) charge_refunds: Rows<ChargeRefundId, ChargeRefund>,
    pub(super) events: Vec<Event>,
}

impl SaleState {
    /// Nothing is loaded yet. Every account that acts must have a wallet.
    pub fn new() -> Self {
        Self::default()
    }

    /// For products that keep no points: an account needs a wallet only to charge it, or to pay or be refunded from it.
    pub fn without_wallets() -> Self {
        Self { wallets_optional: true, ..Self::default() }
    }

    /// Adds a wallet.
    pub fn add_wallet(&mut self, wallet: Wallet) {
        self.wallets.add(wallet.account_id, wallet);
    }

    /// Adds the terms of a performance.
    pub fn add_terms(&mut self, terms: PerformanceTerms) {
        self.terms.insert(terms.id, terms);
    }

    /// Adds a reservation, which is then found by its idempotency key too.
    pub fn add_reservation(&mut self, reservation: Reservation) {
        if let Some(idempotency) = &reservation.idempotency {
            self.reservations.index(reservation.account_id, &idempotency.key, reservation.id);
        }
        self.reservations.add(reservation.id, reservation);
    }

    /// Adds a payment, which is then found by its idempotency key too.
    pub fn add_payment(&mut self, payment: Payment) {
        self.payments.index(payment.account_id, &payment.idempotency.key, payment.reservation_id);
        self.payments.add(payment.reservation_id, payment);
    }

    /// Adds a charge, which is then found by its idempotency key too.
    pub fn add_charge(&mut self, charge: Charge) {
        self.charges.index(charge.account_id, &charge.idempotency.key, charge.id);
        self.charges.add(charge.id, charge);
    }

    /// Adds a refund of a charge, which is then found by its idempotency key too.
    pub fn add_charge_refund(&mut self, refund: ChargeRefund) {
        self.charge_refunds.index(refund.account_id, &refund.idempotency.key, refund.id);
        self.charge_refunds.add(refund.id, refund);
    }

    /// Adds a seat of a performance.
    pub fn add_seat(&mut self, performance_id: PerformanceId, seat: Seat) {
        self.seats.entry(performance_id).or_default().add(seat.label.clone(), seat);
    }

    /// Adds what an account holds or owns of a concert under one reservation.
    pub fn add_holding(&mut self, holding: Holding) {
        let holdings = self.holdings.entry((holding.account_id, holding.concert_id)).or_default();
        holdings.insert(holding.reservation_id, holding);
    }

    /// Adds what an account has to pay for one of its holds.
    pub fn add_held_amount(&mut self, held: HeldAmount) {
        self.held_amounts.entry(held.account_id).or_default().insert(held.reservation_id, held);
    }

    /// Adds how an account's holds of a concert ended.
    pub fn add_hold_budget(&mut self, budget: HoldBudget) {
        self.hold_budgets.add((budget.concert_id, budget.account_id), budget);
    }

    /// What the commands decided so far have changed.
    pub fn changes(&self) -> Changes<'_> {
        Changes { state: self }
    }

    /// Checks that the account of a command that moves no points was loaded.
    pub(super) fn require_account(&self, account_id: AccountId) -> Result<(), LoadError> {
        if self.wallets_optional { Ok(()) } else { self.wallet(account_id).map(|_| ()) }
    }

    /// Whether every account has a wallet.
    pub(super) fn keeps_points(&self) -> bool {
        !self.wallets_optional
    }

    pub(super) fn wallet(&self, account_id: AccountId) -> Result<&Wallet, LoadError> {
        self.wallets.get(&account_id).ok_or(LoadError::Wallet(account_id))
    }

    pub(super) fn terms_of(&self, reservation: &Reservation) -> Result<&PerformanceTerms, LoadError> {
        self.terms.get(&reservation.performance_id).ok_or(LoadError::Terms(reservation.performance_id))
    }

    /// A reservation of this account.
    pub(super) fn reservation_of(&self, account_id: AccountId, id: ReservationId) -> Option<&Reservation> {
        self.reservations.get(&id).filter(|reservation| reservation.account_id == account_id)
    }

    pub(super) fn view(&self, reservation: Reservation) -> Result<ReservationView, LoadError> {
        let performance = self.terms_of(&reservation)?.clone();
        Ok(ReservationView { reservation, performance })
    }

    /// The loaded seats of these labels, in the order of the labels.
    pub(super) fn seats_of<'l>(
        &self,
        performance_id: PerformanceId,
        labels: impl Iterator<Item = &'l SeatLabel>,
    ) -> Vec<Seat> {
        let seats = self.seats.get(&performance_id);
        labels.filter_map(|label| seats?.get(label).cloned()).collect()
    }

    /// The seats of a reservation that still name it.
    pub(super) fn own_seats(&self, reservation: &Reservation) -> Vec<Seat> {
        let mut seats = self.seats_of(reservation.performance_id, reservation.seats.iter().map(|seat| &seat.label));
        seats.retain(|seat| seat.state.reservation_id() == Some(reservation.id));
        seats
    }

    /// What an account holds at `now` or owns of a concert.
    pub(super) fn live_holdings(
        &self,
        now: Timestamp,
        account_id: AccountId,
        concert_id: ConcertId,
    ) -> impl Iterator<Item = &Holding> {
        let holdings = self.holdings.get(&(account_id, concert_id)).into_iter().flat_map(HashMap::values);
        holdings.filter(move |holding| holding.held_until.is_none_or(|until| now < until))
    }

    /// When each hold of an account ended that has lapsed by `now` and is not marked yet.
    pub(super) fn lapsed_holds(
        &self,
        now: Timestamp,
        account_id: AccountId,
        concert_id: ConcertId,
    ) -> impl Iterator<Item = Timestamp> {
        let holdings = self.holdings.get(&(account_id, concert_id)).into_iter().flat_map(HashMap::values);
        holdings.filter_map(|holding| holding.held_until).filter(move |until| *until <= now)
    }

    /// What an account has to pay for all that it holds at `now`, if all of that was loaded.
    pub(super) fn held_total(&self, now: Timestamp, account_id: AccountId) -> Result<Points, LoadError> {
        let held = self.held_amounts.get(&account_id).into_iter().flat_map(HashMap::values);
        let amounts = held.filter(|held| now < held.held_until).map(|held| held.amount);
        Points::checked_sum(amounts).ok_or(LoadError::Overflow)
    }

    pub(super) fn save_wallet(&mut self, wallet: Wallet, entry: Option<WalletEntry>) {
        self.wallets.mark(wallet.account_id);
        self.add_wallet(wallet);
        self.entries.extend(entry);
    }

    pub(super) fn save_seats(&mut self, performance_id: PerformanceId, seats: Vec<Seat>) {
        let rows = self.seats.entry(performance_id).or_default();
        for seat in seats {
            rows.mark(seat.label.clone());
            rows.add(seat.label.clone(), seat);
        }
    }

    pub(super) fn save_reservation(&mut self, reservation: Reservation) {
        let key = (reservation.account_id, reservation.concert_id);
        match Holding::of(&reservation) {
            Some(holding) => self.add_holding(holding),
            None => drop(self.holdings.entry(key).or_default().remove(&reservation.id)),
        }
        match HeldAmount::of(&reservation) {
            Some(held) => self.add_held_amount(held),
            None => drop(self.held_amounts.entry(reservation.account_id).or_default().remove(&reservation.id)),
        }
        self.reservations.mark(reservation.id);
        self.add_reservation(reservation);
    }

    pub(super) fn save_payment(&mut self, payment: Payment) {
        self.payments.mark(payment.reservation_id);
        self.add_payment(payment);
    }

    pub(super) fn save_charge(&mut self, charge: Charge) {
        self.charges.mark(charge.id);
        self.add_charge(charge);
    }

    pub(super) fn save_charge_refund(&mut self, refund: ChargeRefund) {
        self.charge_refunds.mark(refund.id);
        self.add_charge_refund(refund);
    }
}
