//! Cancelling: a hold while it lasts; a paid reservation until its performance starts, and while that is taken from sale,
//! with a full refund.

use crate::{
    PaymentId, Timestamp,
    events::Event,
    idempotency::Made,
    payments::{Payment, PaymentSource, PaymentState},
    reservations::{CancelRefusal, CancelRequest, Reservation, ReservationState, ReservationStatus, ReservationView},
    seats::{Seat, SeatState},
    wallet::EntryKind,
};

use super::{Decision, LoadError, NotDone, SaleState};

impl SaleState {
    pub(super) fn cancel(
        &mut self,
        now: Timestamp,
        request: &CancelRequest,
    ) -> Decision<Made<ReservationView>, CancelRefusal> {
        self.require_account(request.account_id)?;
        let reservation = self.reservation_of(request.account_id, request.reservation_id).cloned();
        let reservation = reservation.ok_or(NotDone::Refused(CancelRefusal::NotFound))?;
        if let (Some(first), Some(again)) = (reservation.cancelled_under(), &request.idempotency)
            && first.key == again.key
        {
            // A cancellation is the last thing that happens to a reservation, so the first answer is what it is now.
            return Ok(first.clone().replay(again, self.view(reservation)?)?);
        }
        let closes_at = self.terms_of(&reservation)?.cancellation_closes_at(reservation.created_at);
        match reservation.status(now) {
            ReservationStatus::Cancelled => return Err(NotDone::Refused(CancelRefusal::AlreadyCancelled)),
            ReservationStatus::Expired => return Err(NotDone::Refused(CancelRefusal::HoldExpired)),
            ReservationStatus::Confirmed if closes_at.is_some_and(|closes_at| closes_at <= now) => {
                return Err(NotDone::Refused(CancelRefusal::Closed));
            }
            ReservationStatus::Held | ReservationStatus::Confirmed => {}
        }
        let payment_id = reservation.payment_id();
        let refunded = payment_id.map(|id| self.refund(now, &reservation, id)).transpose()?;
        self.events.push(Event::ReservationCancelled {
            reservation_id: reservation.id,
            account_id: reservation.account_id,
            performance_id: reservation.performance_id,
            seats: reservation.labels(),
            payment_id,
            refunded: refunded.map(|payment| payment.amount).unwrap_or_default(),
        });
        self.free_seats(&reservation);
        if payment_id.is_none() {
            self.count_unpaid(reservation.account_id, reservation.concert_id, now);
        }
        let state = ReservationState::Cancelled { payment_id, idempotency: request.idempotency.clone() };
        let reservation = Reservation { state, updated_at: now, ..reservation };
        self.save_reservation(reservation.clone());
        Ok(Made::now(self.view(reservation)?))
    }

    /// Marks the payment of a confirmed reservation as refunded; its points go back where they came from.
    fn refund(&mut self, now: Timestamp, reservation: &Reservation, id: PaymentId) -> Result<Payment, LoadError> {
        let payment = self.payments.get(&reservation.id).cloned();
        let payment = payment.filter(|payment| payment.id == id && payment.state == PaymentState::Completed);
        let payment = payment.ok_or(LoadError::Payment(reservation.id))?;
        if let PaymentSource::Wallet { .. } = payment.source {
            let kind = EntryKind::Refund { reservation_id: reservation.id };
            let given_back = self.wallet(reservation.account_id)?.moved(now, payment.amount.get(), kind);
            let (wallet, entry) = given_back.ok_or(LoadError::Overflow)?;
            self.save_wallet(wallet, Some(entry));
        }
        let payment = Payment { state: PaymentState::Refunded { refunded_at: now }, ..payment };
        self.save_payment(payment.clone());
        Ok(payment)
    }

    /// Frees the seats that still name the reservation. One that another reservation has taken since stays.
    pub(super) fn free_seats(&mut self, reservation: &Reservation) -> Vec<Seat> {
        let mut seats = self.own_seats(reservation);
        for seat in &mut seats {
            seat.state = SeatState::Free;
        }
        self.save_seats(reservation.performance_id, seats.clone());
        seats
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AccountId, ReservationId,
        catalog::Moved,
        fixtures::{self, instant},
        idempotency::KeyReused,
        sale::{
            Command,
            testing::{Sale, points, reused},
        },
    };
    use uuid::Uuid;

    #[test]
    fn a_cancellation_says_when_it_was_and_its_event_what_was_refunded() {
        let (mut sale, held) = Sale::held(55_000);
        assert_eq!(sale.paid(1, &held).payment.payment.refunded_at(), None);
        let cancelled = sale.cancelled(2, &held).reservation;
        assert_eq!((cancelled.created_at, cancelled.updated_at), (instant(0), instant(2)));
        assert_eq!(sale.state.payments.get(&held.id).unwrap().refunded_at(), Some(instant(2)));
        assert_eq!(sale.wallet().updated_at, instant(2));
        let Some(Event::ReservationCancelled { refunded, .. }) = sale.state.changes().events().last() else { panic!() };
        assert_eq!(*refunded, points(55_000));
    }

