//! Breaking what is stored, for the contract of the audit.

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, ConcertId, PaymentId, PerformanceId, Points, ReservationId,
    accounts::AccountEmail,
    catalog::{SalesWindow, SeatingPlan, Section},
    events::Event,
    mail::{EmailAddress, MailLanguage},
    payments::{Payment, PaymentSource},
    reservations::Reservation,
    seats::{PartName, Seat, SeatLabel, SeatState},
};
use chrono::TimeDelta;

use super::super::{MemoryStore, Rows};
use crate::storage::audit::{Corrupt, Corruption};

#[async_trait]
impl Corrupt for MemoryStore {
    async fn corrupt(&self, corruption: Corruption) -> bool {
        let made_up = ReservationId::new(self.entropy.uuid());
        let mut rows = self.rows();
        rows.corrupt_sale(&corruption, made_up)
            || rows.corrupt_wallet(&corruption)
            || rows.corrupt_events(&corruption)
            || rows.corrupt_catalog(&corruption, made_up)
    }

    async fn set_address(&self, account_id: AccountId, address: Option<&str>, language: Option<MailLanguage>) {
        let mut rows = self.rows();
        match address.map(|text| EmailAddress::new(text).expect("an address")) {
            Some(address) => {
                let verified_at = Some(self.now());
                let email = AccountEmail { address: Some(address), verified_at, language, pending: None };
                rows.emails.insert(account_id, email)
            }
            None => rows.emails.remove(&account_id),
        };
    }
}

/// Each function returns whether the corruption is one of its, and can be: most types have no room for what contradicts
/// itself.
impl Rows {
    fn seat(&mut self, performance_id: PerformanceId, label: &SeatLabel) -> &mut Seat {
        let seats = self.sale.seats.get_mut(&performance_id).expect("a performance");
        seats.get_mut(label).expect("a seat")
    }

    fn reservation(&mut self, id: ReservationId) -> &mut Reservation {
        self.sale.reservations.get_mut(&id).expect("a reservation")
    }

    fn payment(&mut self, id: PaymentId) -> &mut Payment {
        self.sale.payments.values_mut().find(|payment| payment.id == id).expect("a payment")
    }

    fn corrupt_sale(&mut self, corruption: &Corruption, made_up: ReservationId) -> bool {
        match corruption {
            Corruption::SeatSoldToNobody { performance_id, label } => {
                self.seat(*performance_id, label).state = SeatState::Sold { to: made_up };
            }
            Corruption::SeatFreed { performance_id, label } => {
                self.seat(*performance_id, label).state = SeatState::Free;
            }
            Corruption::TotalChanged { reservation_id } => {
                one_more(&mut self.reservation(*reservation_id).total_amount);
            }
            Corruption::ConcertChanged { reservation_id } => {
                self.reservation(*reservation_id).concert_id = ConcertId::new(made_up.uuid());
            }
            Corruption::ReservationTimeChanged { reservation_id } => {
                self.reservation(*reservation_id).updated_at -= TimeDelta::seconds(1);
            }
            Corruption::ReservedSeatRenamed { reservation_id, label, to } => {
                let seats = &mut self.reservation(*reservation_id).seats;
                seats.iter_mut().filter(|seat| seat.label == *label).for_each(|seat| seat.label = to.clone());
            }
            _ => return false,
        }
        true
    }

    fn corrupt_wallet(&mut self, corruption: &Corruption) -> bool {
        match corruption {
            Corruption::PaymentRemoved { payment_id } => {
                self.sale.payments.retain(|_, payment| payment.id != *payment_id);
            }
            Corruption::BalanceChanged { account_id } => {
                one_more(&mut self.sale.wallets.get_mut(account_id).expect("a wallet").balance);
            }
            Corruption::WalletTimeChanged { account_id } => {
                self.sale.wallets.get_mut(account_id).expect("a wallet").updated_at -= TimeDelta::seconds(1);
            }
            Corruption::BalanceAfterChanged { payment_id } => {
                if let PaymentSource::Wallet { balance_after } = &mut self.payment(*payment_id).source {
                    one_more(balance_after);
                }
            }
            Corruption::BalanceAfterRemoved { payment_id } => {
                self.payment(*payment_id).source = PaymentSource::Outside;
            }
            Corruption::AccountRemoved { account_id } => {
                self.accounts.remove(account_id);
            }
            _ => return false,
        }
        true
    }

    fn corrupt_events(&mut self, corruption: &Corruption) -> bool {
        let events = self.batches.iter_mut().map(|batch| &mut batch.events);
        match corruption {
            Corruption::EventsRemoved { reservation_id } => {
                events.for_each(|events| events.retain(|event| event.subject() != reservation_id.uuid()));
            }
            Corruption::EventRemoved { subject, kind } => {
                events.for_each(|events| events.retain(|event| (event.subject(), event.kind()) != (*subject, *kind)));
            }
            Corruption::EventAccountChanged { reservation_id, .. } => {
                for event in events.flatten().filter(|event| event.subject() == reservation_id.uuid()) {
                    if let Event::ReservationHeld { account_id, .. } | Event::ReservationCancelled { account_id, .. } =
                        event
                    {
                        *account_id = AccountId::new(reservation_id.uuid());
                    }
                }
            }
            _ => return false,
        }
        true
    }

    fn corrupt_catalog(&mut self, corruption: &Corruption, made_up: ReservationId) -> bool {
        let performances = &mut self.performances.rows;
        match corruption {
            Corruption::SeatsTotalChanged { performance_id } => {
                performances.get_mut(performance_id).expect("a performance").seats_total += 1;
            }
            Corruption::PriceRangeChanged { performance_id } => {
                one_more(&mut performances.get_mut(performance_id).expect("a performance").price_max);
            }
            Corruption::ConcertRemoved { performance_id } => {
                let performance = performances.get_mut(performance_id).expect("a performance");
                performance.concert_id = ConcertId::new(made_up.uuid());
            }
            Corruption::SeatRenamed { performance_id, label, to } => {
                self.seat(*performance_id, label).label = to.clone();
            }
            Corruption::SeatsSwapped { performance_id, seats } => {
                for (label, ordinal) in seats {
                    self.seat(*performance_id, label).ordinal = *ordinal;
                }
            }
            Corruption::SeatPriceChanged { performance_id, label, price } => {
                self.seat(*performance_id, label).price = *price;
            }
            Corruption::OverlapsForbidden { venue_id } => {
                self.venues.rows.get_mut(venue_id).expect("a venue").overlaps_allowed = false;
            }
            Corruption::PlanChanged { venue_id } => {
                let venue = self.venues.rows.get_mut(venue_id).expect("a venue");
                let mut sections: Vec<Section> = venue.plan.clone().into();
                sections[0].name = PartName::new("Z").expect("a name");
                venue.plan = SeatingPlan::new(sections).expect("a plan");
            }
            Corruption::SaleChanged { concert_id, open_at, close_at } => {
                let Ok(sales) = SalesWindow::new(*open_at, *close_at) else { return false };
                self.concerts.rows.get_mut(concert_id).expect("a concert").sales = sales;
            }
            _ => return false,
        }
        true
    }
}

fn one_more(points: &mut Points) {
    *points = Points::new(points.get() + 1).expect("far from the largest number");
}
