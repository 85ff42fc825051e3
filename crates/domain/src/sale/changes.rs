//! What a batch has to save.

use crate::{
    PerformanceId,
    events::Event,
    payments::Payment,
    reservations::Reservation,
    seats::Seat,
    wallet::{Charge, Wallet, WalletEntry},
};

use super::SaleState;

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

    /// Charges to be updated: their state.
    pub fn charges_changed(&self) -> impl Iterator<Item = &'a Charge> {
        self.state.charges.changed()
    }

    /// Seats to be updated: their state.
    pub fn seats(&self) -> impl Iterator<Item = (PerformanceId, &'a Seat)> {
        let performances = self.state.seats.iter();
        performances.flat_map(|(performance_id, seats)| seats.changed().map(|seat| (*performance_id, seat)))
    }
}
