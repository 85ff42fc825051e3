//! What a batch has changed, or found out, of the seats of a performance, and how that is published to peers.

use boxoffice_domain::{
    AccountId, PerformanceId, Points, ReservationId, Timestamp,
    idempotency::Made,
    reservations::{HoldRefusal, Reservation},
    sale::{Command, Outcome},
    seats::{Seat, SeatLabel, SeatState},
};
use serde::{Deserialize, Serialize};

/// What a committed batch says of seats.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SeatUpdate {
    /// These seats have changed.
    Changed(SeatChange),
    /// An earlier outcome was replayed, by which these seats had changed.
    Replayed(SeatChange),
    /// A hold was refused because of these seats, which are in these states.
    Unavailable { performance_id: PerformanceId, seats: Vec<Seat> },
}

/// A change of seats by one command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SeatChange {
    pub(super) performance_id: PerformanceId,
    pub(super) reservation_id: ReservationId,
    /// The account that sent the command.
    pub(super) account_id: Option<AccountId>,
    pub(super) now: Now,
    pub(super) seats: Vec<SeatLabel>,
    /// What the seats cost by the reservation. An instance of an earlier version does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) prices: Option<Prices>,
}

/// What the seats of a reservation cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Prices {
    /// When the reservation was made: they cost that then.
    pub(super) held_at: Timestamp,
    /// In the order of the seats.
    pub(super) of_seats: Vec<Points>,
}

/// What the seats are now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Now {
    /// The reservation holds them until then.
    Held(Timestamp),
    /// The reservation has been paid.
    Sold,
    /// The reservation no longer has them.
    Free,
}

impl SeatChange {
    /// The state of the seats after the change.
    pub(super) fn state(&self) -> SeatState {
        match self.now {
            Now::Held(until) => SeatState::Held { by: self.reservation_id, until },
            Now::Sold => SeatState::Sold { to: self.reservation_id },
            Now::Free => SeatState::Free,
        }
    }

    fn of<V>(reservation: &Reservation, now: Now, made: &Made<V>, account_id: Option<AccountId>) -> SeatUpdate {
        let seats = reservation.seats.iter().map(|seat| seat.label.clone()).collect();
        let of_seats = reservation.seats.iter().map(|seat| seat.price).collect();
        let prices = Some(Prices { held_at: reservation.created_at, of_seats });
        let (performance_id, reservation_id) = (reservation.performance_id, reservation.id);
        let change = Self { performance_id, reservation_id, account_id, now, seats, prices };
        if made.replayed { SeatUpdate::Replayed(change) } else { SeatUpdate::Changed(change) }
    }
}

impl SeatUpdate {
    pub(super) fn of(command: &Command, outcome: &Outcome) -> Option<Self> {
        let account_id = match command {
            // No buyer waits to see it.
            Command::Expire { .. } => None,
            command => Some(command.account_id()),
        };
        Some(match outcome {
            Outcome::Hold(Ok(made)) => {
                let reservation = &made.value.reservation;
                SeatChange::of(reservation, Now::Held(reservation.held_until), made, account_id)
            }
            Outcome::Hold(Err(HoldRefusal::SeatUnavailable { seats, .. })) => {
                let Command::Hold(request) = command else { return None };
                Self::Unavailable { performance_id: request.performance_id, seats: seats.clone() }
            }
            Outcome::Pay(Ok(made)) => {
                SeatChange::of(&made.value.payment.reservation.reservation, Now::Sold, made, account_id)
            }
            Outcome::Cancel(Ok(made)) => SeatChange::of(&made.value.reservation, Now::Free, made, account_id),
            Outcome::Expire(Some(freed)) => Self::Changed(SeatChange {
                performance_id: freed.performance_id,
                reservation_id: freed.reservation_id,
                account_id,
                now: Now::Free,
                seats: freed.labels.clone(),
                prices: None,
            }),
            _ => return None,
        })
    }

    pub(super) fn performance_id(&self) -> PerformanceId {
        match self {
            Self::Changed(change) | Self::Replayed(change) => change.performance_id,
            Self::Unavailable { performance_id, .. } => *performance_id,
        }
    }
}

/// The text to publish, if anything has changed. A replay or a refusal is of no use to peers.
pub(super) fn text_of(updates: &[SeatUpdate]) -> Option<String> {
    let changes = updates.iter().filter_map(|update| match update {
        SeatUpdate::Changed(change) => Some(change),
        SeatUpdate::Replayed(_) | SeatUpdate::Unavailable { .. } => None,
    });
    let changes: Vec<&SeatChange> = changes.collect();
    if changes.is_empty() { None } else { serde_json::to_string(&changes).ok() }
}

