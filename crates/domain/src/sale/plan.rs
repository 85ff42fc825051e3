//! Which rows a batch needs.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::{
    AccountId, ChargeId, ChargeRefundId, ConcertId, PerformanceId, ReservationId,
    catalog::PerformanceTerms,
    idempotency::IdempotencyKey,
    payments::Payment,
    reservations::{Reservation, ReservationState},
    seats::SeatLabel,
};

use super::Command;

/// The rows that a batch needs.
///
/// Rows lead to other rows, so an adapter loads in this order, which is also the order in which it locks:
///
/// 1. `accounts`: lock them (for instance their wallets), so that each account's writes run one after the other.
/// 2. `reservation_keys`, `payment_keys`, `charge_keys`, `charge_refund_keys`: find what was made under these keys. Add the
///    ids of the reservations, charges and refunds to the plan, and pass the payments to [`Self::include_payment`].
/// 3. `reservations`, with their payments if `reservations_to_refund` names them. Pass each reservation to
///    [`Self::include_reservation`].
/// 4. `charges`, `charge_refunds`, `holdings`, `seats`, and last `performances` (their terms). Pass the terms to [`Self::include_terms`].
/// 5. `held_amounts`, if there are any.
///
/// Sets are sorted, so that all batches lock rows of one kind in one order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadPlan {
    /// Accounts whose writes must not run beside the batch.
    pub accounts: BTreeSet<AccountId>,
    /// Reservations.
    pub reservations: BTreeSet<ReservationId>,
    /// Reservations whose payment is needed too, if they have one.
    pub reservations_to_refund: BTreeSet<ReservationId>,
    /// Charges.
    pub charges: BTreeSet<ChargeId>,
    /// Refunds of charges.
    pub charge_refunds: BTreeSet<ChargeRefundId>,
    /// Performances whose terms are needed.
    pub performances: BTreeSet<PerformanceId>,
    /// Seats by performance.
    pub seats: BTreeMap<PerformanceId, BTreeSet<SeatLabel>>,
    /// Accounts and concerts of which all held and confirmed reservations are needed, as [`Holding`](super::Holding)s, and
    /// the [`HoldBudget`](super::HoldBudget).
    pub holdings: BTreeSet<(AccountId, ConcertId)>,
    /// Accounts that ask for seats of a performance.
    pub asking: BTreeSet<(PerformanceId, AccountId)>,
    /// Accounts of which the amounts of all holds are needed, of whatever concerts, as
    /// [`HeldAmount`](super::HeldAmount)s.
    pub held_amounts: BTreeSet<AccountId>,
    /// Idempotency keys under which reservations may have been made, without repetition.
    pub reservation_keys: Vec<(AccountId, IdempotencyKey)>,
    /// Idempotency keys under which payments may have been made, without repetition.
    pub payment_keys: Vec<(AccountId, IdempotencyKey)>,
    /// Idempotency keys under which charges may have been begun, without repetition.
    pub charge_keys: Vec<(AccountId, IdempotencyKey)>,
    /// Idempotency keys under which refunds of charges may have been begun, without repetition.
    pub charge_refund_keys: Vec<(AccountId, IdempotencyKey)>,
}

impl LoadPlan {
    /// What the commands name themselves.
    pub fn new(commands: &[Command]) -> Self {
        let mut plan = Self::default();
        for command in commands {
            plan.accounts.insert(command.account_id());
            plan.include_command(command);
        }
        let [reservations, payments] = [&mut plan.reservation_keys, &mut plan.payment_keys];
        for keys in [reservations, payments, &mut plan.charge_keys, &mut plan.charge_refund_keys] {
            let mut seen = HashSet::new();
            keys.retain(|key| seen.insert(key.clone()));
        }
        plan
    }

    fn include_command(&mut self, command: &Command) {
        match command {
            Command::Hold(request) => {
                self.performances.insert(request.performance_id);
                let seats = self.seats.entry(request.performance_id).or_default();
                seats.extend(request.seats.labels().iter().cloned());
                self.holdings.insert((request.account_id, request.concert_id));
                self.asking.insert((request.performance_id, request.account_id));
                let key = request.idempotency.as_ref().map(|idempotency| idempotency.key.clone());
                self.reservation_keys.extend(key.map(|key| (request.account_id, key)));
            }
            Command::Pay(request) => {
                self.reservations.insert(request.reservation_id);
                self.holdings.insert((request.account_id, request.concert_id));
                self.payment_keys.push((request.account_id, request.idempotency.key.clone()));
            }
            Command::Cancel(request) => {
                self.reservations.insert(request.reservation_id);
                self.reservations_to_refund.insert(request.reservation_id);
            }
            Command::Expire { reservation_id, .. } => {
                self.reservations.insert(*reservation_id);
            }
            Command::BeginCharge(request) => {
                self.charge_keys.push((request.account_id, request.idempotency.key.clone()));
            }
            Command::CompleteCharge { charge_id, .. } => {
                self.charges.insert(*charge_id);
            }
            Command::BeginChargeRefund(request) => {
                self.charges.insert(request.charge_id);
                self.charge_refund_keys.push((request.account_id, request.idempotency.key.clone()));
            }
            Command::CompleteChargeRefund { refund_id, charge_id, .. } => {
                self.charges.insert(*charge_id);
                self.charge_refunds.insert(*refund_id);
            }
        }
    }

