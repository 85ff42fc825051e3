//! Whether two requests ask for the same.
//!
//! A caller that gives a request an idempotency key makes the fingerprint of the request once, with the function for
//! its act, and hands both down as an [`Idempotency`](boxoffice_domain::idempotency::Idempotency).

use boxoffice_domain::{Points, ReservationId, idempotency::Fingerprint, seats::SeatLabel};
use sha2::{Digest, Sha256};

use crate::{
    accounts::SignUp,
    catalog::{NewConcert, NewVenue, PublishPerformance},
    reservations::HoldSeats,
};

/// Of signing up. It leaves the password out: a fast digest of it must not be stored.
pub fn sign_up(sign_up: &SignUp) -> Fingerprint {
    digest("account", [sign_up.login_id.as_str(), sign_up.name.as_str()])
}

/// Of publishing a venue.
pub fn publish_venue(new: &NewVenue) -> Fingerprint {
    let seats = new.plan.seats().map(|seat| seat.label.into());
    digest("venue", [new.name.to_string(), new.location.to_string()].into_iter().chain(seats))
}

/// Of publishing a concert. Only a concert with a draw mentions it, so that requests from before draws stay the same.
pub fn publish_concert(new: &NewConcert) -> Fingerprint {
    let parts = [
        new.title.to_string(),
        new.artist.to_string(),
        new.description.to_string(),
        new.sales.open_at().to_rfc3339(),
        new.sales.close_at().to_rfc3339(),
        new.max_seats_per_account.to_string(),
        new.max_active.to_string(),
    ];
    digest("concert", parts.into_iter().chain(new.draw.then(|| "draw".to_owned())))
}

/// Of publishing a performance. The order of the prices does not matter.
pub fn publish_performance(new: &PublishPerformance) -> Fingerprint {
    let mut prices: Vec<_> = new.prices.iter().collect();
    prices.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
    let prices = prices.into_iter().flat_map(|(section, price)| [section.as_str().to_owned(), price.to_string()]);
    let others = [new.concert_id.to_string(), new.venue_id.to_string(), new.starts_at.to_rfc3339()];
    digest("performance", others.into_iter().chain(prices))
}

/// Of holding seats.
pub fn hold(hold: &HoldSeats) -> Fingerprint {
    let performance_id = hold.performance_id.to_string();
    let labels = hold.seats.labels().iter().map(SeatLabel::as_str);
    digest("hold", std::iter::once(performance_id.as_str()).chain(labels))
}

/// Of cancelling a reservation.
pub fn cancel(reservation_id: ReservationId) -> Fingerprint {
    digest("cancel", [reservation_id.to_string()])
}

/// Of paying a reservation.
pub fn pay(reservation_id: ReservationId) -> Fingerprint {
    digest("pay", [reservation_id.to_string()])
}

/// Of charging points.
pub fn charge(amount: Points) -> Fingerprint {
    digest("charge", [amount.to_string()])
}

