//! What a batch has to save.

use std::collections::BTreeSet;

use crate::{
    AccountId, ChargeId, PerformanceId, ReservationId,
    events::Event,
    payments::Payment,
    reservations::Reservation,
    seats::{Seat, SeatLabel},
    wallet::{Charge, Wallet, WalletEntry},
};

use super::SaleState;

/// Ids of what the commands changed. Sorted, so that rows are written in the order in which they were locked.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) reservations_new: BTreeSet<ReservationId>,
    pub(super) reservations_changed: BTreeSet<ReservationId>,
    pub(super) payments_new: BTreeSet<ReservationId>,
    pub(super) payments_changed: BTreeSet<ReservationId>,
    pub(super) charges_new: BTreeSet<ChargeId>,
    pub(super) charges_changed: BTreeSet<ChargeId>,
    pub(super) wallets: BTreeSet<AccountId>,
    pub(super) entries: Vec<WalletEntry>,
    pub(super) seats: BTreeSet<(PerformanceId, SeatLabel)>,
    pub(super) events: Vec<Event>,
}

/// What a batch has to save, each row once and as it is after the last command.
///
/// A row is either new or changed, never both: one that the batch itself made and changed is new.
#[derive(Clone, Copy, Debug)]
pub struct Changes<'a> {
    pub(super) state: &'a SaleState,
}

impl<'a> Changes<'a> {
    fn written(self) -> &'a Written {
        &self.state.written
    }

    /// Whether there is nothing to save. Every change has an event, so a batch without events changed nothing.
    pub fn is_empty(&self) -> bool {
        self.events().is_empty()
    }

    /// The events, in the order of the commands; to be stored in the same transaction.
    pub fn events(&self) -> &'a [Event] {
        &self.written().events
    }

    /// Wallets that were loaded and have changed.
    pub fn wallets(&self) -> impl Iterator<Item = &'a Wallet> {
        let state = self.state;
        self.written().wallets.iter().filter_map(|id| state.wallets.get(id))
    }

    /// New lines of the wallets' histories.
    pub fn entries(&self) -> &'a [WalletEntry] {
        &self.written().entries
    }

    /// Reservations to be inserted.
    pub fn reservations_new(&self) -> impl Iterator<Item = &'a Reservation> {
        let state = self.state;
        self.written().reservations_new.iter().filter_map(|id| state.reservations.get(id))
    }

    /// Reservations to be updated: their state and [`updated_at`](Reservation::updated_at).
    pub fn reservations_changed(&self) -> impl Iterator<Item = &'a Reservation> {
        let state = self.state;
        let ids = self.written().reservations_changed.difference(&self.written().reservations_new);
        ids.filter_map(|id| state.reservations.get(id))
    }

    /// Payments to be inserted.
    pub fn payments_new(&self) -> impl Iterator<Item = &'a Payment> {
        let state = self.state;
        self.written().payments_new.iter().filter_map(|id| state.payments.get(id))
    }

    /// Payments to be updated: their state.
    pub fn payments_changed(&self) -> impl Iterator<Item = &'a Payment> {
        let state = self.state;
        let ids = self.written().payments_changed.difference(&self.written().payments_new);
        ids.filter_map(|id| state.payments.get(id))
    }

    /// Charges to be inserted.
    pub fn charges_new(&self) -> impl Iterator<Item = &'a Charge> {
        let state = self.state;
        self.written().charges_new.iter().filter_map(|id| state.charges.get(id))
    }

    /// Charges to be updated: their state.
    pub fn charges_changed(&self) -> impl Iterator<Item = &'a Charge> {
        let state = self.state;
        let ids = self.written().charges_changed.difference(&self.written().charges_new);
        ids.filter_map(|id| state.charges.get(id))
    }

    /// Seats to be updated: their state.
    pub fn seats(&self) -> impl Iterator<Item = (PerformanceId, &'a Seat)> {
        let state = self.state;
        self.written()
            .seats
            .iter()
            .filter_map(|(performance_id, label)| Some((*performance_id, state.seats.get(performance_id)?.get(label)?)))
    }
}