    /// Adds what a loaded reservation leads to: its terms, its seats while it has any, and what its end has to be counted
    /// with.
    pub fn include_reservation(&mut self, reservation: &Reservation) {
        if let ReservationState::Held { .. } = reservation.state {
            self.holdings.insert((reservation.account_id, reservation.concert_id));
        }
        self.performances.insert(reservation.performance_id);
        if matches!(reservation.state, ReservationState::Held { .. } | ReservationState::Confirmed { .. }) {
            let seats = self.seats.entry(reservation.performance_id).or_default();
            seats.extend(reservation.seats.iter().map(|seat| seat.label.clone()));
        }
    }

    /// Adds what loaded terms lead to: all that the accounts hold which ask for seats, if holds need a balance.
    pub fn include_terms(&mut self, terms: &PerformanceTerms) {
        if terms.holds_need_balance {
            let asking = self.asking.iter().filter(|(performance_id, _)| *performance_id == terms.id);
            self.held_amounts.extend(asking.map(|(_, account_id)| *account_id));
        }
    }

    /// Adds what a payment that was found by its key leads to: its reservation.
    pub fn include_payment(&mut self, payment: &Payment) {
        self.reservations.insert(payment.reservation_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixtures, gateway::GatewayVerdict, idempotency::Idempotency, reservations::HoldRequest, sale::testing::Sale,
    };

    #[test]
    fn a_plan_names_each_key_once_and_locks_the_account_of_each_command() {
        let terms = fixtures::terms();
        let hold = HoldRequest {
            idempotency: Some(fixtures::idempotency()),
            ..fixtures::hold_request(&terms, &["A-1-2", "A-1-1"])
        };
        let charge = fixtures::charge_request(10);
        let batch = [
            Command::Hold(hold.clone()),
            Command::Hold(hold.clone()),
            Command::BeginCharge(charge.clone()),
            Command::BeginCharge(charge.clone()),
        ];
        let plan = LoadPlan::new(&batch);
        let key = |idempotency: &Idempotency| idempotency.key.clone();
        let expected = LoadPlan {
            accounts: [hold.account_id, charge.account_id].into(),
            performances: [terms.id].into(),
            seats: [(terms.id, hold.seats.labels().iter().cloned().collect())].into(),
            holdings: [(hold.account_id, terms.concert_id)].into(),
            asking: [(terms.id, hold.account_id)].into(),
            reservation_keys: vec![(hold.account_id, key(hold.idempotency.as_ref().unwrap()))],
            charge_keys: vec![(charge.account_id, key(&charge.idempotency))],
            ..LoadPlan::default()
        };
        assert_eq!(plan, expected);
    }

    #[test]
    fn all_that_an_account_holds_is_needed_only_where_holds_need_a_balance() {
        let (usual, strict) = (fixtures::terms(), PerformanceTerms { holds_need_balance: true, ..fixtures::terms() });
        let holds = [&usual, &strict].map(|terms| fixtures::hold_request(terms, &["A-1-1"]));
        let mut plan = LoadPlan::new(&holds.clone().map(Command::Hold));
        for terms in [&usual, &strict] {
            plan.include_terms(terms);
        }
        assert_eq!(plan.held_amounts, [holds[1].account_id].into());
    }

    #[test]
    fn acts_on_a_reservation_lead_to_its_terms_and_to_its_seats_while_it_has_any() {
        let held = fixtures::held(&fixtures::terms(), &["A-1-1"]);
        let pay = fixtures::pay_request(&held);
        let batch = [
            Command::Pay(pay.clone()),
            Command::Cancel(fixtures::cancel_request(&held)),
            Command::Expire { reservation_id: held.id, account_id: held.account_id },
            Command::CompleteCharge {
                charge_id: fixtures::charge_request(1).charge_id,
                account_id: held.account_id,
                verdict: GatewayVerdict::Approved,
                reference: None,
            },
        ];
        let mut plan = LoadPlan::new(&batch);
        assert_eq!(plan.accounts, [held.account_id].into());
        assert_eq!((plan.reservations.clone(), plan.charges.len()), ([held.id].into(), 1));
        assert_eq!(plan.reservations_to_refund, [held.id].into());
        assert_eq!(plan.holdings, [(held.account_id, held.concert_id)].into());
        assert_eq!(plan.payment_keys, [(held.account_id, pay.idempotency.key)]);
        assert!(plan.performances.is_empty() && plan.seats.is_empty());

        plan.holdings.clear();
        let expired = Reservation { state: ReservationState::Expired, ..held.clone() };
        plan.include_reservation(&expired);
        assert_eq!((plan.performances.len(), plan.seats.len(), plan.holdings.len()), (1, 0, 0));
        let (mut sale, paid) = Sale::held(55_000);
        plan.include_payment(&sale.paid(1, &paid).payment.payment);
        assert_eq!(plan.reservations, [held.id, paid.id].into());
        plan.include_reservation(&held);
        assert_eq!(plan.seats, [(held.performance_id, [held.seats[0].label.clone()].into())].into());
        assert_eq!(plan.holdings, [(held.account_id, held.concert_id)].into());
    }
}
