//! What a batch has to save.

use crate::{
    ConcertId, PerformanceId,
    events::Event,
    payments::Payment,
    reservations::Reservation,
    seats::Seat,
    wallet::{Charge, ChargeRefund, Wallet, WalletEntry},
};

use super::{HoldBudget, SaleState};

/// What a batch has to save, each row once and as it is after the last command.
///
/// A row is either new or changed, never both: one that the batch itself made and changed is new. Rows come in the order
/// of their keys, in which the [`LoadPlan`](super::LoadPlan) has them locked.
#[derive(Clone, Copy, Debug)]
pub struct Changes<'a> {
    pub(super) state: &'a SaleState,
}

impl<'a> Changes<'a> {
    /// Whether there is nothing to save. Every change has an event, so a batch without events changed nothing.
    pub fn is_empty(&self) -> bool {
        self.events().is_empty()
    }

    /// The events, in the order of the commands; to be stored in the same transaction.
    pub fn events(&self) -> &'a [Event] {
        &self.state.events
    }

    /// Wallets that were loaded and have changed.
    pub fn wallets(&self) -> impl Iterator<Item = &'a Wallet> {
        self.state.wallets.changed()
    }

    /// New lines of the wallets' histories.
    pub fn entries(&self) -> &'a [WalletEntry] {
        &self.state.entries
    }

    /// Reservations to be inserted.
    pub fn reservations_new(&self) -> impl Iterator<Item = &'a Reservation> {
        self.state.reservations.made()
    }

    /// Reservations to be updated: their state and [`updated_at`](Reservation::updated_at).
    pub fn reservations_changed(&self) -> impl Iterator<Item = &'a Reservation> {
        self.state.reservations.changed()
    }

    /// Payments to be inserted.
    pub fn payments_new(&self) -> impl Iterator<Item = &'a Payment> {
        self.state.payments.made()
    }

    /// Payments to be updated: their state.
    pub fn payments_changed(&self) -> impl Iterator<Item = &'a Payment> {
        self.state.payments.changed()
    }

    /// Charges to be inserted.
    pub fn charges_new(&self) -> impl Iterator<Item = &'a Charge> {
        self.state.charges.made()
    }

    /// Charges to be updated: their state, reference and refunded points.
    pub fn charges_changed(&self) -> impl Iterator<Item = &'a Charge> {
        self.state.charges.changed()
    }

    /// Refunds of charges to be inserted.
    pub fn charge_refunds_new(&self) -> impl Iterator<Item = &'a ChargeRefund> {
        self.state.charge_refunds.made()
    }

    /// Refunds of charges to be updated: their state.
    pub fn charge_refunds_changed(&self) -> impl Iterator<Item = &'a ChargeRefund> {
        self.state.charge_refunds.changed()
    }

    /// Counts of holds that ended unpaid, to be inserted or replaced.
    pub fn hold_budgets(&self) -> impl Iterator<Item = &'a HoldBudget> {
        self.state.hold_budgets.made().chain(self.state.hold_budgets.changed())
    }

    /// The concerts of the holds that ended, once for each, and whether it was paid. A hold that lapsed ends when it is
    /// marked.
    pub fn holds_ended(&self) -> impl Iterator<Item = (ConcertId, bool)> {
        self.events().iter().filter_map(|event| {
            let (Event::ReservationConfirmed { reservation_id, .. }
            | Event::ReservationCancelled { reservation_id, .. }
            | Event::ReservationExpired { reservation_id, .. }) = event
            else {
                return None;
            };
            let reservation = self.state.reservations.get(reservation_id)?;
            let paid = matches!(event, Event::ReservationConfirmed { .. });
            // A cancellation ends a hold unless that was paid before.
            (paid || reservation.payment_id().is_none()).then_some((reservation.concert_id, paid))
        })
    }

    /// Seats to be updated: their state.
    pub fn seats(&self) -> impl Iterator<Item = (PerformanceId, &'a Seat)> {
        let performances = self.state.seats.iter();
        performances.flat_map(|(performance_id, seats)| seats.changed().map(|seat| (*performance_id, seat)))
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        fixtures,
        gateway::GatewayVerdict,
        sale::{Command, Outcome, SaleState, testing::Sale},
        wallet::ChargeRequest,
    };

    /// How many wallets, entries, reservations, payments, charges and seats there are to save, new ones before changed.
    fn counts(state: &SaleState) -> [usize; 9] {
        let changes = state.changes();
        [
            changes.wallets().count(),
            changes.entries().len(),
            changes.reservations_new().count(),
            changes.reservations_changed().count(),
            changes.payments_new().count(),
            changes.payments_changed().count(),
            changes.charges_new().count(),
            changes.charges_changed().count(),
            changes.seats().count(),
        ]
    }

    #[test]
    fn a_row_is_new_in_the_batch_that_makes_it_and_changed_in_later_ones() {
        let (mut sale, held) = Sale::held(60_000);
        let request = ChargeRequest { account_id: sale.account_id, ..fixtures::charge_request(5_000) };
        let (charge_id, account_id) = (request.charge_id, request.account_id);
        sale.decide::<Outcome>(0, &Command::BeginCharge(request));
        assert_eq!(counts(&sale.state), [1, 0, 1, 0, 0, 0, 1, 0, 1]);
        assert!(!sale.state.changes().is_empty());
        sale.commit();
        assert!(sale.state.changes().is_empty());

        sale.paid(1, &held);
        sale.decide::<Outcome>(
            1,
            &Command::CompleteCharge { charge_id, account_id, verdict: GatewayVerdict::Approved, reference: None },
        );
        assert_eq!(counts(&sale.state), [1, 2, 0, 1, 1, 0, 0, 1, 1]);
        sale.cancelled(2, &held);
        assert_eq!(counts(&sale.state), [1, 3, 0, 1, 1, 0, 0, 1, 1], "the payment is new in this batch");
    }

    #[test]
    fn a_hold_ends_once_paid_or_not() {
        let ended = |sale: &Sale| sale.state.changes().holds_ended().collect::<Vec<_>>();
        let (mut sale, held) = Sale::held(60_000);
        assert_eq!(ended(&sale), []);
        sale.paid(1, &held);
        sale.cancelled(2, &held);
        assert_eq!(ended(&sale), [(held.concert_id, true)]);
        for lapses in [false, true] {
            let (mut sale, held) = Sale::held(0);
            if lapses {
                let command = Command::Expire { reservation_id: held.id, account_id: held.account_id };
                sale.decide::<Outcome>(300, &command);
            } else {
                sale.cancelled(2, &held);
            }
            assert_eq!(ended(&sale), [(held.concert_id, false)], "{lapses}");
        }
    }

    #[test]
    fn a_refund_in_a_later_batch_changes_the_payment() {
        let (mut sale, held) = Sale::held(60_000);
        sale.paid(1, &held);
        sale.commit();
        sale.cancelled(2, &held);
        assert_eq!(counts(&sale.state), [1, 1, 0, 1, 0, 1, 0, 0, 1]);
    }
}
