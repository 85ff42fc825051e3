//! What the contracts act on: shows and requests.

use std::fmt::Debug;

use boxoffice_domain::{
    AccountId, ChargeId, ConcertId, EntropySource, PaymentId, PerformanceId, Points, ReservationId, StorageError,
    TimeZone, Timestamp, VenueId,
    accounts::{Account, Credentials, LoginId, PasswordHash, Role, Standing},
    catalog::{Concert, DURATION_MINUTES, NewPerformance, PriceList, Row, SeatingPlan, Section, Venue},
    fixtures::{self, TestEntropy},
    idempotency::{Fingerprint, Idempotency, Made},
    page::{Page, PageRequest},
    payments::PayRequest,
    reservations::{HoldRefusal, HoldRequest, Reservation},
    seats::{PartName, SeatLabel, SeatSelection},
    text::{Description, Name},
    wallet::ChargeRequest,
};

use super::Held;

/// What a seat of section A of a [`Show`] costs, in points.
pub const PRICE_A: i64 = 1_000;
/// What a seat of section B of a [`Show`] costs, in points.
pub const PRICE_B: i64 = 600;
/// How many seats a [`Show`] has.
pub const SHOW_SEATS: usize = 50;

/// A performance that is on sale, with what is around it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each field is what its type names")]
pub struct Show {
    pub promoter_id: AccountId,
    pub concert: Concert,
    pub venue: Venue,
    pub performance_id: PerformanceId,
    pub starts_at: Timestamp,
}

impl Show {
    /// The labels of all seats, in the order of the plan.
    pub fn labels(&self) -> Vec<SeatLabel> {
        self.venue.plan.seats().map(|seat| seat.label).collect()
    }

    /// The request of an account to hold these seats for the usual time.
    pub fn hold_request(&self, account_id: AccountId, labels: &[&str]) -> HoldRequest {
        self.hold_request_for(account_id, labels.iter().map(|label| self::label(label)).collect())
    }

    /// As [`Self::hold_request`].
    pub fn hold_request_for(&self, account_id: AccountId, labels: Vec<SeatLabel>) -> HoldRequest {
        HoldRequest {
            reservation_id: ReservationId::new(TestEntropy.uuid()),
            account_id,
            concert_id: self.concert.id,
            performance_id: self.performance_id,
            seats: SeatSelection::new(labels).expect("a selection"),
            hold_seconds: fixtures::selling_rules().hold_seconds,
            unpaid_holds_free: fixtures::selling_rules().unpaid_holds_free,
            idempotency: None,
        }
    }
}

/// Fails unless exactly one of these answers to one request was made now, and all are the same.
pub(super) fn assert_first_of_all<T: PartialEq + Debug>(answers: &[Made<T>]) {
    assert_eq!(answers.iter().filter(|made| !made.replayed).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|made| made.value == answers[0].value), "{answers:?}");
}

/// How many of these are the same.
pub(super) fn count<T: PartialEq>(outcomes: &[T], wanted: &T) -> usize {
    outcomes.iter().filter(|outcome| *outcome == wanted).count()
}

/// How many of these succeeded.
pub(super) fn succeeded<T, E>(outcomes: &[Result<T, E>]) -> usize {
    outcomes.iter().filter(|outcome| outcome.is_ok()).count()
}

/// The pages of a list.
pub(super) async fn pages<T, K: Copy>(
    limit: u32,
    list: impl AsyncFn(PageRequest<K>) -> Result<Page<T, K>, StorageError>,
) -> Vec<Vec<T>> {
    let (mut pages, mut after) = (Vec::new(), None);
    loop {
        let page = list(PageRequest { limit, after }).await.expect("the storage works");
        pages.push(page.items);
        after = page.next;
        if after.is_none() {
            return pages;
        }
    }
}

/// A number of points.
pub fn points(points: i64) -> Points {
    Points::new(points).expect("not negative")
}

/// A name.
pub fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

