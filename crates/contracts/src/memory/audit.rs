//! Comparing what is stored with the promises of the domain.

use std::collections::BTreeMap;

use async_trait::async_trait;
use boxoffice_domain::{
    Points, StorageError, Timestamp,
    audit::{Audit, Breach},
    payments::PaymentState,
    reservations::{Reservation, ReservationState, ReservationStatus},
    seats::SeatState,
    wallet::ChargeState,
};

use super::{MemoryStore, Rows};

#[async_trait]
impl Audit for MemoryStore {
    async fn breaches(&self) -> Result<Vec<Breach>, StorageError> {
        let (rows, now) = (self.rows(), self.now());
        let mut breaches = rows.seat_breaches(now);
        breaches.extend(rows.payment_breaches());
        breaches.extend(rows.wallet_breaches());
        Ok(breaches)
    }
}

fn breach(invariant: &'static str, detail: impl std::fmt::Debug) -> Breach {
    Breach { invariant, detail: format!("{detail:?}") }
}

impl Rows {
    fn seat_breaches(&self, now: Timestamp) -> Vec<Breach> {
        let mut breaches = Vec::new();
        let mut owners = BTreeMap::new();
        for reservation in self.sale.reservations.values() {
            let status = reservation.status(now);
            if !matches!(status, ReservationStatus::Held | ReservationStatus::Confirmed) {
                continue;
            }
            for seat in &reservation.seats {
                let key = (reservation.performance_id, seat.label.clone());
                if owners.insert(key.clone(), reservation.id).is_some() {
                    breaches.push(breach("seat_in_one_live_reservation", &key));
                }
                let stored = self.sale.seats.get(&key.0).and_then(|seats| seats.get(&key.1));
                if stored.map(|seat| seat.state) != Some(state_of(reservation)) {
                    breaches.push(breach("live_reservation_has_its_seats", (reservation.id, &key)));
                }
            }
        }
        let named = self.sale.seats.iter().flat_map(|(id, seats)| seats.values().map(move |seat| (*id, seat)));
        for (performance_id, seat) in named {
            let of = seat.state.reservation_id().map(|id| self.sale.reservations.get(&id));
            if of.is_some_and(|found| found.is_none_or(|found| state_of(found) != seat.state)) {
                breaches.push(breach("taken_seat_has_its_reservation", (performance_id, seat)));
            }
        }
        breaches
    }

    fn payment_breaches(&self) -> Vec<Breach> {
        let mut breaches = Vec::new();
        for reservation in self.sale.reservations.values() {
            let payment = self.sale.payments.get(&reservation.id);
            let expected = match reservation.state {
                ReservationState::Held { .. } | ReservationState::Expired => None,
                ReservationState::Confirmed { payment_id } => Some((payment_id, true)),
                ReservationState::Cancelled { payment_id, .. } => payment_id.map(|id| (id, false)),
            };
            let paid = payment.map(|payment| (payment.id, payment.state == PaymentState::Completed));
            if paid != expected || payment.is_some_and(|payment| payment.amount != reservation.total_amount) {
                breaches.push(breach("confirmed_reservation_has_one_completed_payment", reservation.id));
            }
            let kinds = self.sale.events.iter().filter(|event| event.subject() == reservation.id.uuid());
            let last = format!("reservation_{}", stored_status(reservation).as_str());
            if !kinds.map(boxoffice_domain::events::Event::kind).any(|kind| kind == last) {
                breaches.push(breach("change_has_its_event", reservation.id));
            }
        }
        breaches
    }

    fn wallet_breaches(&self) -> Vec<Breach> {
        let mut breaches = Vec::new();
        for wallet in self.sale.wallets.values() {
            let entries = self.sale.entries.iter().filter(|entry| entry.account_id == wallet.account_id);
            let balance: i64 = entries.map(|entry| entry.amount).sum();
            if balance != wallet.balance.get() {
                breaches.push(breach("balance_is_the_sum_of_the_entries", wallet.account_id));
            }
            let charges = self.sale.charges.values().filter(|charge| charge.account_id == wallet.account_id);
            let pending = charges.filter(|charge| charge.state == ChargeState::Pending).map(|charge| charge.amount);
            if Points::checked_sum(pending) != Some(wallet.pending) {
                breaches.push(breach("pending_is_the_sum_of_the_pending_charges", wallet.account_id));
            }
        }
        breaches
    }
}

/// The state that the seats of a reservation have while it has any.
fn state_of(reservation: &Reservation) -> SeatState {
    match reservation.state {
        ReservationState::Held { until } => SeatState::Held { by: reservation.id, until },
        ReservationState::Confirmed { .. } => SeatState::Sold { to: reservation.id },
        ReservationState::Cancelled { .. } | ReservationState::Expired => SeatState::Free,
    }
}

/// The status without regard to the time.
fn stored_status(reservation: &Reservation) -> ReservationStatus {
    reservation.status(reservation.created_at)
}
