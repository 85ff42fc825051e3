//! What must be true of a world at every moment.

use std::collections::BTreeSet;

use boxoffice_domain::{
    Points, fixtures,
    payments::PaymentStatus,
    reservations::{HoldRequest, Reservation, ReservationState, ReservationStatus},
    sale::{Command, Outcome},
    seats::{SeatSelection, SeatStatus},
    wallet::{Charge, ChargeRefund, ChargeRefundState, ChargeState},
};
use proptest::{prop_assert, prop_assert_eq, test_runner::TestCaseError};

use super::{SEATS_PER_ACCOUNT, World};

type Checked = Result<(), TestCaseError>;

impl World {
    pub(crate) fn check(&self) -> Checked {
        self.no_seat_has_two_live_owners()?;
        self.a_reservation_has_all_of_its_seats_or_none()?;
        self.a_free_seat_can_be_had()?;
        self.none_has_more_seats_than_allowed()?;
        self.unpaid_holds_are_counted_since_the_last_payment()?;
        self.balances_equal_their_history()?;
        self.points_are_conserved()?;
        self.every_confirmed_reservation_is_paid_once()?;
        self.no_event_repeats()
    }

    fn live(&self) -> impl Iterator<Item = &Reservation> {
        self.tables.reservations.values().filter(|reservation| {
            matches!(reservation.status(self.now), ReservationStatus::Held | ReservationStatus::Confirmed)
        })
    }

    fn no_seat_has_two_live_owners(&self) -> Checked {
        let mut owned = BTreeSet::new();
        for reservation in self.live() {
            for seat in &reservation.seats {
                prop_assert!(owned.insert((reservation.performance_id, seat.label.clone())), "{seat:?} is owned twice");
            }
        }
        for (performance_id, seat) in self.seats() {
            let free = seat.state.status(self.now) == SeatStatus::Available;
            prop_assert_eq!(free, !owned.contains(&(performance_id, seat.label.clone())), "{:?} at {}", seat, self.now);
        }
        Ok(())
    }

    fn a_reservation_has_all_of_its_seats_or_none(&self) -> Checked {
        for reservation in self.tables.reservations.values() {
            let seats = &self.tables.seats[&reservation.performance_id];
            let seats: Vec<_> = reservation.seats.iter().map(|seat| &seats[&seat.label]).collect();
            let own = seats.iter().filter(|seat| seat.state.reservation_id() == Some(reservation.id));
            let expected = match reservation.status(self.now) {
                ReservationStatus::Held => SeatStatus::Held,
                ReservationStatus::Confirmed => SeatStatus::Sold,
                // A lapsed hold may not be marked yet, but its seats are available.
                ReservationStatus::Expired | ReservationStatus::Cancelled => {
                    prop_assert!(own.clone().all(|seat| seat.state.status(self.now) == SeatStatus::Available));
                    let marked = !matches!(reservation.state, ReservationState::Held { .. });
                    prop_assert!(!marked || own.count() == 0, "{:?} still has seats", reservation);
                    continue;
                }
            };
            let own = own.filter(|seat| seat.state.status(self.now) == expected);
            prop_assert_eq!(own.count(), reservation.seats.len(), "{:?} has {:?}", reservation, seats);
        }
        Ok(())
    }

    fn a_free_seat_can_be_had(&self) -> Checked {
        for (performance_id, seat) in self.seats() {
            let terms = &self.tables.terms[&performance_id];
            let request = HoldRequest {
                seats: SeatSelection::new(vec![seat.label.clone()]).unwrap(),
                ..fixtures::hold_request(terms, &["A-1-1"])
            };
            let mut tables = self.tables.clone();
            tables.add_account(request.account_id, self.now);
            let outcome = tables.write(self.now, &[Command::Hold(request)]).remove(0);
            let had = matches!(outcome, Ok(Outcome::Hold(Ok(_))));
            let expected = seat.state.status(self.now) == SeatStatus::Available && self.now < terms.starts_at;
            prop_assert_eq!(had, expected, "{:?} at {}", seat, self.now);
        }
        Ok(())
    }

    fn none_has_more_seats_than_allowed(&self) -> Checked {
        for account_id in self.tables.wallets.keys() {
            let own = self.live().filter(|reservation| reservation.account_id == *account_id);
            let seats_count: usize = own.map(|reservation| reservation.seats.len()).sum();
            prop_assert!(seats_count <= SEATS_PER_ACCOUNT as usize);
        }
        Ok(())
    }

