//! Paying a held reservation: how much is the reservation's to say, never the caller's.

use crate::{
    Timestamp,
    catalog::PerformanceTerms,
    events::Event,
    idempotency::Made,
    payments::{PayRefusal, PayRequest, Payment, PaymentMethod, PaymentSource, PaymentState, PaymentView, Receipt},
    reservations::{Reservation, ReservationState, ReservationStatus},
    seats::{Seat, SeatState},
    wallet::{EntryKind, Wallet, WalletEntry},
};

use super::{Decision, LoadError, NotDone, SaleState};

/// Whether a reservation could be paid by its owner at `now`, leaving aside whether the points suffice.
pub fn check_payable(now: Timestamp, reservation: &Reservation, terms: &PerformanceTerms) -> Result<(), PayRefusal> {
    match reservation.status(now) {
        ReservationStatus::Confirmed => Err(PayRefusal::AlreadyPaid),
        ReservationStatus::Cancelled => Err(PayRefusal::Cancelled),
        ReservationStatus::Expired => Err(PayRefusal::HoldExpired),
        ReservationStatus::Held if now >= terms.starts_at => Err(PayRefusal::PerformanceStarted),
        ReservationStatus::Held if terms.withdrawn_at.is_some() => Err(PayRefusal::PerformanceWithdrawn),
        ReservationStatus::Held => Ok(()),
    }
}

impl SaleState {
    pub(super) fn pay(&mut self, now: Timestamp, request: &PayRequest) -> Decision<Made<Receipt>, PayRefusal> {
        self.require_account(request.account_id)?;
        let Made { value: payment, replayed } =
            match self.payments.made_under(request.account_id, &request.idempotency.key) {
                Some(first) => self.payment_view(first.clone())?.replay(&request.idempotency)?,
                None => Made::now(self.sell(now, request)?),
            };
        let paid = payment.reservation.reservation.id;
        let holdings = self.live_holdings(now, request.account_id, payment.payment.concert_id);
        let others = holdings.filter(|holding| holding.reservation_id != paid);
        let other_held_until = others.filter_map(|holding| holding.held_until).max();
        Ok(Made { value: Receipt { payment, other_held_until }, replayed })
    }

    fn payment_view(&self, payment: Payment) -> Result<PaymentView, LoadError> {
        let id = payment.reservation_id;
        let reservation = self.reservations.get(&id).ok_or(LoadError::Reservation(id))?;
        Ok(PaymentView { payment, reservation: self.view(reservation.clone())? })
    }

    fn sell(&mut self, now: Timestamp, request: &PayRequest) -> Decision<PaymentView, PayRefusal> {
        let reservation = self.reservation_of(request.account_id, request.reservation_id).cloned();
        let reservation = reservation.ok_or(NotDone::Refused(PayRefusal::ReservationNotFound))?;
        let seats = self.seats_to_sell(now, request, &reservation)?;
        let source = match self.debit(now, request, &reservation)? {
            Some((wallet, entry)) => {
                let balance_after = wallet.balance;
                self.save_wallet(wallet, Some(entry));
                PaymentSource::Wallet { balance_after }
            }
            None => PaymentSource::Outside,
        };
        let payment = Payment {
            id: request.payment_id,
            account_id: request.account_id,
            concert_id: reservation.concert_id,
            reservation_id: reservation.id,
            amount: reservation.total_amount,
            source,
            paid_at: now,
            state: PaymentState::Completed,
            queue_place: request.queue_place,
            idempotency: request.idempotency.clone(),
        };
        let state = ReservationState::Confirmed { payment_id: payment.id };
        let reservation = Reservation { state, updated_at: now, ..reservation };
        self.events.push(Event::ReservationConfirmed {
            reservation_id: reservation.id,
            account_id: reservation.account_id,
            performance_id: reservation.performance_id,
            seats: reservation.labels(),
            payment_id: payment.id,
            amount: payment.amount,
        });
        self.count_paid(reservation.account_id, reservation.concert_id, now);
        self.save_seats(reservation.performance_id, seats);
        self.save_payment(payment.clone());
        self.save_reservation(reservation.clone());
        Ok(PaymentView { payment, reservation: self.view(reservation)? })
    }

