//! What the commands of a batch are decided over.

use std::collections::{BTreeMap, HashMap};

use crate::{
    AccountId, ChargeId, ConcertId, PerformanceId, ReservationId, Timestamp,
    catalog::PerformanceTerms,
    events::Event,
    idempotency::{Idempotency, IdempotencyKey},
    payments::Payment,
    reservations::{Reservation, ReservationState, ReservationView},
    seats::{Seat, SeatLabel},
    wallet::{Charge, Wallet, WalletEntry},
};

use super::{
    LoadError,
    changes::{Changes, Written},
};

type ByKey<T> = HashMap<(AccountId, IdempotencyKey), T>;

/// Seats of one concert that an account holds or owns under one reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// How many seats.
    pub seats_count: u32,
    /// When the hold ends; `None` if the seats are owned.
    pub held_until: Option<Timestamp>,
}

impl Holding {
    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        self.held_until.is_none_or(|until| now < until)
    }
}

/// The rows that the commands of a batch are decided over, as they are after the commands decided so far.
///
/// An adapter adds each row that the [`LoadPlan`](super::LoadPlan) names and the storage has. Adding a row twice
/// replaces it. Each row goes where its own ids say, so a wallet cannot stand for another account's, nor a seat for two.
#[derive(Debug)]
pub struct SaleState {
    wallets_required: bool,
    pub(super) wallets: HashMap<AccountId, Wallet>,
    pub(super) terms: HashMap<PerformanceId, PerformanceTerms>,
    pub(super) reservations: HashMap<ReservationId, Reservation>,
    pub(super) payments: HashMap<ReservationId, Payment>,
    pub(super) charges: HashMap<ChargeId, Charge>,
    pub(super) seats: HashMap<PerformanceId, BTreeMap<SeatLabel, Seat>>,
    pub(super) holdings: HashMap<(AccountId, ConcertId), HashMap<ReservationId, Holding>>,
    pub(super) reservations_by_key: ByKey<ReservationId>,
    pub(super) payments_by_key: ByKey<ReservationId>,
    pub(super) charges_by_key: ByKey<ChargeId>,
    pub(super) written: Written,
}

impl Default for SaleState {
    fn default() -> Self {
        Self::new()
    }
}

impl SaleState {
    /// Nothing is loaded yet. Every account that acts must have a wallet.
    pub fn new() -> Self {
        Self {
            wallets_required: true,
            wallets: HashMap::new(),
            terms: HashMap::new(),
            reservations: HashMap::new(),
            payments: HashMap::new(),
            charges: HashMap::new(),
            seats: HashMap::new(),
            holdings: HashMap::new(),
            reservations_by_key: HashMap::new(),
            payments_by_key: HashMap::new(),
            charges_by_key: HashMap::new(),
            written: Written::default(),
        }
    }

    /// For products that keep no points: an account needs a wallet only to charge it, or to pay or be refunded from it.
    pub fn without_wallets() -> Self {
        Self { wallets_required: false, ..Self::new() }
    }

    /// Adds a wallet.
    pub fn add_wallet(&mut self, wallet: Wallet) {
        self.wallets.insert(wallet.account_id, wallet);
    }

    /// Adds the terms of a performance.
    pub fn add_terms(&mut self, terms: PerformanceTerms) {
        self.terms.insert(terms.id, terms);
    }

    /// Adds a reservation, which is then found by its idempotency key too.
    pub fn add_reservation(&mut self, reservation: Reservation) {
        if let Some(Idempotency { key, .. }) = &reservation.idempotency {
            self.reservations_by_key.insert((reservation.account_id, key.clone()), reservation.id);
        }
        self.reservations.insert(reservation.id, reservation);
    }

    /// Adds a payment, which is then found by its idempotency key too.
    pub fn add_payment(&mut self, payment: Payment) {
        self.payments_by_key.insert((payment.account_id, payment.idempotency.key.clone()), payment.reservation_id);
        self.payments.insert(payment.reservation_id, payment);
    }