/// A digest of the act and of each part with its length, so that no two lists of parts run together into one text.
fn digest(act: &str, parts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Fingerprint {
    let mut digest = Sha256::new();
    let mut update = |part: &[u8]| {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    };
    update(act.as_bytes());
    parts.into_iter().for_each(|part| update(part.as_ref()));
    let digest = digest.finalize();
    let mut first = [0; 16];
    first.copy_from_slice(&digest[..16]);
    Fingerprint(first)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use boxoffice_domain::{
        ConcertId, PerformanceId, VenueId,
        accounts::{LoginId, Password},
        catalog::{PartName, Row, SalesWindow, SeatingPlan, Section},
        fixtures::instant,
        seats::SeatSelection,
        text::{Description, Name},
    };
    use uuid::Uuid;

    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    #[test]
    fn other_parts_make_another_fingerprint() {
        assert_eq!(digest("hold", ["a", "b"]), digest("hold", ["a", "b"]));
        assert_ne!(digest("hold", ["a", "b"]), digest("hold", ["ab"]));
        assert_ne!(digest("hold", ["a", "b"]), digest("hold", ["b", "a"]));
        assert_ne!(digest("hold", ["a"]), digest("pay", ["a"]));
    }

    #[test]
    fn the_password_is_no_part_of_the_request() {
        let with = |password| SignUp {
            login_id: LoginId::new("haneul").unwrap(),
            password: Password::new(password).unwrap(),
            name: name("Haneul"),
        };
        assert_eq!(sign_up(&with("long enough")), sign_up(&with("another password")));
        assert_ne!(sign_up(&with("long enough")), sign_up(&SignUp { name: name("Other"), ..with("long enough") }));
    }

    #[test]
    fn what_is_held_cancelled_paid_and_charged_tells_one_request_from_another() {
        let id = Uuid::from_u128;
        let seats = |labels: &[&str]| {
            SeatSelection::new(labels.iter().map(|label| SeatLabel::new(label).unwrap()).collect()).unwrap()
        };
        let of = |performance, labels| {
            hold(&HoldSeats { performance_id: PerformanceId::new(id(performance)), seats: seats(labels) })
        };
        let points = |points| charge(Points::new(points).unwrap());
        let fingerprints = [
            of(1, &["A-1-1", "A-1-2"]),
            of(2, &["A-1-1", "A-1-2"]),
            of(1, &["A-1-2", "A-1-1"]),
            of(1, &["A-1-1"]),
            cancel(ReservationId::new(id(1))),
            cancel(ReservationId::new(id(2))),
            pay(ReservationId::new(id(1))),
            pay(ReservationId::new(id(2))),
            points(5_000),
            points(5_001),
        ];
        assert_eq!(HashSet::from(fingerprints).len(), fingerprints.len());
        assert_eq!(of(1, &["A-1-1"]), of(1, &["A-1-1"]));
        assert_eq!(points(5_000), points(5_000));
    }

    #[test]
    fn texts_and_seats_tell_one_venue_from_another() {
        let part = |text| PartName::new(text).unwrap();
        let of = |text, seats| {
            let sections = vec![Section { name: part("A"), rows: vec![Row { name: part("1"), seats }] }];
            let plan = SeatingPlan::new(sections).unwrap();
            publish_venue(&NewVenue { name: name(text), location: name("Seoul"), plan })
        };
        assert_eq!(of("Hall", 2), of("Hall", 2));
        assert_ne!(of("Hall", 2), of("Other", 2));
        assert_ne!(of("Hall", 2), of("Hall", 3));
    }

    #[test]
    fn every_field_of_a_concert_tells_one_request_from_another() {
        let one = NewConcert {
            title: name("Night of Songs"),
            artist: name("The Waiting"),
            description: Description::default(),
            sales: SalesWindow::new(instant(-100), instant(100)).unwrap(),
            max_seats_per_account: 4,
            max_active: 70,
            draw: false,
        };
        let requests = [
            one.clone(),
            NewConcert { title: name("Another"), ..one.clone() },
            NewConcert { artist: name("Another"), ..one.clone() },
            NewConcert { description: Description::new("Another").unwrap(), ..one.clone() },
            NewConcert { sales: SalesWindow::new(instant(-100), instant(101)).unwrap(), ..one.clone() },
            NewConcert { max_seats_per_account: 5, ..one.clone() },
            NewConcert { max_active: 71, ..one.clone() },
            NewConcert { draw: true, ..one },
        ];
        let fingerprints: HashSet<_> = requests.iter().map(publish_concert).collect();
        assert_eq!(fingerprints.len(), requests.len());
    }

    #[test]
    fn prices_in_another_order_are_the_same_request() {
        let of = |venue, prices: &[(&str, i64)]| {
            let price =
                |(section, price): &(&str, i64)| (PartName::new(section).unwrap(), Points::new(*price).unwrap());
            publish_performance(&PublishPerformance {
                concert_id: ConcertId::new(Uuid::from_u128(1)),
                venue_id: VenueId::new(Uuid::from_u128(venue)),
                starts_at: instant(0),
                prices: prices.iter().map(price).collect(),
            })
        };
        assert_eq!(of(2, &[("A", 9), ("B", 5)]), of(2, &[("B", 5), ("A", 9)]));
        assert_ne!(of(2, &[("A", 9), ("B", 5)]), of(2, &[("A", 5), ("B", 9)]));
        assert_ne!(of(2, &[("A", 9)]), of(3, &[("A", 9)]));
    }
}