    /// The seats of a reservation that can be paid, as they are once it is.
    fn seats_to_sell(
        &self,
        now: Timestamp,
        request: &PayRequest,
        reservation: &Reservation,
    ) -> Decision<Vec<Seat>, PayRefusal> {
        let terms = self.terms_of(reservation)?;
        if reservation.concert_id != request.concert_id {
            return Err(NotDone::Refused(PayRefusal::WrongConcert));
        }
        check_payable(now, reservation, terms).map_err(NotDone::Refused)?;
        let mut seats = self.own_seats(reservation);
        // An instance whose clock is ahead may have seen the hold lapse and given a seat away.
        if seats.len() != reservation.seats.len() {
            return Err(NotDone::Refused(PayRefusal::HoldExpired));
        }
        for seat in &mut seats {
            seat.state = SeatState::Sold { to: reservation.id };
        }
        Ok(seats)
    }

    /// What a payment takes from a wallet; nothing if it was made outside.
    fn debit(
        &self,
        now: Timestamp,
        request: &PayRequest,
        reservation: &Reservation,
    ) -> Decision<Option<(Wallet, WalletEntry)>, PayRefusal> {
        if request.method == PaymentMethod::Outside {
            return Ok(None);
        }
        let wallet = self.wallet(request.account_id)?;
        let required = reservation.total_amount;
        let kind = EntryKind::Payment { reservation_id: reservation.id, payment_id: request.payment_id };
        let refusal = PayRefusal::InsufficientPoints { balance: wallet.balance, required };
        wallet.moved(now, -required.get(), kind).map(Some).ok_or(NotDone::Refused(refusal))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AccountId, ConcertId, PaymentId, Points, ReservationId,
        fixtures::{self, instant},
        idempotency::KeyReused,
        sale::{
            Command,
            testing::{Sale, points, reused},
        },
    };
    use uuid::Uuid;

    #[test]
    fn a_payment_takes_exactly_the_total_and_sells_the_seats() {
        let (mut sale, held) = Sale::held(60_000);
        let receipt = sale.paid(299, &held);
        assert_eq!(receipt.payment.payment.amount.get(), 55_000);
        assert_eq!(receipt.payment.payment.balance_after(), Some(points(5_000)));
        assert_eq!(receipt.payment.reservation.reservation.status(instant(9_999)), ReservationStatus::Confirmed);
        assert_eq!(sale.wallet().balance, points(5_000));
        assert_eq!(sale.seat("A-1-1").state, SeatState::Sold { to: held.id });
        assert_eq!(sale.event_kinds(), ["reservation_held", "reservation_confirmed"]);
        let changes = sale.state.changes();
        assert_eq!(changes.entries().iter().map(|entry| entry.amount).collect::<Vec<_>>(), [-55_000]);
        // Made and paid in one batch: inserted as it is now.
        assert_eq!(changes.reservations_new().next(), Some(&receipt.payment.reservation.reservation));
        assert_eq!((changes.reservations_changed().count(), changes.payments_new().count()), (0, 1));
    }

    #[test]
    fn each_refusal_of_a_payment_has_its_cause_and_changes_nothing() {
        let (mut sale, held) = Sale::held(54_999);
        let request = fixtures::pay_request(&held);
        let poor = PayRefusal::InsufficientPoints { balance: points(54_999), required: points(55_000) };
        let elsewhere = PayRequest { concert_id: ConcertId::new(Uuid::from_u128(4)), ..request.clone() };
        let stranger = PayRequest { account_id: AccountId::new(Uuid::from_u128(4)), ..request.clone() };
        sale.add_account(stranger.account_id, 100_000);
        for (seconds, request, refusal) in [
            (0, &request, poor),
            (300, &request, PayRefusal::HoldExpired),
            (0, &elsewhere, PayRefusal::WrongConcert),
            (0, &stranger, PayRefusal::ReservationNotFound),
        ] {
            assert_eq!(sale.pay(seconds, request), Err(refusal));
        }
        sale.add_account(sale.account_id, 55_000);
        let taken =
            Seat { state: SeatState::Sold { to: ReservationId::new(Uuid::from_u128(5)) }, ..sale.seat("A-1-1") };
        let own = sale.seat("A-1-1");
        sale.set_seat(taken);
        assert_eq!(sale.pay(0, &request), Err(PayRefusal::HoldExpired));
        sale.set_seat(own);
        let mut state = |state| sale.state.add_reservation(Reservation { state, ..held.clone() });
        state(ReservationState::Cancelled { payment_id: None, idempotency: None });
        assert_eq!(sale.pay(0, &request), Err(PayRefusal::Cancelled));
        let until = Timestamp::MAX_UTC;
        sale.state.add_reservation(Reservation { state: ReservationState::Held { until }, ..held.clone() });
        let started = (sale.terms.starts_at - instant(0)).num_seconds();
        assert_eq!(sale.pay(started, &request), Err(PayRefusal::PerformanceStarted));
        sale.state.add_terms(PerformanceTerms { withdrawn_at: Some(instant(1)), ..sale.terms.clone() });
        assert_eq!(sale.pay(1, &request), Err(PayRefusal::PerformanceWithdrawn));
        sale.state.add_terms(sale.terms.clone());
        assert_eq!((sale.event_kinds(), sale.state.changes().payments_new().count()), (vec!["reservation_held"], 0));

        sale.paid(started - 1, &held);
        assert_eq!(sale.pay(started - 1, &request), Err(PayRefusal::AlreadyPaid));
    }

