//! Holding seats: all of those that are wanted, or none.

use crate::{
    Points, Timestamp,
    catalog::PerformanceTerms,
    events::Event,
    idempotency::Made,
    reservations::{HoldRefusal, HoldRequest, Reservation, ReservationState, ReservationView, ReservedSeat},
    seats::{Seat, SeatLabel, SeatState, SeatStatus},
    time::{seconds_after, seconds_until},
};

use super::{Decision, LoadError, NotDone, SaleState};

impl SaleState {
    pub(super) fn hold(
        &mut self,
        now: Timestamp,
        request: &HoldRequest,
    ) -> Decision<Made<ReservationView>, HoldRefusal> {
        self.require_account(request.account_id)?;
        if let Some(again) = &request.idempotency
            && let Some(first) = self.reservations.made_under(request.account_id, &again.key)
        {
            return Ok(self.view(first.clone())?.replay_hold(again)?);
        }
        let mut seats = self.seats_to_hold(now, request).map_err(NotDone::Refused)?;
        let total_amount = Points::checked_sum(seats.iter().map(|seat| seat.price)).ok_or(LoadError::Overflow)?;
        self.check_balance(now, request, total_amount)?;
        let until = seconds_after(now, request.hold_seconds.get());
        let reserved = seats.iter().map(|seat| ReservedSeat { label: seat.label.clone(), price: seat.price });
        let reservation = Reservation {
            id: request.reservation_id,
            account_id: request.account_id,
            performance_id: request.performance_id,
            concert_id: request.concert_id,
            seats: reserved.collect(),
            total_amount,
            state: ReservationState::Held { until },
            held_until: until,
            created_at: now,
            updated_at: now,
            idempotency: request.idempotency.clone(),
        };
        self.events.push(Event::ReservationHeld {
            reservation_id: reservation.id,
            account_id: reservation.account_id,
            performance_id: reservation.performance_id,
            seats: request.seats.labels().to_vec(),
            held_until: until,
        });
        for seat in &mut seats {
            seat.state = SeatState::Held { by: reservation.id, until };
        }
        self.save_seats(reservation.performance_id, seats);
        self.save_reservation(reservation.clone());
        Ok(Made::now(self.view(reservation)?))
    }

    /// Checks that the wallet covers what the account would hold then, if the concert asks for that.
    fn check_balance(&self, now: Timestamp, request: &HoldRequest, amount: Points) -> Decision<(), HoldRefusal> {
        let needs_balance = self.terms.get(&request.performance_id).is_some_and(|terms| terms.holds_need_balance);
        if !needs_balance || !self.keeps_points() {
            return Ok(());
        }
        let balance = self.wallet(request.account_id)?.balance;
        let required = Points::checked_sum([self.held_total(now, request.account_id)?, amount]);
        let required = required.ok_or(LoadError::Overflow)?;
        if required <= balance {
            return Ok(());
        }
        Err(NotDone::Refused(HoldRefusal::InsufficientPoints { balance, required }))
    }

    /// The seats that are wanted, if the account may have all of them.
    fn seats_to_hold(&self, now: Timestamp, request: &HoldRequest) -> Result<Vec<Seat>, HoldRefusal> {
        let terms = self.terms.get(&request.performance_id).ok_or(HoldRefusal::PerformanceNotFound)?;
        check_terms(now, request, terms)?;
        let wanted = request.seats.labels();
        let seats = self.seats_of(request.performance_id, wanted.iter());
        if seats.len() < wanted.len() {
            let known = |label: &&SeatLabel| seats.iter().any(|seat| seat.label == **label);
            return Err(HoldRefusal::SeatNotFound(wanted.iter().filter(|label| !known(label)).cloned().collect()));
        }
        let cooldown = self.hold_budget_at(now, request.account_id, request.concert_id);
        if let Some(ends_at) = cooldown.cooldown_ends_at(request.unpaid_holds_free).filter(|ends_at| now < *ends_at) {
            return Err(HoldRefusal::Cooldown { seconds_left: seconds_until(now, ends_at) });
        }
        let had = self.live_holdings(now, request.account_id, request.concert_id);
        let had: u64 = had.map(|holding| u64::from(holding.seats_count)).sum();
        let limit = terms.max_seats_per_account;
        if had + wanted.len() as u64 > u64::from(limit) {
            return Err(HoldRefusal::SeatLimitReached { limit });
        }
        let available = |seat: &Seat| seat.state.status(now) == SeatStatus::Available;
        if seats.iter().all(available) {
            return Ok(seats);
        }
        let seats: Vec<_> = seats.into_iter().filter(|seat| !available(seat)).collect();
        let is_held_by_account = |seat: &&Seat| match seat.state {
            SeatState::Held { by, .. } => self
                .live_holdings(now, request.account_id, request.concert_id)
                .any(|holding| holding.reservation_id == by),
            SeatState::Free | SeatState::Sold { .. } => false,
        };
        let held_by_account = seats.iter().filter(is_held_by_account).map(|seat| seat.label.clone()).collect();
        Err(HoldRefusal::SeatUnavailable { seats, held_by_account })
    }
}