/// Reads what a peer has published; `None` if it cannot be read, as from a peer of another version.
pub(super) fn read(text: &str) -> Option<Vec<SeatChange>> {
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use boxoffice_domain::{
        fixtures::{self, SaleTables, instant},
        payments::{PayRequest, PaymentMethod},
    };
    use chrono::TimeDelta;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn each_act_changes_the_seats_of_its_reservation() {
        let terms = fixtures::terms();
        let request = fixtures::hold_request(&terms, &["A-1-1", "A-1-2"]);
        let (account_id, reservation_id) = (request.account_id, request.reservation_id);
        let mut tables = SaleTables::on_sale(&terms, &["A-1-1", "A-1-2"]);
        tables.add_account(account_id, instant(0));
        let mut update = |command| {
            let outcomes = tables.write(instant(1), std::slice::from_ref(&command));
            SeatUpdate::of(&command, outcomes[0].as_ref().unwrap())
        };
        let change = |now| {
            let seats = request.seats.labels().to_vec();
            let of_seats = fixtures::seats(&["A-1-1", "A-1-2"]).iter().map(|seat| seat.price).collect();
            let (account_id, prices) = (Some(account_id), Some(Prices { held_at: instant(1), of_seats }));
            SeatChange { performance_id: terms.id, reservation_id, account_id, now, seats, prices }
        };
        let held = Now::Held(instant(1) + TimeDelta::seconds(300));
        assert_eq!(update(Command::Hold(request.clone())), Some(SeatUpdate::Changed(change(held))));
        let reservation = Reservation { account_id, id: reservation_id, ..fixtures::held(&terms, &["A-1-1"]) };
        let pay = PayRequest { method: PaymentMethod::Outside, ..fixtures::pay_request(&reservation) };
        assert_eq!(update(Command::Pay(pay.clone())), Some(SeatUpdate::Changed(change(Now::Sold))));
        assert_eq!(update(Command::Pay(pay)), Some(SeatUpdate::Replayed(change(Now::Sold))));
        let cancel = Command::Cancel(fixtures::cancel_request(&reservation));
        assert_eq!(update(cancel.clone()), Some(SeatUpdate::Changed(change(Now::Free))));
        assert_eq!(update(cancel), None, "a refusal");
    }

    #[test]
    fn what_is_published_is_read_as_it_was() {
        let change = |account: Option<u128>, now, seats: &[&str]| SeatChange {
            performance_id: PerformanceId::new(Uuid::from_u128(1)),
            reservation_id: ReservationId::new(Uuid::from_u128(3)),
            account_id: account.map(|account| AccountId::new(Uuid::from_u128(account))),
            now,
            seats: seats.iter().map(|text| SeatLabel::new(text).unwrap()).collect(),
            prices: account.map(|_| Prices { held_at: instant(2), of_seats: vec![Points::ZERO; seats.len()] }),
        };
        let changes = [
            change(Some(2), Now::Held(instant(300)), &["A-1-1", "A-1-2"]),
            change(Some(2), Now::Sold, &["B-2-7"]),
            change(None, Now::Free, &["A-1-2"]),
        ];
        let found_out = || SeatUpdate::Unavailable { performance_id: changes[0].performance_id, seats: Vec::new() };
        let updates: Vec<_> = changes.iter().cloned().map(SeatUpdate::Changed).chain([found_out()]).collect();
        assert_eq!(read(&text_of(&updates).unwrap()).unwrap(), changes);
        assert_eq!(text_of(&[found_out(), SeatUpdate::Replayed(changes[0].clone())]), None);
    }

    #[test]
    fn other_texts_are_not_read() {
        let one = r#"{"performance_id":"00000000-0000-0000-0000-000000000001","reservation_id":"00000000-0000-0000-0000-000000000002","now":"Sold","seats":["A-1-1"]}"#;
        assert_eq!(read(&format!("[{one}]")).unwrap().len(), 1);
        let label = one.replace("A-1-1", "no seat");
        let time = one.replace(r#""Sold""#, r#"{"Held":"no time"}"#);
        for text in ["", "[", "{}", "[[]]", &format!("[{label}]"), &format!("[{time}]"), &"[".repeat(100_000)] {
            assert_eq!(read(text), None, "{}", &text[..text.len().min(100)]);
        }
    }
}
