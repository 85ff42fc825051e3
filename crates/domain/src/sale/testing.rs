//! One account at one performance, for the tests of the decisions.

use uuid::Uuid;

use crate::{
    AccountId, Points, ReservationId, Timestamp,
    catalog::PerformanceTerms,
    fixtures::{self, instant},
    idempotency::{Fingerprint, Idempotency},
    payments::{PayRequest, Receipt},
    reservations::{CancelRequest, HoldRequest, Reservation, ReservationView},
    seats::{Seat, SeatLabel},
    wallet::Wallet,
};

use super::{CancelOutcome, Command, HoldOutcome, Holding, Outcome, PayOutcome, SaleState};

pub(super) struct Sale {
    pub(super) state: SaleState,
    pub(super) terms: PerformanceTerms,
    pub(super) account_id: AccountId,
}

pub(super) fn points(number: i64) -> Points {
    Points::new(number).unwrap()
}

/// The same key for another request.
pub(super) fn reused(idempotency: &Idempotency) -> Idempotency {
    Idempotency { key: idempotency.key.clone(), fingerprint: Fingerprint([9; 16]) }
}

impl Sale {
    /// Free seats, and an account with as many points.
    pub(super) fn new(labels: &[&str], balance: i64) -> Self {
        let terms = fixtures::terms();
        let mut state = SaleState::new();
        state.add_terms(terms.clone());
        for seat in fixtures::seats(labels) {
            state.add_seat(terms.id, seat);
        }
        let account_id = fixtures::charge_request(1).account_id;
        let mut sale = Self { state, terms, account_id };
        sale.add_account(account_id, balance);
        sale
    }

    /// One seat that the account holds from second 0 to 300.
    pub(super) fn held(balance: i64) -> (Self, Reservation) {
        let mut sale = Self::new(&["A-1-1"], balance);
        let held = sale.hold(0, &sale.hold_request(&["A-1-1"])).unwrap().value.reservation;
        (sale, held)
    }

    pub(super) fn add_account(&mut self, account_id: AccountId, balance: i64) {
        let balance = points(balance);
        self.state.add_wallet(Wallet { balance, ..Wallet::new(account_id, instant(0)) });
    }

    pub(super) fn hold_request(&self, labels: &[&str]) -> HoldRequest {
        let idempotency = Some(fixtures::idempotency());
        HoldRequest { account_id: self.account_id, idempotency, ..fixtures::hold_request(&self.terms, labels) }
    }

    pub(super) fn decide<T: TryFrom<Outcome, Error: std::fmt::Debug>>(&mut self, seconds: i64, command: &Command) -> T {
        self.state.decide(instant(seconds), command).unwrap().try_into().unwrap()
    }

    pub(super) fn hold(&mut self, seconds: i64, request: &HoldRequest) -> HoldOutcome {
        self.decide(seconds, &Command::Hold(request.clone()))
    }

    pub(super) fn pay(&mut self, seconds: i64, request: &PayRequest) -> PayOutcome {
        self.decide(seconds, &Command::Pay(request.clone()))
    }

    pub(super) fn cancel(&mut self, seconds: i64, request: &CancelRequest) -> CancelOutcome {
        self.decide(seconds, &Command::Cancel(request.clone()))
    }

    pub(super) fn paid(&mut self, seconds: i64, reservation: &Reservation) -> Receipt {
        self.pay(seconds, &fixtures::pay_request(reservation)).unwrap().value
    }

    pub(super) fn cancelled(&mut self, seconds: i64, reservation: &Reservation) -> ReservationView {
        self.cancel(seconds, &fixtures::cancel_request(reservation)).unwrap().value
    }

    pub(super) fn seat(&self, label: &str) -> Seat {
        self.state.seats[&self.terms.id].get(&SeatLabel::new(label).unwrap()).unwrap().clone()
    }

    pub(super) fn set_seat(&mut self, seat: Seat) {
        self.state.add_seat(self.terms.id, seat);
    }

    /// Lets the account hold or own one seat of the concert under another reservation.
    pub(super) fn add_holding(&mut self, number: u128, held_until: Option<Timestamp>) {
        let (account_id, concert_id) = (self.account_id, self.terms.concert_id);
        let reservation_id = ReservationId::new(Uuid::from_u128(number));
        self.state.add_holding(Holding { account_id, concert_id, reservation_id, seats_count: 1, held_until });
    }

    /// Commits the batch and begins the next one, over the rows as they are stored then.
    pub(super) fn commit(&mut self) {
        let mut state = SaleState::new();
        state.add_terms(self.terms.clone());
        let changes = self.state.changes();
        changes.wallets().cloned().for_each(|wallet| state.add_wallet(wallet));
        changes.reservations_new().cloned().for_each(|reservation| state.add_reservation(reservation));
        changes.payments_new().cloned().for_each(|payment| state.add_payment(payment));
        changes.hold_budgets().for_each(|budget| state.add_hold_budget(*budget));
        changes.charges_new().cloned().for_each(|charge| state.add_charge(charge));
        changes.charge_refunds_new().cloned().for_each(|refund| state.add_charge_refund(refund));
        changes.seats().for_each(|(performance_id, seat)| state.add_seat(performance_id, seat.clone()));
        self.state = state;
    }

    pub(super) fn wallet(&self) -> &Wallet {
        self.state.wallets.get(&self.account_id).unwrap()
    }

    pub(super) fn event_kinds(&self) -> Vec<&'static str> {
        self.state.changes().events().iter().map(crate::events::Event::kind).collect()
    }
}
