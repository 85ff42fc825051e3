//! A repeated request gets the first answer.
//!
//! A request is repeated under its idempotency key when its answer was lost. It must not act twice, and its caller must
//! get what the first answer said, whatever has happened since.

use crate::{
    idempotency::{Idempotency, KeyReused, Made},
    payments::{Payment, PaymentState, PaymentView},
    reservations::{Reservation, ReservationState, ReservationView},
};

impl ReservationView {
    /// The answer to a repeated hold: the reservation as it was made.
    pub fn replay_hold(self, again: &Idempotency) -> Result<Made<Self>, KeyReused> {
        let first = self.reservation.idempotency.clone().ok_or(KeyReused)?;
        let Reservation { held_until: until, created_at: updated_at, .. } = self.reservation;
        let state = ReservationState::Held { until };
        let reservation = Reservation { state, updated_at, ..self.reservation };
        first.replay(again, Self { reservation, ..self })
    }
}

impl PaymentView {
    /// The answer to a repeated payment: the payment as it was made, with its reservation as it was then.
    pub fn replay(self, again: &Idempotency) -> Result<Made<Self>, KeyReused> {
        let payment = Payment { state: PaymentState::Completed, ..self.payment };
        let state = ReservationState::Confirmed { payment_id: payment.id };
        let reservation = Reservation { state, updated_at: payment.paid_at, ..self.reservation.reservation };
        let first = payment.idempotency.clone();
        let view = ReservationView { reservation, ..self.reservation };
        first.replay(again, Self { payment, reservation: view })
    }
}