    /// From the reservations alone, which say when each of them ended.
    fn unpaid_holds_are_counted_since_the_last_payment(&self) -> Checked {
        for budget in self.tables.hold_budgets.values() {
            let own = self.tables.reservations.values().filter(|found| found.account_id == budget.account_id);
            let ended = own.filter(|found| match found.state {
                ReservationState::Expired => true,
                ReservationState::Cancelled { payment_id, .. } => payment_id.is_none(),
                ReservationState::Held { .. } | ReservationState::Confirmed { .. } => false,
            });
            let since: Vec<_> = ended.map(|found| found.updated_at).filter(|at| Some(*at) > budget.paid_at).collect();
            prop_assert_eq!(budget.unpaid_count as usize, since.len(), "{:?}", budget);
            prop_assert_eq!(budget.last_unpaid_at, since.into_iter().max());
        }
        Ok(())
    }

    fn balances_equal_their_history(&self) -> Checked {
        for (account_id, wallet) in &self.tables.wallets {
            let (mut sequence, mut balance) = (0, 0);
            for entry in self.tables.entries.iter().filter(|entry| entry.account_id == *account_id) {
                sequence += 1;
                balance += entry.amount;
                prop_assert_eq!(entry.sequence, sequence);
                prop_assert_eq!(entry.balance_after.get(), balance);
            }
            prop_assert_eq!(wallet.entries_count, sequence);
            prop_assert_eq!(wallet.balance.get(), balance);
            prop_assert!(balance >= 0);
            let own = self.tables.charges.values().filter(|charge| charge.account_id == *account_id);
            let open = own.filter(|charge| charge.state.is_open());
            prop_assert_eq!(wallet.pending, sum(open.map(|charge| charge.amount)));
        }
        Ok(())
    }

    fn points_are_conserved(&self) -> Checked {
        let in_wallets = sum(self.tables.wallets.values().map(|wallet| wallet.balance));
        let confirmed =
            self.tables.reservations.values().filter(|found| found.status(self.now) == ReservationStatus::Confirmed);
        let in_seats = sum(confirmed.map(|reservation| reservation.total_amount));
        let is_completed = |charge: &&Charge| matches!(charge.state, ChargeState::Completed { .. });
        let completed: Vec<_> = self.tables.charges.values().filter(is_completed).collect();
        let charged = sum(completed.iter().map(|charge| charge.amount));
        let given_back = sum(self.refunds_that_count().map(|refund| refund.amount));
        let all = in_wallets.checked_add(in_seats).and_then(|points| points.checked_add(given_back));
        prop_assert_eq!(all, Some(charged));
        let credits: BTreeSet<_> = self.tables.entries.iter().filter_map(|entry| entry.kind.charge_id()).collect();
        prop_assert_eq!(credits, completed.iter().map(|charge| charge.id).collect());
        for charge in self.tables.charges.values() {
            let own = self.refunds_that_count().filter(|refund| refund.charge_id == charge.id);
            prop_assert_eq!(charge.refunded, sum(own.map(|refund| refund.amount)));
            prop_assert!(charge.refunded <= charge.amount);
            prop_assert!(charge.refunded == Points::ZERO || is_completed(&charge));
        }
        Ok(())
    }

    /// The refunds whose points are no longer in the wallet.
    fn refunds_that_count(&self) -> impl Iterator<Item = &ChargeRefund> {
        let refunds = self.tables.charge_refunds.values();
        refunds.filter(|refund| !matches!(refund.state, ChargeRefundState::Refused { .. }))
    }

    fn every_confirmed_reservation_is_paid_once(&self) -> Checked {
        for reservation in self.tables.reservations.values() {
            let payment = self.tables.payments.get(&reservation.id);
            let payment = payment.map(|payment| (payment.id, payment.account_id, payment.amount, payment.status()));
            let paid = |status| {
                reservation.payment_id().map(|id| (id, reservation.account_id, reservation.total_amount, status))
            };
            let (expected, taken) = match reservation.status(self.now) {
                ReservationStatus::Held | ReservationStatus::Expired => (None, 0),
                ReservationStatus::Confirmed => (paid(PaymentStatus::Completed), reservation.total_amount.get()),
                ReservationStatus::Cancelled => (paid(PaymentStatus::Refunded), 0),
            };
            prop_assert_eq!(payment, expected, "{:?}", reservation);
            let own = self.tables.entries.iter().filter(|entry| entry.kind.reservation_id() == Some(reservation.id));
            prop_assert_eq!(own.map(|entry| entry.amount).sum::<i64>(), -taken);
        }
        Ok(())
    }

    fn no_event_repeats(&self) -> Checked {
        let subjects: BTreeSet<_> = self.tables.events.iter().map(|event| (event.subject(), event.kind())).collect();
        prop_assert_eq!(subjects.len(), self.tables.events.len());
        Ok(())
    }
}

fn sum(points: impl Iterator<Item = Points>) -> Points {
    Points::checked_sum(points).expect("a test has few points")
}