fn check_terms(now: Timestamp, request: &HoldRequest, terms: &PerformanceTerms) -> Result<(), HoldRefusal> {
    if terms.concert_id != request.concert_id {
        return Err(HoldRefusal::WrongConcert);
    }
    if now >= terms.starts_at {
        return Err(HoldRefusal::PerformanceStarted);
    }
    if terms.withdrawn_at.is_some() {
        return Err(HoldRefusal::PerformanceWithdrawn);
    }
    terms.sales.check(now)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AccountId, ConcertId, PerformanceId, ReservationId,
        catalog::NotOnSale,
        fixtures::{self, instant},
        idempotency::KeyReused,
        reservations::ReservationStatus,
        sale::{
            Command, HeldAmount,
            testing::{Sale, points, reused},
        },
    };
    use uuid::Uuid;

    #[test]
    fn a_hold_takes_all_seats_in_the_order_asked_for_at_their_prices() {
        let mut sale = Sale::new(&["A-1-1", "A-1-2"], 0);
        let made = sale.hold(0, &sale.hold_request(&["A-1-2", "A-1-1"])).unwrap();
        let held = made.value.reservation;
        assert!(!made.replayed);
        assert_eq!(held.seats.iter().map(|seat| seat.label.as_str()).collect::<Vec<_>>(), ["A-1-2", "A-1-1"]);
        assert_eq!((held.total_amount.get(), held.held_until), (110_000, instant(300)));
        for seat in ["A-1-1", "A-1-2"].map(|label| sale.seat(label)) {
            assert_eq!(seat.state.status(instant(299)), SeatStatus::Held);
            assert_eq!(seat.state.status(instant(300)), SeatStatus::Available);
        }
        assert_eq!(sale.event_kinds(), ["reservation_held"]);
        assert_eq!(sale.state.changes().events()[0].subject(), held.id.uuid());
        let changes = sale.state.changes();
        assert_eq!(changes.reservations_new().collect::<Vec<_>>(), [&held]);
        assert_eq!((changes.seats().count(), changes.reservations_changed().count()), (2, 0));
    }

    #[test]
    fn each_refusal_of_a_hold_has_its_cause_and_changes_nothing() {
        let mut sale = Sale::new(&["A-1-1", "A-1-2"], 0);
        let request = sale.hold_request(&["A-1-1", "A-1-2"]);
        let terms = sale.terms.clone();
        let started = (terms.starts_at - instant(0)).num_seconds();
        let closed = (terms.sales.close_at() - instant(0)).num_seconds();
        let opened = (terms.sales.open_at() - instant(0)).num_seconds();
        let not_open = NotOnSale::NotOpen { opens_at: terms.sales.open_at(), seconds_left: 1 };
        let elsewhere = HoldRequest { concert_id: ConcertId::new(Uuid::from_u128(99)), ..request.clone() };
        let unknown = HoldRequest { performance_id: PerformanceId::new(Uuid::from_u128(99)), ..request.clone() };
        let missing = sale.hold_request(&["A-1-1", "A-1-9", "A-1-8"]);
        let labels = |texts: [&str; 2]| texts.map(|text| SeatLabel::new(text).unwrap()).to_vec();
        for (seconds, request, refusal) in [
            (0, &unknown, HoldRefusal::PerformanceNotFound),
            (0, &elsewhere, HoldRefusal::WrongConcert),
            (started, &request, HoldRefusal::PerformanceStarted),
            (opened - 1, &request, HoldRefusal::NotOnSale(not_open)),
            (closed, &request, HoldRefusal::NotOnSale(NotOnSale::Closed)),
            (0, &missing, HoldRefusal::SeatNotFound(labels(["A-1-9", "A-1-8"]))),
        ] {
            assert_eq!(sale.hold(seconds, request), Err(refusal));
        }
        sale.state.add_terms(PerformanceTerms { withdrawn_at: Some(instant(0)), ..terms.clone() });
        assert_eq!(sale.hold(0, &request), Err(HoldRefusal::PerformanceWithdrawn));
        sale.state.add_terms(terms);
        let sold = Seat { state: SeatState::Sold { to: ReservationId::new(Uuid::from_u128(7)) }, ..sale.seat("A-1-2") };
        sale.set_seat(sold.clone());
        let refusal = HoldRefusal::SeatUnavailable { seats: vec![sold], held_by_account: vec![] };
        assert_eq!(sale.hold(0, &request), Err(refusal));
        assert!(sale.state.changes().is_empty());
        assert_eq!(sale.state.changes().seats().count(), 0);
    }

    #[test]
    fn a_refusal_says_which_of_the_seats_the_account_itself_holds() {
        let mut sale = Sale::new(&["A-1-1", "A-1-2", "A-1-3", "A-1-4"], 200_000);
        let stranger = AccountId::new(Uuid::from_u128(5));
        sale.add_account(stranger, 200_000);
        let of_stranger = HoldRequest {
            account_id: stranger,
            reservation_id: ReservationId::new(Uuid::from_u128(8)),
            idempotency: None,
            ..sale.hold_request(&["A-1-1"])
        };
        sale.hold(0, &of_stranger).unwrap();
        // What the batch itself has decided counts, too.
        let own = HoldRequest { idempotency: None, ..sale.hold_request(&["A-1-2"]) };
        let held = sale.hold(0, &own).unwrap().value.reservation;
        let wanted = HoldRequest {
            reservation_id: ReservationId::new(Uuid::from_u128(9)),
            idempotency: None,
            ..sale.hold_request(&["A-1-3", "A-1-2", "A-1-1"])
        };
        let refused = |sale: &mut Sale, seconds| match sale.hold(seconds, &wanted) {
            Err(HoldRefusal::SeatUnavailable { seats, held_by_account }) => {
                let texts = |labels: Vec<SeatLabel>| labels.into_iter().map(String::from).collect::<Vec<_>>();
                (texts(seats.into_iter().map(|seat| seat.label).collect()), texts(held_by_account))
            }
            other => panic!("{other:?}"),
        };
        let both = || vec!["A-1-2".to_owned(), "A-1-1".to_owned()];
        assert_eq!(refused(&mut sale, 1), (both(), vec!["A-1-2".to_owned()]));
        // A paid seat is owned, and no longer held.
        sale.paid(2, &held);
        assert_eq!(refused(&mut sale, 3), (both(), vec![]));
    }

    #[test]
    fn held_and_owned_seats_count_against_the_limit_and_lapsed_ones_do_not() {
        let mut sale = Sale::new(&["A-1-1", "A-1-2", "A-1-3", "A-1-4", "A-1-5"], 200_000);
        sale.add_holding(1, None);
        sale.add_holding(2, Some(instant(10)));
        let three = sale.hold_request(&["A-1-1", "A-1-2", "A-1-3"]);
        assert_eq!(sale.hold(9, &three), Err(HoldRefusal::SeatLimitReached { limit: 4 }));
        let reservation = sale.hold(10, &three).unwrap().value.reservation;
        // What the batch itself decided counts too, held and then paid.
        let one = sale.hold_request(&["A-1-4"]);
        assert_eq!(sale.hold(10, &one), Err(HoldRefusal::SeatLimitReached { limit: 4 }));
        sale.paid(11, &reservation);
        assert_eq!(sale.hold(400, &one), Err(HoldRefusal::SeatLimitReached { limit: 4 }));
        sale.cancelled(401, &reservation);
        assert!(sale.hold(401, &one).is_ok());
    }

    #[test]
    fn a_concert_may_want_all_that_an_account_holds_to_be_covered() {
        let mut sale = Sale::new(&["A-1-1", "A-1-2", "A-1-3"], 110_000);
        let terms = PerformanceTerms { holds_need_balance: true, ..sale.terms.clone() };
        sale.state.add_terms(terms.clone());
        let lapses = |amount, until| HeldAmount {
            account_id: sale.account_id,
            reservation_id: ReservationId::new(Uuid::from_u128(amount)),
            amount: points(i64::try_from(amount).unwrap()),
            held_until: instant(until),
        };
        // Of other concerts.
        for held in [lapses(1, 20), lapses(99_999, 10)] {
            sale.state.add_held_amount(held);
        }
        let request = |sale: &Sale, number, label| HoldRequest {
            reservation_id: ReservationId::new(Uuid::from_u128(number)),
            idempotency: None,
            ..sale.hold_request(&[label])
        };
        let refused =
            |required| Err(HoldRefusal::InsufficientPoints { balance: points(110_000), required: points(required) });
        assert_eq!(sale.hold(9, &request(&sale, 7, "A-1-1")), refused(155_000));
        let first = sale.hold(10, &request(&sale, 7, "A-1-1")).unwrap().value.reservation;
        assert_eq!(sale.hold(11, &request(&sale, 8, "A-1-2")), refused(110_001));
        assert!(sale.hold(20, &request(&sale, 8, "A-1-2")).is_ok());
        assert_eq!(sale.hold(21, &request(&sale, 9, "A-1-3")), refused(165_000));
        // What is paid is no longer held, and no longer in the wallet.
        sale.paid(22, &first);
        let refused = Err(HoldRefusal::InsufficientPoints { balance: points(55_000), required: points(110_000) });
        assert_eq!(sale.hold(23, &request(&sale, 9, "A-1-3")), refused);
        sale.state.add_terms(PerformanceTerms { holds_need_balance: false, ..terms });
        assert!(sale.hold(24, &request(&sale, 9, "A-1-3")).is_ok());
    }

    #[test]
    fn where_no_points_are_kept_no_hold_needs_them() {
        let sale = Sale::new(&["A-1-1"], 0);
        let mut state = SaleState::without_wallets();
        state.add_terms(PerformanceTerms { holds_need_balance: true, ..sale.terms.clone() });
        state.add_seat(sale.terms.id, sale.seat("A-1-1"));
        let outcome = state.decide(instant(0), &Command::Hold(sale.hold_request(&["A-1-1"]))).unwrap();
        assert!(matches!(outcome, crate::sale::Outcome::Hold(Ok(_))), "{outcome:?}");
    }

    #[test]
    fn a_repeated_hold_gets_the_first_answer_whatever_has_happened_since() {
        let mut sale = Sale::new(&["A-1-1"], 100_000);
        let request = sale.hold_request(&["A-1-1"]);
        let first = sale.hold(0, &request).unwrap();
        sale.paid(1, &first.value.reservation);
        let again = HoldRequest { reservation_id: ReservationId::new(Uuid::from_u128(8)), ..request.clone() };
        assert_eq!(sale.hold(2, &again), Ok(Made { replayed: true, ..first.clone() }));
        sale.cancelled(3, &first.value.reservation);
        let replayed = sale.hold(9_999, &again).unwrap();
        assert_eq!(replayed, Made { replayed: true, ..first });
        assert_eq!(replayed.value.reservation.status(instant(299)), ReservationStatus::Held);

        let idempotency = request.idempotency.as_ref().map(reused);
        let other = HoldRequest { idempotency, ..request.clone() };
        assert_eq!(sale.hold(4, &other), Err(HoldRefusal::KeyReused(KeyReused)));
        // A key belongs to its account.
        let stranger = HoldRequest { account_id: AccountId::new(Uuid::from_u128(5)), ..request };
        sale.add_account(stranger.account_id, 0);
        assert!(!sale.hold(4, &stranger).unwrap().replayed);
    }

    #[test]
    fn an_account_without_a_wallet_holds_only_where_no_points_are_kept() {
        let mut sale = Sale::new(&["A-1-1"], 0);
        let stranger = fixtures::hold_request(&sale.terms, &["A-1-1"]);
        let command = Command::Hold(stranger.clone());
        assert_eq!(sale.state.decide(instant(0), &command).unwrap_err(), LoadError::Wallet(stranger.account_id));
        let mut state = SaleState::without_wallets();
        state.add_terms(sale.terms.clone());
        state.add_seat(sale.terms.id, sale.seat("A-1-1"));
        assert!(state.decide(instant(0), &command).is_ok());
    }

    #[test]
    fn a_total_that_cannot_be_represented_is_damaged_data() {
        let mut sale = Sale::new(&["A-1-1", "A-1-2"], 0);
        for label in ["A-1-1", "A-1-2"] {
            sale.set_seat(Seat { price: points(i64::MAX), ..sale.seat(label) });
        }
        let command = Command::Hold(sale.hold_request(&["A-1-1", "A-1-2"]));
        assert_eq!(sale.state.decide(instant(0), &command).unwrap_err(), LoadError::Overflow);
        assert!(sale.state.changes().is_empty());
    }
}