    #[test]
    fn each_refusal_of_a_cancellation_has_its_cause() {
        let (mut sale, held) = Sale::held(55_000);
        let request = fixtures::cancel_request(&held);
        assert_eq!(sale.cancel(300, &request), Err(CancelRefusal::HoldExpired));
        let unknown = CancelRequest { reservation_id: ReservationId::new(Uuid::from_u128(4)), ..request.clone() };
        assert_eq!(sale.cancel(1, &unknown), Err(CancelRefusal::NotFound));
        let stranger = CancelRequest { account_id: AccountId::new(Uuid::from_u128(4)), ..request.clone() };
        sale.add_account(stranger.account_id, 0);
        assert_eq!(sale.cancel(1, &stranger), Err(CancelRefusal::NotFound));
        sale.paid(1, &held);
        let started = (sale.terms.starts_at - instant(0)).num_seconds();
        assert_eq!(sale.cancel(started, &request), Err(CancelRefusal::Closed));
        assert!(sale.cancel(started - 1, &request).is_ok());
    }

    #[test]
    fn what_was_paid_is_refunded_until_the_start_that_was_announced_and_while_the_performance_is_withdrawn() {
        let started = 365 * 86_400;
        for (moved_to, withdrawn, seconds, is_refunded) in [
            (started, false, started, false),
            (100, false, started - 1, true),
            (100, false, started, false),
            (started + 9, false, started + 8, true),
            (started + 9, false, started + 9, false),
            (started, true, started + 99, true),
        ] {
            let (mut sale, held) = Sale::held(55_000);
            sale.paid(1, &held);
            let moved = Moved { at: instant(2), cancel_until: sale.terms.starts_at };
            sale.terms.moved = (moved_to != started).then_some(moved);
            sale.terms.starts_at = instant(moved_to);
            sale.terms.withdrawn_at = withdrawn.then(|| instant(2));
            sale.state.add_terms(sale.terms.clone());
            let cancelled = sale.cancel(seconds, &fixtures::cancel_request(&held));
            assert_eq!(cancelled.is_ok(), is_refunded, "moved to {moved_to}, at {seconds}: {cancelled:?}");
            assert_eq!(sale.wallet().balance, points(if is_refunded { 55_000 } else { 0 }));
        }
    }

    #[test]
    fn a_repeated_cancellation_gets_the_first_answer() {
        let (mut sale, held) = Sale::held(0);
        let idempotency = Some(fixtures::idempotency());
        let request = CancelRequest { idempotency, ..fixtures::cancel_request(&held) };
        let first = sale.cancel(1, &request).unwrap();
        assert_eq!(sale.cancel(2, &request), Ok(Made { replayed: true, ..first }));
        let other = CancelRequest { idempotency: request.idempotency.as_ref().map(reused), ..request.clone() };
        assert_eq!(sale.cancel(2, &other), Err(CancelRefusal::KeyReused(KeyReused)));
        for idempotency in [None, Some(fixtures::idempotency())] {
            let later = CancelRequest { idempotency, ..request.clone() };
            assert_eq!(sale.cancel(2, &later), Err(CancelRefusal::AlreadyCancelled));
        }
        let stranger = CancelRequest { account_id: AccountId::new(Uuid::from_u128(4)), ..request };
        sale.add_account(stranger.account_id, 0);
        assert_eq!(
            sale.cancel(2, &stranger),
            Err(CancelRefusal::NotFound),
            "a key opens no other account's reservation"
        );
    }

    #[test]
    fn a_confirmed_reservation_without_its_completed_payment_is_damaged_data() {
        let (mut sale, held) = Sale::held(55_000);
        let payment = sale.paid(1, &held).payment.payment;
        let command = Command::Cancel(fixtures::cancel_request(&held));
        let missing = LoadError::Payment(held.id);
        let refunded = Payment { state: PaymentState::Refunded { refunded_at: instant(1) }, ..payment.clone() };
        sale.state.add_payment(refunded);
        assert_eq!(sale.state.decide(instant(2), &command).unwrap_err(), missing);
        sale.state.add_payment(Payment { id: PaymentId::new(Uuid::from_u128(4)), ..payment });
        assert_eq!(sale.state.decide(instant(2), &command).unwrap_err(), missing);
        assert_eq!(sale.seat("A-1-1").state, SeatState::Sold { to: held.id });
    }
}
