//! A cinema that sells seats at its counter, in one file: the rules of the domain over the storage in memory.
//!
//! It keeps no points, has no queue and takes cash. Customers do not sign in: each one is a new account. The crate sees to
//! it that no seat is sold twice, that a hold ends by itself, and that a reservation has all of its seats or none.
//!
//! `cargo run --bin cinema` plays an evening.

use std::{
    error::Error,
    num::NonZeroU32,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use boxoffice_contracts::memory::MemoryStore;
use boxoffice_domain::{
    AccountId, Clock, ConcertId, EntropySource, PaymentId, PerformanceId, Points, ReservationId, StorageError,
    TimeZone, Timestamp, VenueId,
    catalog::{
        Catalog, Concert, DURATION_MINUTES, NewPerformance, PriceList, PublishError, Row, Sales, SalesWindow,
        SeatingPlan, Section, Venue,
    },
    chrono::{DateTime, TimeDelta},
    history::{Actor, StaffAct},
    idempotency::{Fingerprint, Idempotency, IdempotencyKey},
    payments::{PayError, PayRequest, PaymentMethod, Payments},
    reservations::{CancelError, CancelRequest, HoldError, HoldRequest, Reservation, Reservations},
    seats::{PartName, SeatLabel, SeatSelection, SeatStatus},
    text::{Description, Name},
    uuid::Uuid,
};

/// How long seats are put aside.
const HOLD_SECONDS: NonZeroU32 = NonZeroU32::new(300).unwrap();

/// The time of the operating system, in whole microseconds.
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
        let microseconds = i64::try_from(since_epoch.as_micros()).expect("far in the future");
        DateTime::from_timestamp_micros(microseconds).expect("in range")
    }
}

/// Ids that sort by time, and secrets of the operating system.
struct SystemEntropy;

impl EntropySource for SystemEntropy {
    fn uuid(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn secret(&self) -> [u8; 32] {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).expect("the operating system gives randomness");
        secret
    }
}

/// A film that is shown once.
#[derive(Clone, Debug)]
struct Screening {
    film: ConcertId,
    id: PerformanceId,
}

/// The cinema. [`MemoryStore`] is the storage; another one that implements the three ports takes its place without a
/// change of anything else.
struct Cinema<S = MemoryStore> {
    store: S,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn EntropySource>,
}

impl Cinema {
    fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn EntropySource>) -> Self {
        Self { store: MemoryStore::without_wallets(clock.clone(), entropy.clone()), clock, entropy }
    }
}

impl<S: Catalog + Reservations + Payments> Cinema<S> {
    /// Shows a film once, in a hall of two rows.
    async fn show(&self, film: &str, starts_at: Timestamp) -> Result<Screening, Box<dyn Error>> {
        let (cinema, now) = (AccountId::new(self.entropy.uuid()), self.clock.now());
        let part = |name: &str| PartName::new(name);
        let rows = vec![Row { name: part("1")?, seats: 6 }, Row { name: part("2")?, seats: 6 }];
        let plan = SeatingPlan::new(vec![Section { name: part("Hall")?, rows }])?;
        let prices = PriceList::new(&plan, &[(part("Hall")?, Points::new(12_000)?)])?;
        let venue = Venue {
            id: VenueId::new(self.entropy.uuid()),
            name: Name::new("Lumière")?,
            location: Name::new("Lyon")?,
            plan,
            overlaps_allowed: false,
            time_zone: TimeZone::new("Europe/Paris")?,
            layout: None,
            created_at: now,
        };
        let concert = Concert {
            id: ConcertId::new(self.entropy.uuid()),
            promoter_id: Some(cinema),
            title: Name::new(film)?,
            artist: Name::new("35 mm")?,
            description: Description::default(),
            sales: SalesWindow::new(now, starts_at)?,
            max_seats_per_account: 4,
            holds_need_balance: false,
            requires_verified_email: false,
            // These four are about the queue, of which there is none.
            max_active: 1,
            draw: None,
            paused: false,
            emptied_at: None,
            version: 1,
            created_at: now,
        };
        let screening = Screening { film: concert.id, id: PerformanceId::new(self.entropy.uuid()) };
        self.publish(cinema, venue, concert, prices, starts_at, screening.id).await?;
        Ok(screening)
    }

    async fn publish(
        &self,
        cinema: AccountId,
        venue: Venue,
        concert: Concert,
        prices: PriceList,
        starts_at: Timestamp,
        id: PerformanceId,
    ) -> Result<(), PublishError> {
        let (concert_id, created_at) = (concert.id, concert.created_at);
        let (entropy, actor) = (self.entropy.as_ref(), Actor::from(cinema));
        let act = StaffAct::venue_published(entropy, created_at, actor.clone(), &venue);
        self.store.publish_venue(cinema, venue.clone(), None, act).await?;
        let act = StaffAct::concert_published(entropy, created_at, actor.clone(), &concert);
        self.store.publish_concert(concert, None, act).await?;
        let duration_minutes = DURATION_MINUTES;
        let performance = NewPerformance { id, concert_id, venue, starts_at, duration_minutes, prices, created_at };
        let act = StaffAct::performance_published(entropy, created_at, actor, &performance);
        self.store.publish_performance(cinema, performance, None, act).await?;
        Ok(())
    }

