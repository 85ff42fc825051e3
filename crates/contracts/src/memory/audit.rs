//! Comparing what is stored with the promises of the domain.

mod corrupt;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, PerformanceId, Points, ReservationId, StorageError, Timestamp,
    audit::{Audit, Breach, StoredHall, StoredSeat},
    catalog::check_opening,
    events::Event,
    payments::{Payment, PaymentState},
    reservations::{Reservation, ReservationState},
    seats::{SeatState, SeatStatus},
    wallet::{Charge, ChargeRefund, ChargeRefundState, ChargeState, EntryKind, WalletEntry},
};

use super::{MemoryStore, Rows};

#[async_trait]
impl Audit for MemoryStore {
    async fn breaches(&self) -> Result<Vec<Breach>, StorageError> {
        let mut found = Found::default();
        let rows = self.rows();
        rows.audit_reservations(self.now(), &mut found);
        rows.audit_wallets(&mut found);
        rows.audit_events(&mut found);
        rows.audit_catalog(self.now(), &mut found);
        rows.audit_references(&mut found);
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
        let mut expected = BTreeMap::new();
        for reservation in self.sale.reservations.values() {
            let id = reservation.id;
            let (seats, paid) = match reservation.state {
                ReservationState::Held { until } => (Some(SeatState::Held { by: id, until }), None),
                ReservationState::Expired => (None, None),
                ReservationState::Confirmed { payment_id } => {
                    (Some(SeatState::Sold { to: id }), Some((payment_id, true)))
                }
                ReservationState::Cancelled { payment_id, .. } => {
                    (None, payment_id.map(|payment_id| (payment_id, false)))
                }
            };
            let all = self.sale.seats.get(&reservation.performance_id);
            let are_there = reservation.seats.iter().all(|seat| all.is_some_and(|all| all.contains_key(&seat.label)));
            found.unless(are_there, "reserved_seat_is_of_the_performance", id);
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
            let changed_then = changed_at(reservation, payment).is_none_or(|at| at == reservation.updated_at);
            found.unless(changed_then, "reservation_changed_when_its_status_did", id);
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
            let pending = charges.filter(|charge| charge.state.is_open()).map(|charge| charge.amount);
            let is_right = Points::checked_sum(pending) == Some(wallet.pending);
            found.unless(is_right, "pending_is_the_sum_of_the_pending_charges", wallet.account_id);
            let entries = self.sale.entries.iter().filter(|entry| entry.account_id == wallet.account_id);
            let last = entries.max_by_key(|entry| entry.sequence).map(|entry| entry.created_at);
            let account = self.accounts.get(&wallet.account_id).map(|known| known.account.created_at);
            let changed_then = last.or(account).is_none_or(|at| at == wallet.updated_at);
            found.unless(changed_then, "wallet_changed_with_its_last_entry", wallet.account_id);
        }
        for entry in &self.sale.entries {
            found.unless(self.has_cause(entry), "entry_has_its_cause", entry);
        }
        for charge in self.sale.charges.values() {
            let refunds = self.sale.charge_refunds.values().filter(|refund| refund.charge_id == charge.id);
            let counts = |refund: &&ChargeRefund| !matches!(refund.state, ChargeRefundState::Refused { .. });
            let refunded = Points::checked_sum(refunds.filter(counts).map(|refund| refund.amount));
            let own =
                self.sale.entries.iter().filter(|entry| entry.kind == EntryKind::ChargeRefund { charge_id: charge.id });
            let moved: i64 = own.map(|entry| entry.amount).sum();
            let is_right = refunded == Some(charge.refunded) && moved == -charge.refunded.get();
            found.unless(is_right, "charge_is_refunded_as_its_refunds_say", charge.id);
        }
    }

    /// Whether what an entry says is what is stored of its cause.
    fn has_cause(&self, entry: &WalletEntry) -> bool {
        let paid = |id: &ReservationId| {
            let payment = self.sale.payments.get(id).filter(|payment| payment.account_id == entry.account_id);
            payment.filter(|payment| payment.balance_after().is_some())
        };
        match entry.kind {
            EntryKind::Charge { charge_id } => self.sale.charges.get(&charge_id).is_some_and(|charge| {
                let completed_at = match charge.state {
                    ChargeState::Completed { completed_at, .. } => Some(completed_at),
                    ChargeState::Pending | ChargeState::RequiresAction | ChargeState::Declined { .. } => None,
                };
                (charge.account_id, charge.amount.get(), completed_at)
                    == (entry.account_id, entry.amount, Some(entry.created_at))
            }),
            EntryKind::ChargeRefund { charge_id } => {
                let refunds = self.sale.charge_refunds.values();
                let mut own =
                    refunds.filter(|refund| (refund.charge_id, refund.account_id) == (charge_id, entry.account_id));
                own.any(|refund| match refund.state {
                    ChargeRefundState::Refused { refused_at } if entry.amount > 0 => {
                        (refund.amount.get(), refused_at) == (entry.amount, entry.created_at)
                    }
                    _ => (-refund.amount.get(), refund.created_at) == (entry.amount, entry.created_at),
                })
            }
            EntryKind::Payment { reservation_id, payment_id } => paid(&reservation_id).is_some_and(|payment| {
                (payment.id, -payment.amount.get(), payment.paid_at) == (payment_id, entry.amount, entry.created_at)
            }),
            EntryKind::Refund { reservation_id } => paid(&reservation_id).is_some_and(|payment| {
                (payment.amount.get(), payment.refunded_at()) == (entry.amount, Some(entry.created_at))
            }),
        }
    }
}

