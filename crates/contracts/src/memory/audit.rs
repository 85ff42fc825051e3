//! Comparing what is stored with the promises of the domain, and breaking it for the contract of the audit.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use async_trait::async_trait;
use boxoffice_domain::{
    ConcertId, Points, ReservationId, StorageError, Timestamp,
    audit::{Audit, Breach},
    payments::{PaymentSource, PaymentState},
    reservations::ReservationState,
    seats::{SeatLabel, SeatState, SeatStatus},
    wallet::{ChargeState, EntryKind, WalletEntry},
};

use super::{MemoryStore, Rows};
use crate::storage::audit::{Corrupt, Corruption};

#[async_trait]
impl Audit for MemoryStore {
    async fn breaches(&self) -> Result<Vec<Breach>, StorageError> {
        let mut found = Found::default();
        let rows = self.rows();
        rows.audit_reservations(self.now(), &mut found);
        rows.audit_wallets(&mut found);
        rows.audit_catalog(&mut found);
        Ok(found.0)
    }
}

#[derive(Default)]
struct Found(Vec<Breach>);

impl Found {
    /// Takes note of the row unless the invariant holds.
    fn unless(&mut self, holds: bool, invariant: &'static str, row: impl fmt::Debug) {
        if !holds {
            self.0.push(Breach { invariant, detail: format!("{row:?}") });
        }
    }
}

impl Rows {
    fn audit_reservations(&self, now: Timestamp, found: &mut Found) {
        let events = self.batches.iter().flat_map(|batch| &batch.events);
        let events: BTreeSet<_> = events.map(|event| (event.subject(), event.kind())).collect();
        let mut expected = BTreeMap::new();
        for reservation in self.sale.reservations.values() {
            let id = reservation.id;
            let (seats, paid, event) = match reservation.state {
                ReservationState::Held { until } => (Some(SeatState::Held { by: id, until }), None, "reservation_held"),
                ReservationState::Expired => (None, None, "reservation_expired"),
                ReservationState::Confirmed { payment_id } => {
                    (Some(SeatState::Sold { to: id }), Some((payment_id, true)), "reservation_confirmed")
                }
                ReservationState::Cancelled { payment_id, .. } => {
                    (None, payment_id.map(|payment_id| (payment_id, false)), "reservation_cancelled")
                }
            };
            // Another reservation may have taken over the seats of a lapsed hold.
            if let Some(state) = seats.filter(|state| state.status(now) != SeatStatus::Available) {
                for seat in &reservation.seats {
                    let other = expected.insert((reservation.performance_id, seat.label.clone()), state);
                    found.unless(other.is_none(), "seat_in_one_live_reservation", (id, seat));
                }
            }
            let total = Points::checked_sum(reservation.seats.iter().map(|seat| seat.price));
            let total_is_right = total == Some(reservation.total_amount);
            found.unless(total_is_right, "reservation_total_is_the_sum_of_its_seats", id);
            let payment = self.sale.payments.get(&id);
            let completed = payment.map(|payment| (payment.id, payment.state == PaymentState::Completed));
            let amount_is_right = payment.is_none_or(|payment| payment.amount == reservation.total_amount);
            let paid_once = completed == paid && amount_is_right;
            found.unless(paid_once, "confirmed_reservation_has_one_completed_payment", id);
            found.unless(events.contains(&(id.uuid(), event)), "change_has_its_event", id);
        }
        let seats = self.sale.seats.iter().flat_map(|(id, seats)| seats.values().map(move |seat| (*id, seat)));
        for (performance_id, seat) in seats {
            let state = expected.get(&(performance_id, seat.label.clone())).unwrap_or(&SeatState::Free);
            // What a lapsed hold left on a seat means nothing.
            let is_right = *state == seat.state || seat.state.status(now) == SeatStatus::Available;
            found.unless(
                is_right && state.status(now) == seat.state.status(now),
                "live_reservation_has_its_seats",
                (performance_id, seat),
            );
        }
    }

    fn audit_wallets(&self, found: &mut Found) {
        for wallet in self.sale.wallets.values() {
            let entries = self.sale.entries.iter().filter(|entry| entry.account_id == wallet.account_id);
            let balance: i64 = entries.map(|entry| entry.amount).sum();
            let is_right = balance == wallet.balance.get();
            found.unless(is_right, "balance_is_the_sum_of_the_entries", wallet.account_id);
            let charges = self.sale.charges.values().filter(|charge| charge.account_id == wallet.account_id);
            let pending = charges.filter(|charge| charge.state == ChargeState::Pending).map(|charge| charge.amount);
            let is_right = Points::checked_sum(pending) == Some(wallet.pending);
            found.unless(is_right, "pending_is_the_sum_of_the_pending_charges", wallet.account_id);
        }
    }
}