/// The name of a section or a row.
pub fn part(text: &str) -> PartName {
    PartName::new(text).expect("a part's name")
}

/// A seat's label.
pub fn label(text: &str) -> SeatLabel {
    SeatLabel::new(text).expect("a seat label")
}

/// The same key with another request under it.
pub fn other_request(idempotency: &Idempotency) -> Idempotency {
    Idempotency { fingerprint: Fingerprint([9; 16]), ..idempotency.clone() }
}

/// A new person, a customer.
pub fn credentials(now: Timestamp) -> Credentials {
    let id = AccountId::new(TestEntropy.uuid());
    Credentials {
        account: Account {
            id,
            login_id: LoginId::new(&format!("u{id}")).expect("a login id"),
            name: name("김하늘"),
            role: Role::Customer,
            created_at: now,
        },
        standing: Standing::default(),
        password_hash: PasswordHash("$argon2id$a-hash".to_owned()),
        idempotency: None,
    }
}

/// A plan of [`SHOW_SEATS`] seats: 20 and 10 in section A, 20 in section B.
pub fn plan() -> SeatingPlan {
    let row = |name: &str, seats| Row { name: part(name), seats };
    let stalls = Section { name: part("A"), rows: vec![row("1", 20), row("2", 10)] };
    let balcony = Section { name: part("B"), rows: vec![row("1", 20)] };
    SeatingPlan::new(vec![stalls, balcony]).expect("a plan")
}

/// A new venue of this plan, with one performance at a time.
pub fn venue(plan: SeatingPlan, now: Timestamp) -> Venue {
    let id = VenueId::new(TestEntropy.uuid());
    let (name, location) = (name("Rolling Hall"), name("Seoul"));
    Venue {
        id,
        name,
        location,
        plan,
        layout: None,
        overlaps_allowed: false,
        time_zone: TimeZone::default(),
        created_at: now,
    }
}

/// A new concert that is on sale from a day before [`instant`](fixtures::instant) 0 until 364 days after it.
pub fn concert(promoter_id: AccountId, now: Timestamp) -> Concert {
    Concert {
        id: ConcertId::new(TestEntropy.uuid()),
        promoter_id: Some(promoter_id),
        title: name("한여름 밴드"),
        artist: name("Haneul"),
        description: Description::new("A night\nof songs").expect("a description"),
        created_at: now,
        ..fixtures::concert()
    }
}

/// The labels of the seats because of which a hold was refused; `None` if it was not refused as unavailable.
pub fn unavailable(held: &Held) -> Option<Vec<SeatLabel>> {
    match held {
        Err(HoldRefusal::SeatUnavailable { seats, .. }) => Some(seats.iter().map(|seat| seat.label.clone()).collect()),
        _ => None,
    }
}

/// A new performance at a venue of the plan [`plan`].
pub fn new_performance(concert: &Concert, venue: &Venue, starts_at: Timestamp) -> NewPerformance {
    let prices = [(part("A"), points(PRICE_A)), (part("B"), points(PRICE_B))];
    NewPerformance {
        id: PerformanceId::new(TestEntropy.uuid()),
        concert_id: concert.id,
        venue: venue.clone(),
        starts_at,
        duration_minutes: DURATION_MINUTES,
        prices: PriceList::new(&venue.plan, &prices).expect("a price for each section"),
        created_at: concert.created_at,
    }
}

/// The owner's request to pay a reservation, under a new key.
pub fn pay_request(reservation: &Reservation) -> PayRequest {
    let payment_id = PaymentId::new(TestEntropy.uuid());
    PayRequest { payment_id, ..fixtures::pay_request(reservation) }
}

/// An account's request to charge this many points, under a new key.
pub fn charge_request(account_id: AccountId, amount: i64) -> ChargeRequest {
    let charge_id = ChargeId::new(TestEntropy.uuid());
    ChargeRequest { charge_id, account_id, ..fixtures::charge_request(amount) }
}
