//! Marking lapsed holds. It only saves others the reading: every rule judges a hold by its end.

use crate::{
    AccountId, ReservationId, Timestamp,
    events::Event,
    reservations::{Reservation, ReservationState},
};

use super::{ExpireOutcome, FreedSeats, SaleState};

impl SaleState {
    pub(super) fn expire(&mut self, now: Timestamp, account_id: AccountId, id: ReservationId) -> ExpireOutcome {
        let reservation = self.reservation_of(account_id, id)?.clone();
        let ReservationState::Held { until } = reservation.state else { return None };
        if now < until {
            return None;
        }
        let Reservation { performance_id, concert_id, .. } = reservation;
        let seats = reservation.labels();
        self.events.push(Event::ReservationExpired { reservation_id: id, account_id, performance_id, seats });
        let labels = self.free_seats(&reservation).into_iter().map(|seat| seat.label).collect();
        self.count_unpaid(account_id, concert_id, until);
        // It expired then, whenever the worker comes.
        self.save_reservation(Reservation { state: ReservationState::Expired, updated_at: until, ..reservation });
        Some(FreedSeats { performance_id, reservation_id: id, labels })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixtures::instant,
        sale::{Command, testing::Sale},
        seats::SeatState,
    };

    #[test]
    fn a_hold_is_marked_when_its_time_is_over_and_once() {
        let (mut sale, held) = Sale::held(0);
        let command = Command::Expire { reservation_id: held.id, account_id: held.account_id };
        assert_eq!(sale.decide::<ExpireOutcome>(299, &command), None);
        let freed: ExpireOutcome = sale.decide(300, &command);
        let labels = vec![held.seats[0].label.clone()];
        assert_eq!(freed, Some(FreedSeats { performance_id: held.performance_id, reservation_id: held.id, labels }));
        assert_eq!(sale.seat("A-1-1").state, SeatState::Free);
        let marked = sale.state.changes().reservations_new().next().unwrap();
        assert_eq!((&marked.state, marked.updated_at), (&ReservationState::Expired, instant(300)));
        assert_eq!(sale.event_kinds(), ["reservation_held", "reservation_expired"]);
        assert_eq!(sale.decide::<ExpireOutcome>(501, &command), None);
    }

    #[test]
    fn a_seat_that_another_hold_has_taken_stays_taken() {
        let (mut sale, held) = Sale::held(0);
        let next = sale.hold(300, &sale.hold_request(&["A-1-1"])).unwrap().value.reservation;
        let freed: ExpireOutcome =
            sale.decide(301, &Command::Expire { reservation_id: held.id, account_id: held.account_id });
        assert_eq!(freed.unwrap().labels, []);
        assert_eq!(sale.seat("A-1-1").state.reservation_id(), Some(next.id));
    }

    #[test]
    fn only_holds_expire() {
        let (mut sale, held) = Sale::held(55_000);
        sale.paid(1, &held);
        let unknown = ReservationId::new(uuid::Uuid::from_u128(4));
        for reservation_id in [held.id, unknown] {
            assert_eq!(
                sale.decide::<ExpireOutcome>(500, &Command::Expire { reservation_id, account_id: held.account_id }),
                None
            );
        }
    }
}
