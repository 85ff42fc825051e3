//! Whether two requests ask for the same.
//!
//! A caller that gives a request an idempotency key makes the fingerprint of the request once, with the function for
//! its act, and hands both down as an [`Idempotency`](boxoffice_domain::idempotency::Idempotency).

use boxoffice_domain::{
    ChargeId, Points, ReservationId, TimeZone,
    catalog::{Layout, MarkedSeat, Measure, SectionPlace},
    gateway::PaymentMethod,
    idempotency::Fingerprint,
    seats::SeatLabel,
    wallet::ChargeAmount,
};
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

/// Of publishing a venue. One in the default time zone says nothing of it, as before there were any; so it is with one
/// without a layout.
pub fn publish_venue(new: &NewVenue) -> Fingerprint {
    let seats = new.plan.seats().map(|seat| seat.label.into());
    let overlaps = new.overlaps_allowed.then(|| "overlaps".to_owned());
    let zone = (new.time_zone != TimeZone::default()).then(|| new.time_zone.to_string());
    let parts = [new.name.to_string(), new.location.to_string()].into_iter().chain(seats);
    let layout = new.layout.as_ref().map(layout_parts).into_iter().flatten();
    digest("venue", parts.chain(overlaps).chain(zone).chain(layout))
}

fn layout_parts(layout: &Layout) -> Vec<String> {
    let measures = |measures: &[Measure]| {
        let measures: Vec<_> = measures.iter().map(|measure| f64::from(*measure).to_string()).collect();
        measures.join(" ")
    };
    let stage = layout.stage.map(|stage| measures(&[stage.x, stage.y, stage.width, stage.depth]));
    let section = |place: &SectionPlace| {
        format!("{}-{}", place.section.as_str(), measures(&[place.x, place.y, place.angle, place.curvature]))
    };
    let mark = |marked: &MarkedSeat| format!("{} {}", marked.mark.name(), marked.seat.as_str());
    let parts = layout.sections.iter().map(section).chain(layout.marks.iter().map(mark));
    std::iter::once("layout".to_owned()).chain(stage).chain(parts).collect()
}

/// Of publishing a concert. One without a draw says nothing about draws, as before there were any; so it is with a concert
/// whose holds need no balance, or whose queue no verified address.
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
    let switches = [
        (new.draw, "draw"),
        (new.holds_need_balance, "holds_need_balance"),
        (new.requires_verified_email, "requires_verified_email"),
    ];
    let on = switches.into_iter().filter(|(on, _)| *on).map(|(_, name)| name.to_owned());
    digest("concert", parts.into_iter().chain(on))
}