impl Rows {
    fn audit_catalog(&self, found: &mut Found) {
        for performance in self.performances.rows.values() {
            let seats = self.seats_in_order(performance.id);
            let total = seats.len() == performance.seats_total as usize;
            let ordinals = seats.iter().zip(0..).all(|(seat, ordinal)| seat.ordinal == ordinal);
            found.unless(total && ordinals, "performance_has_all_its_seats", performance.id);
            let prices = || seats.iter().map(|seat| seat.price);
            let range = (prices().min(), prices().max());
            let is_right = range == (Some(performance.price_min), Some(performance.price_max));
            found.unless(is_right, "price_range_is_that_of_the_seats", performance.id);
        }
        for venue in self.venues.rows.values().filter(|venue| !venue.overlaps_allowed) {
            let bookings = self.venue_bookings(venue.id).bookings;
            let taken_once = bookings.iter().all(|booking| booking.conflict(&bookings).is_none());
            found.unless(taken_once, "venue_has_one_performance_at_a_time", venue.id);
        }
        for reservation in self.sale.reservations.values() {
            let performance = self.performances.rows.get(&reservation.performance_id);
            let is_right = performance.is_some_and(|found| found.concert_id == reservation.concert_id);
            found.unless(is_right, "concert_is_that_of_the_performance", reservation.id);
        }
        for payment in self.sale.payments.values() {
            let of_payment = |entry: &&WalletEntry| matches!(entry.kind, EntryKind::Payment { payment_id, .. } if payment_id == payment.id);
            let entry = self.sale.entries.iter().find(of_payment);
            let is_right = payment.balance_after() == entry.map(|entry| entry.balance_after);
            found.unless(is_right, "balance_after_is_that_of_the_entry", payment.id);
        }
    }
}

#[async_trait]
impl Corrupt for MemoryStore {
    async fn corrupt(&self, corruption: Corruption) {
        let to = ReservationId::new(self.entropy.uuid());
        let mut rows = self.rows();
        let sale = &mut rows.sale;
        let mut set_seat = |performance_id, label: &SeatLabel, state| {
            let seats = sale.seats.get_mut(&performance_id).expect("a performance");
            seats.get_mut(label).expect("a seat").state = state;
        };
        match corruption {
            Corruption::SeatSoldToNobody { performance_id, label } => {
                set_seat(performance_id, &label, SeatState::Sold { to });
            }
            Corruption::SeatFreed { performance_id, label } => set_seat(performance_id, &label, SeatState::Free),
            Corruption::TotalChanged { reservation_id } => {
                one_more(&mut sale.reservations.get_mut(&reservation_id).expect("a reservation").total_amount);
            }
            Corruption::PaymentRemoved { payment_id } => sale.payments.retain(|_, payment| payment.id != payment_id),
            Corruption::BalanceChanged { account_id } => {
                one_more(&mut sale.wallets.get_mut(&account_id).expect("a wallet").balance);
            }
            Corruption::ConcertChanged { reservation_id } => {
                let reservation = sale.reservations.get_mut(&reservation_id).expect("a reservation");
                reservation.concert_id = ConcertId::new(to.uuid());
            }
            Corruption::BalanceAfterChanged { payment_id } => {
                let payment = sale.payments.values_mut().find(|payment| payment.id == payment_id);
                let payment = payment.expect("a payment");
                if let PaymentSource::Wallet { balance_after } = &mut payment.source {
                    one_more(balance_after);
                }
            }
            Corruption::SeatsTotalChanged { performance_id } => {
                rows.performances.rows.get_mut(&performance_id).expect("a performance").seats_total += 1;
            }
            Corruption::PriceRangeChanged { performance_id } => {
                one_more(&mut rows.performances.rows.get_mut(&performance_id).expect("a performance").price_max);
            }
            Corruption::OverlapsForbidden { venue_id } => {
                rows.venues.rows.get_mut(&venue_id).expect("a venue").overlaps_allowed = false;
            }
            Corruption::EventsRemoved { reservation_id } => {
                for batch in &mut rows.batches {
                    batch.events.retain(|event| event.subject() != reservation_id.uuid());
                }
            }
        }
    }
}

fn one_more(points: &mut Points) {
    *points = Points::new(points.get() + 1).expect("far from the largest number");
}