/// When a reservation changed last, as far as another row says so.
fn changed_at(reservation: &Reservation, payment: Option<&Payment>) -> Option<Timestamp> {
    match reservation.state {
        ReservationState::Held { .. } => Some(reservation.created_at),
        ReservationState::Expired => Some(reservation.held_until),
        ReservationState::Confirmed { .. } => payment.map(|payment| payment.paid_at),
        ReservationState::Cancelled { .. } => payment.and_then(Payment::refunded_at),
    }
}

impl Rows {
    fn audit_events(&self, found: &mut Found) {
        let mut events = BTreeSet::new();
        for batch in &self.batches {
            for event in &batch.events {
                events.insert((event.subject(), event.kind()));
                let has_cause =
                    self.tells_what_is_stored(event, batch.occurred_at) || self.was_removed(event, batch.occurred_at);
                found.unless(has_cause, "event_has_its_cause", event);
            }
        }
        // Old events are removed. A lapsed hold may have been marked later than it changed, never earlier.
        let mut has_event = |subject, kind, changed_at| {
            let is_there = events.contains(&(subject, kind)) || Some(changed_at) <= self.removed_until.events;
            found.unless(is_there, "change_has_its_event", (subject, kind));
        };
        for reservation in self.sale.reservations.values() {
            let (id, changed_at) = (reservation.id.uuid(), reservation.updated_at);
            has_event(id, "reservation_held", reservation.created_at);
            if reservation.payment_id().is_some() {
                let paid_at = self.sale.payments.get(&reservation.id).map_or(changed_at, |payment| payment.paid_at);
                has_event(id, "reservation_confirmed", paid_at);
            }
            match reservation.state {
                ReservationState::Held { .. } | ReservationState::Confirmed { .. } => {}
                ReservationState::Cancelled { .. } => has_event(id, "reservation_cancelled", changed_at),
                ReservationState::Expired => has_event(id, "reservation_expired", changed_at),
            }
        }
        for charge in self.sale.charges.values() {
            has_event(charge.id.uuid(), "charge_requested", charge.created_at);
            match charge.state {
                ChargeState::Pending => {}
                ChargeState::RequiresAction => {
                    has_event(charge.id.uuid(), "charge_requires_action", charge.created_at);
                }
                ChargeState::Completed { completed_at, .. } => {
                    has_event(charge.id.uuid(), "charge_completed", completed_at);
                }
                ChargeState::Declined { declined_at, .. } => {
                    has_event(charge.id.uuid(), "charge_declined", declined_at);
                }
            }
        }
        for refund in self.sale.charge_refunds.values() {
            let id = refund.id.uuid();
            has_event(id, "charge_refund_requested", refund.created_at);
            match refund.state {
                ChargeRefundState::Pending => {}
                ChargeRefundState::Completed { completed_at } => has_event(id, "charge_refunded", completed_at),
                ChargeRefundState::Refused { refused_at } => has_event(id, "charge_refund_refused", refused_at),
            }
        }
    }

    /// Whether an event is of a reservation that was removed. An old lapsed hold may have been marked later than what was
    /// removed: its first event is old.
    fn was_removed(&self, event: &Event, occurred_at: Timestamp) -> bool {
        let is_old = Some(occurred_at) <= self.removed_until.reservations;
        let may_be = match event {
            Event::ReservationHeld { .. } => is_old,
            Event::ReservationCancelled { refunded, .. } => is_old && *refunded == Points::ZERO,
            Event::ReservationExpired { .. } => self.removed_until.reservations.is_some(),
            _ => false,
        };
        may_be && !self.sale.reservations.contains_key(&ReservationId::new(event.subject()))
    }