/// Of publishing a performance. The order of the prices does not matter.
pub fn publish_performance(new: &PublishPerformance) -> Fingerprint {
    let mut prices: Vec<_> = new.prices.iter().collect();
    prices.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
    let prices = prices.into_iter().flat_map(|(section, price)| [section.as_str().to_owned(), price.to_string()]);
    let others = [
        new.concert_id.to_string(),
        new.venue_id.to_string(),
        new.starts_at.to_rfc3339(),
        new.duration_minutes.to_string(),
    ];
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
pub fn charge(amount: Points, payment_method: Option<&PaymentMethod>) -> Fingerprint {
    let method = payment_method.map(|method| method.as_str().to_owned());
    digest("charge", [amount.to_string()].into_iter().chain(method))
}

/// Of giving points of a charge back for money.
pub fn charge_refund(charge_id: ChargeId, amount: Option<ChargeAmount>) -> Fingerprint {
    let amount = amount.map(|amount| amount.points().to_string());
    digest("charge_refund", [charge_id.to_string()].into_iter().chain(amount))
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
    Fingerprint(*digest.first_chunk().expect("32 bytes are more than 16"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use boxoffice_contracts::storage::{label, layout, name, part, plan, points};
    use boxoffice_domain::{
        ConcertId, PerformanceId, VenueId,
        accounts::{LoginId, Password},
        catalog::{Row, SalesWindow, SeatMark, SeatingPlan, Section},
        fixtures::instant,
        seats::SeatSelection,
        text::Description,
    };
    use uuid::Uuid;

    use super::*;

    const fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn of_sign_up(login_id: &str, password: &str, text: &str) -> Fingerprint {
        let (login_id, password) = (LoginId::new(login_id).unwrap(), Password::new(password).unwrap());
        sign_up(&SignUp { login_id, password, name: name(text) })
    }

    fn of_venue(text: &str, location: &str, seats: u32) -> Fingerprint {
        of_venue_with(|venue| {
            let sections = vec![Section { name: part("A"), rows: vec![Row { name: part("1"), seats }] }];
            (venue.name, venue.location) = (name(text), name(location));
            venue.plan = SeatingPlan::new(sections).unwrap();
        })
    }

    fn of_venue_with(change: impl FnOnce(&mut NewVenue)) -> Fingerprint {
        let mut new = NewVenue {
            name: name("Hall"),
            location: name("Seoul"),
            plan: plan(),
            overlaps_allowed: false,
            time_zone: TimeZone::default(),
            layout: None,
        };
        change(&mut new);
        publish_venue(&new)
    }

    fn of_layout(change: impl FnOnce(&mut Layout)) -> Fingerprint {
        let mut layout = layout();
        change(&mut layout);
        of_venue_with(|venue| venue.layout = Some(layout))
    }

    fn of_concert(change: impl FnOnce(&mut NewConcert)) -> Fingerprint {
        let mut new = NewConcert {
            title: name("Night of Songs"),
            artist: name("The Waiting"),
            description: Description::default(),
            sales: SalesWindow::new(instant(-100), instant(100)).unwrap(),
            max_seats_per_account: 4,
            holds_need_balance: false,
            requires_verified_email: false,
            max_active: 70,
            draw: false,
        };
        change(&mut new);
        publish_concert(&new)
    }

    fn of_performance(concert: u128, venue: u128, second: i64, prices: &[(&str, i64)]) -> Fingerprint {
        of_performance_of(180, concert, venue, second, prices)
    }

    fn of_performance_of(
        duration_minutes: u32,
        concert: u128,
        venue: u128,
        second: i64,
        prices: &[(&str, i64)],
    ) -> Fingerprint {
        let price = |(section, price): &(&str, i64)| (part(section), points(*price));
        publish_performance(&PublishPerformance {
            concert_id: ConcertId::new(id(concert)),
            venue_id: VenueId::new(id(venue)),
            starts_at: instant(second),
            duration_minutes,
            prices: prices.iter().map(price).collect(),
        })
    }

    fn of_hold(performance: u128, labels: &[&str]) -> Fingerprint {
        let labels = labels.iter().map(|text| label(text)).collect();
        hold(&HoldSeats {
            performance_id: PerformanceId::new(id(performance)),
            seats: SeatSelection::new(labels).unwrap(),
        })
    }

    #[test]
    fn whatever_is_asked_for_tells_one_request_from_another() {
        let fingerprints = [
            of_sign_up("haneul", "long enough", "Haneul"),
            of_sign_up("haneul2", "long enough", "Haneul"),
            of_sign_up("haneul", "long enough", "Other"),
            of_venue("Hall", "Seoul", 2),
            of_venue("Other", "Seoul", 2),
            of_venue("Hall", "Busan", 2),
            of_venue("Hall", "Seoul", 3),
            of_venue_with(|_| {}),
            of_venue_with(|venue| venue.overlaps_allowed = true),
            of_venue_with(|venue| venue.time_zone = TimeZone::new("Europe/Berlin").unwrap()),
            of_layout(|_| {}),
            of_layout(|layout| *layout = Layout::default()),
            of_layout(|layout| layout.stage = None),
            of_layout(|layout| layout.sections[1].angle = 1.0.into()),
            of_layout(|layout| layout.sections.swap(0, 1)),
            of_layout(|layout| layout.marks[0].mark = SeatMark::Companion),
            of_layout(|layout| layout.marks.truncate(1)),
            of_concert(|_| {}),
            of_concert(|new| new.title = name("Another")),
            of_concert(|new| new.artist = name("Another")),
            of_concert(|new| new.description = Description::new("Another").unwrap()),
            of_concert(|new| new.sales = SalesWindow::new(instant(-101), instant(100)).unwrap()),
            of_concert(|new| new.sales = SalesWindow::new(instant(-100), instant(101)).unwrap()),
            of_concert(|new| new.max_seats_per_account = 5),
            of_concert(|new| new.holds_need_balance = true),
            of_concert(|new| new.requires_verified_email = true),
            of_concert(|new| new.max_active = 71),
            of_concert(|new| new.draw = true),
            of_performance(1, 2, 0, &[("A", 9), ("B", 5)]),
            of_performance(3, 2, 0, &[("A", 9), ("B", 5)]),
            of_performance(1, 3, 0, &[("A", 9), ("B", 5)]),
            of_performance(1, 2, 1, &[("A", 9), ("B", 5)]),
            of_performance(1, 2, 0, &[("A", 5), ("B", 9)]),
            of_performance_of(90, 1, 2, 0, &[("A", 9), ("B", 5)]),
            of_hold(1, &["A-1-1", "A-1-2"]),
            of_hold(2, &["A-1-1", "A-1-2"]),
            of_hold(1, &["A-1-2", "A-1-1"]),
            of_hold(1, &["A-1-1"]),
            cancel(ReservationId::new(id(1))),
            cancel(ReservationId::new(id(2))),
            pay(ReservationId::new(id(1))),
            pay(ReservationId::new(id(2))),
            charge(points(5_000), None),
            charge(points(5_001), None),
            charge(points(5_001), PaymentMethod::new("pm_1").as_ref()),
            charge_refund(ChargeId::new(id(1)), None),
            charge_refund(ChargeId::new(id(2)), None),
            charge_refund(ChargeId::new(id(1)), ChargeAmount::new(points(5_000)).ok()),
            digest("hold", ["a", "b"]),
            digest("hold", ["ab"]),
            digest("pay", ["a", "b"]),
        ];
        assert_eq!(HashSet::from(fingerprints).len(), fingerprints.len());
    }

    #[test]
    fn the_password_and_the_order_of_prices_are_no_part_of_the_request() {
        assert_eq!(of_sign_up("haneul", "long enough", "Haneul"), of_sign_up("haneul", "another password", "Haneul"));
        let (prices, turned) = ([("A", 9), ("B", 5)], [("B", 5), ("A", 9)]);
        assert_eq!(of_performance(1, 2, 0, &prices), of_performance(1, 2, 0, &turned));
    }
}