    #[test]
    fn a_repeated_payment_gets_the_first_answer_with_the_reservation_as_it_was_then() {
        let (mut sale, held) = Sale::held(55_000);
        let request = fixtures::pay_request(&held);
        let first = sale.pay(1, &request).unwrap();
        let again = PayRequest { payment_id: PaymentId::new(Uuid::from_u128(8)), ..request.clone() };
        assert_eq!(sale.pay(2, &again), Ok(Made { replayed: true, ..first.clone() }));
        sale.cancelled(3, &held);
        assert_eq!(sale.pay(4, &again), Ok(Made { replayed: true, ..first }));
        assert_eq!(sale.wallet().balance, points(55_000), "refunded once, debited once");

        let other = PayRequest { idempotency: reused(&request.idempotency), ..request.clone() };
        assert_eq!(sale.pay(4, &other), Err(PayRefusal::KeyReused(KeyReused)));
        // A key belongs to its account.
        let stranger = PayRequest { account_id: AccountId::new(Uuid::from_u128(4)), ..request };
        sale.add_account(stranger.account_id, 100_000);
        assert_eq!(sale.pay(4, &stranger), Err(PayRefusal::ReservationNotFound));
    }

    #[test]
    fn a_receipt_says_until_when_other_seats_are_held_now() {
        let (mut sale, held) = Sale::held(55_000);
        for (number, held_until) in [(1, Some(instant(100))), (2, Some(instant(200))), (3, None)] {
            sale.add_holding(number, held_until);
        }
        let request = fixtures::pay_request(&held);
        assert_eq!(sale.pay(0, &request).unwrap().value.other_held_until, Some(instant(200)));
        assert_eq!(sale.pay(199, &request).unwrap().value.other_held_until, Some(instant(200)));
        assert_eq!(sale.pay(200, &request).unwrap().value.other_held_until, None, "a replay says what is now");
    }

    #[test]
    fn what_was_paid_outside_moves_no_points_in_or_out() {
        let (mut sale, held) = Sale::held(0);
        let request = PayRequest { method: PaymentMethod::Outside, ..fixtures::pay_request(&held) };
        let payment = sale.pay(1, &request).unwrap().value.payment.payment;
        assert_eq!((payment.amount.get(), payment.balance_after()), (55_000, None));
        sale.cancelled(2, &held);
        assert_eq!(sale.wallet().balance, Points::ZERO);
        assert!(sale.state.changes().entries().is_empty());
        let state = sale.state.changes().payments_new().next().map(|payment| payment.state);
        assert_eq!(state, Some(PaymentState::Refunded { refunded_at: instant(2) }));
    }

    #[test]
    fn a_payment_without_its_terms_or_its_reservation_is_damaged_data() {
        let (mut sale, held) = Sale::held(55_000);
        let request = fixtures::pay_request(&held);
        sale.pay(1, &request).unwrap();
        let mut state = SaleState::new();
        state.add_wallet(sale.wallet().clone());
        state.add_payment(sale.state.changes().payments_new().next().unwrap().clone());
        let command = Command::Pay(request);
        assert_eq!(state.decide(instant(2), &command).unwrap_err(), LoadError::Reservation(held.id));
        state.add_reservation(held.clone());
        assert_eq!(state.decide(instant(2), &command).unwrap_err(), LoadError::Terms(held.performance_id));
    }
}