    /// Adds a charge, which is then found by its idempotency key too.
    pub fn add_charge(&mut self, charge: Charge) {
        self.charges_by_key.insert((charge.account_id, charge.idempotency.key.clone()), charge.id);
        self.charges.insert(charge.id, charge);
    }

    /// Adds a seat of a performance.
    pub fn add_seat(&mut self, performance_id: PerformanceId, seat: Seat) {
        self.seats.entry(performance_id).or_default().insert(seat.label.clone(), seat);
    }

    /// Adds what an account holds or owns of a concert under one reservation.
    pub fn add_holding(&mut self, account: AccountId, concert: ConcertId, id: ReservationId, holding: Holding) {
        self.holdings.entry((account, concert)).or_default().insert(id, holding);
    }

    /// What the commands decided so far have changed.
    pub fn changes(&self) -> Changes<'_> {
        Changes { state: self }
    }

    /// Checks that the account of a command that moves no points was loaded.
    pub(super) fn require_account(&self, account_id: AccountId) -> Result<(), LoadError> {
        if self.wallets_required { self.wallet(account_id).map(|_| ()) } else { Ok(()) }
    }

    pub(super) fn wallet(&self, account_id: AccountId) -> Result<&Wallet, LoadError> {
        self.wallets.get(&account_id).ok_or(LoadError::Wallet(account_id))
    }

    pub(super) fn terms_of(&self, reservation: &Reservation) -> Result<&PerformanceTerms, LoadError> {
        self.terms.get(&reservation.performance_id).ok_or(LoadError::Terms(reservation.performance_id))
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

    /// The live holdings of an account in a concert.
    pub(super) fn live_holdings(
        &self,
        now: Timestamp,
        account_id: AccountId,
        concert_id: ConcertId,
    ) -> impl Iterator<Item = (ReservationId, Holding)> {
        let holdings = self.holdings.get(&(account_id, concert_id)).into_iter().flatten();
        holdings.map(|(id, holding)| (*id, *holding)).filter(move |(_, holding)| holding.is_live(now))
    }

    pub(super) fn save_event(&mut self, event: Event) {
        self.written.events.push(event);
    }

    pub(super) fn save_wallet(&mut self, wallet: Wallet, entry: Option<WalletEntry>) {
        self.written.wallets.insert(wallet.account_id);
        self.written.entries.extend(entry);
        self.add_wallet(wallet);
    }

    pub(super) fn save_seats(&mut self, performance_id: PerformanceId, seats: Vec<Seat>) {
        for seat in seats {
            self.written.seats.insert((performance_id, seat.label.clone()));
            self.add_seat(performance_id, seat);
        }
    }

    pub(super) fn save_reservation(&mut self, reservation: Reservation) {
        if self.reservations.contains_key(&reservation.id) {
            self.written.reservations_changed.insert(reservation.id);
        } else {
            self.written.reservations_new.insert(reservation.id);
        }
        let holdings = self.holdings.entry((reservation.account_id, reservation.concert_id)).or_default();
        let seats_count = u32::try_from(reservation.seats.len()).unwrap_or(u32::MAX);
        match &reservation.state {
            ReservationState::Held { until } => {
                holdings.insert(reservation.id, Holding { seats_count, held_until: Some(*until) });
            }
            ReservationState::Confirmed { .. } => {
                holdings.insert(reservation.id, Holding { seats_count, held_until: None });
            }
            ReservationState::Cancelled { .. } | ReservationState::Expired => {
                holdings.remove(&reservation.id);
            }
        }
        self.add_reservation(reservation);
    }

    pub(super) fn save_payment(&mut self, payment: Payment) {
        if self.payments.contains_key(&payment.reservation_id) {
            self.written.payments_changed.insert(payment.reservation_id);
        } else {
            self.written.payments_new.insert(payment.reservation_id);
        }
        self.add_payment(payment);
    }

    pub(super) fn save_charge(&mut self, charge: Charge) {
        if self.charges.contains_key(&charge.id) {
            self.written.charges_changed.insert(charge.id);
        } else {
            self.written.charges_new.insert(charge.id);
        }
        self.add_charge(charge);
    }
}