    /// Whether an event says of its subject what is stored.
    fn tells_what_is_stored(&self, event: &Event, occurred_at: Timestamp) -> bool {
        let reserved = |id: &ReservationId, account: &AccountId, performance: &PerformanceId| {
            let reservation = self.sale.reservations.get(id);
            reservation.filter(|found| found.account_id == *account && found.performance_id == *performance)
        };
        let charged = |id, account: &AccountId, amount: &Points| {
            let charge: Option<&Charge> = self.sale.charges.get(id);
            charge.filter(|found| found.account_id == *account && found.amount == *amount)
        };
        match event {
            Event::ReservationHeld { reservation_id, account_id, performance_id, .. } => {
                reserved(reservation_id, account_id, performance_id)
                    .is_some_and(|found| found.created_at == occurred_at)
            }
            Event::ReservationConfirmed { reservation_id, account_id, performance_id, payment_id, amount, .. } => {
                reserved(reservation_id, account_id, performance_id)
                    .is_some_and(|found| found.payment_id() == Some(*payment_id) && found.total_amount == *amount)
            }
            Event::ReservationCancelled { reservation_id, account_id, performance_id, refunded, .. } => {
                reserved(reservation_id, account_id, performance_id).is_some_and(|found| {
                    let amount = found.payment_id().map(|_| found.total_amount).unwrap_or_default();
                    let is_cancelled = matches!(found.state, ReservationState::Cancelled { .. });
                    is_cancelled && (found.updated_at, amount) == (occurred_at, *refunded)
                })
            }
            Event::ReservationExpired { reservation_id, account_id, performance_id, .. } => {
                reserved(reservation_id, account_id, performance_id)
                    .is_some_and(|found| found.state == ReservationState::Expired)
            }
            Event::ChargeRequested { charge_id, account_id, amount } => {
                charged(charge_id, account_id, amount).is_some_and(|found| found.created_at == occurred_at)
            }
            Event::ChargeCompleted { charge_id, account_id, amount, balance } => {
                let state = ChargeState::Completed { balance_after: *balance, completed_at: occurred_at };
                charged(charge_id, account_id, amount).is_some_and(|found| found.state == state)
            }
            Event::ChargeDeclined { charge_id, account_id, amount, .. } => {
                let declined_at = |found: &Charge| match found.state {
                    ChargeState::Declined { declined_at, .. } => Some(declined_at),
                    _ => None,
                };
                charged(charge_id, account_id, amount).is_some_and(|found| declined_at(found) == Some(occurred_at))
            }
            Event::ChargeRequiresAction { charge_id, account_id, amount } => {
                charged(charge_id, account_id, amount).is_some_and(|found| found.created_at <= occurred_at)
            }
            Event::ChargeRefundRequested { refund_id, account_id, amount, .. }
            | Event::ChargeRefunded { refund_id, account_id, amount, .. }
            | Event::ChargeRefundRefused { refund_id, account_id, amount, .. } => {
                let refund = self.sale.charge_refunds.get(refund_id);
                let refund = refund.filter(|found| found.account_id == *account_id && found.amount == *amount);
                refund.is_some_and(|found| match (event, found.state) {
                    (Event::ChargeRefundRequested { .. }, _) => found.created_at == occurred_at,
                    (Event::ChargeRefunded { .. }, ChargeRefundState::Refused { .. }) => true,
                    (Event::ChargeRefunded { .. }, ChargeRefundState::Completed { completed_at: ended_at })
                    | (Event::ChargeRefundRefused { .. }, ChargeRefundState::Refused { refused_at: ended_at }) => {
                        ended_at == occurred_at
                    }
                    _ => false,
                })
            }
            Event::StaffActed { act } => self.acts.contains(act),
            Event::PasswordChanged { account_id } => self.accounts.contains_key(account_id),
            Event::QueueOpened { .. } | Event::SignedInElsewhere { .. } => true,
            _ => false,
        }
    }
}

impl Rows {
    fn audit_catalog(&self, now: Timestamp, found: &mut Found) {
        for performance in self.performances.rows.values() {
            let hall = StoredHall {
                performance_id: performance.id,
                seats_total: performance.seats_total.into(),
                price_min: performance.price_min.get(),
                price_max: performance.price_max.get(),
            };
            let stored = self.sale.seats.get(&performance.id).into_iter().flat_map(|seats| seats.values());
            let seats = stored.map(|seat| StoredSeat {
                ordinal: seat.ordinal.into(),
                label: seat.label.as_str(),
                price: seat.price.get(),
            });
            match self.venues.rows.get(&performance.venue.id) {
                Some(venue) => found.0.extend(hall.breaches(&venue.plan, seats.collect())),
                None => found.unless(false, "performance_has_all_its_seats", performance.id),
            }
            let concert = self.concerts.rows.get(&performance.concert_id);
            found.unless(concert.is_some(), "what_is_referred_to_is_there", performance.id);
            let in_time = |sales| performance.withdrawn || check_opening(now, sales, performance.starts_at).is_ok();
            let in_time = concert.is_none_or(|concert| in_time(&concert.sales));
            found.unless(in_time, "performance_starts_after_its_sale_opens", performance.id);
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
    fn audit_references(&self, found: &mut Found) {
        let mut has_account = |id: &AccountId, what| {
            found.unless(self.accounts.contains_key(id), "what_is_referred_to_is_there", (what, id));
        };
        self.sessions.values().for_each(|session| has_account(&session.account_id, "a session"));
        let promoters = self.concerts.rows.values().filter_map(|concert| concert.promoter_id.as_ref());
        promoters.for_each(|promoter_id| has_account(promoter_id, "a concert"));
        self.sale.reservations.values().for_each(|found| has_account(&found.account_id, "a reservation"));
        self.sale.wallets.keys().for_each(|account_id| has_account(account_id, "a wallet"));
        self.sale.entries.iter().for_each(|entry| has_account(&entry.account_id, "an entry"));
        self.sale.charges.values().for_each(|charge| has_account(&charge.account_id, "a charge"));
    }
}