    /// Puts seats aside for a new customer, for as long as it takes to find the money.
    async fn put_aside(&self, screening: &Screening, seats: &[&str]) -> Result<Reservation, HoldError> {
        let labels = seats.iter().map(|label| SeatLabel::new(label).expect("a label as it is printed on the seat"));
        let request = HoldRequest {
            reservation_id: ReservationId::new(self.entropy.uuid()),
            account_id: AccountId::new(self.entropy.uuid()),
            concert_id: screening.film,
            performance_id: screening.id,
            seats: SeatSelection::new(labels.collect()).expect("a few different seats"),
            hold_seconds: HOLD_SECONDS,
            // Each caller is an account of its own, so there is nothing to count.
            unpaid_holds_free: u32::MAX,
            idempotency: None,
        };
        Ok(self.store.hold(request).await?.value.reservation)
    }

    /// Sells what was put aside. The cash is in the drawer: the domain notes how much, and touches no wallet.
    async fn sell(&self, reservation: &Reservation) -> Result<Points, PayError> {
        let payment_id = PaymentId::new(self.entropy.uuid());
        let key = IdempotencyKey::new(&payment_id.to_string()).expect("visible characters");
        let request = PayRequest {
            payment_id,
            reservation_id: reservation.id,
            account_id: reservation.account_id,
            concert_id: reservation.concert_id,
            queue_place: None,
            method: PaymentMethod::Outside,
            idempotency: Idempotency { key, fingerprint: Fingerprint([0; 16]) },
        };
        Ok(self.store.pay(request).await?.value.payment.payment.amount)
    }

    /// Takes tickets back; the clerk returns the cash.
    async fn take_back(&self, reservation: &Reservation) -> Result<(), CancelError> {
        let (reservation_id, account_id) = (reservation.id, reservation.account_id);
        self.store.cancel(CancelRequest { reservation_id, account_id, idempotency: None }).await?;
        Ok(())
    }

    async fn sales(&self, screening: &Screening) -> Result<Sales, StorageError> {
        Ok(self.store.sales(screening.id).await?.unwrap_or_default())
    }

    /// The hall as the screen above the counter shows it: `.` is free, `o` put aside, `x` sold.
    async fn picture(&self, screening: &Screening) -> Result<String, StorageError> {
        let map = self.store.seats(screening.id).await?;
        let letter = |status| match status {
            SeatStatus::Available => '.',
            SeatStatus::Held => 'o',
            SeatStatus::Sold => 'x',
        };
        Ok(map.iter().flat_map(|map| map.seats()).map(|seat| letter(seat.status)).collect())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let cinema = Cinema::new(Arc::new(SystemClock), Arc::new(SystemEntropy));
    let tonight = cinema.show("Playtime", SystemClock.now() + TimeDelta::hours(3)).await?;
    let first = cinema.put_aside(&tonight, &["Hall-1-3", "Hall-1-4"]).await?;
    let refused = cinema.put_aside(&tonight, &["Hall-1-4", "Hall-1-5"]).await;
    println!("the next customer wants a seat of the first: {}", refused.expect_err("it is put aside"));
    println!("sold for {}", cinema.sell(&first).await?.get());
    println!("{}  {:?}", cinema.picture(&tonight).await?, cinema.sales(&tonight).await?);
    cinema.take_back(&first).await?;
    println!("{}  {:?}", cinema.picture(&tonight).await?, cinema.sales(&tonight).await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use boxoffice_domain::{
        fixtures::{TestClock, TestEntropy},
        payments::PayRefusal,
        reservations::HoldRefusal,
    };

    use super::*;

    boxoffice_contracts::clock_contract!(|| SystemClock);

    async fn evening() -> (Cinema, Arc<TestClock>, Screening) {
        let clock = Arc::new(TestClock::new());
        let cinema = Cinema::new(clock.clone(), Arc::new(TestEntropy));
        let screening = cinema.show("Playtime", clock.now() + TimeDelta::hours(3)).await.unwrap();
        (cinema, clock, screening)
    }

    #[tokio::test]
    async fn a_seat_is_sold_once_and_taken_back() {
        let (cinema, _, tonight) = evening().await;
        let first = cinema.put_aside(&tonight, &["Hall-1-1", "Hall-2-6"]).await.unwrap();
        assert_eq!(cinema.picture(&tonight).await.unwrap(), "o..........o");
        let refused = cinema.put_aside(&tonight, &["Hall-2-5", "Hall-2-6"]).await;
        assert!(matches!(refused, Err(HoldError::Refused(HoldRefusal::SeatUnavailable { seats, .. })) if seats.len() == 1));
        assert_eq!(cinema.sell(&first).await.unwrap().get(), 24_000);
        assert_eq!(cinema.picture(&tonight).await.unwrap(), "x..........x");
        assert!(matches!(cinema.sell(&first).await, Err(PayError::Refused(PayRefusal::AlreadyPaid))));
        cinema.take_back(&first).await.unwrap();
        assert_eq!(cinema.sales(&tonight).await.unwrap().available, 12);
    }

    #[tokio::test]
    async fn what_is_not_paid_in_time_is_free_again() {
        let (cinema, clock, tonight) = evening().await;
        let late = cinema.put_aside(&tonight, &["Hall-1-1"]).await.unwrap();
        clock.set(late.held_until);
        assert_eq!(cinema.picture(&tonight).await.unwrap(), "............");
        assert!(matches!(cinema.sell(&late).await, Err(PayError::Refused(PayRefusal::HoldExpired))));
        cinema.put_aside(&tonight, &["Hall-1-1"]).await.unwrap();
    }
}
