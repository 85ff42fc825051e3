//! Whether an audit finds what is broken.

use std::{fmt, ops::Range};

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, ChargeId, ConcertId, PaymentId, PerformanceId, Points, ReservationId, Timestamp, VenueId,
    catalog::{Row, SeatingPlan, Section, VENUE_SEATS_MAX},
    fixtures::{self, instant},
    mail::MailLanguage,
    reservations::HoldRequest,
    seats::SeatLabel,
};
use uuid::Uuid;

use super::{PRICE_A, PRICE_B, Stage, concert, label, new_performance, part, points, venue};

/// Changes what is stored behind the ports' back. An adapter implements it for the tests of its audit.
#[async_trait]
pub trait Corrupt: fmt::Debug + Send + Sync {
    /// Breaks the rows that the corruption names, and nothing else. Returns `false` if the storage cannot be broken in this
    /// way, because its types or its schema have no room for it.
    async fn corrupt(&self, corruption: Corruption) -> bool;

    /// Gives an account a verified address and a language, without asking its holder; and none without an address.
    async fn set_address(&self, account_id: AccountId, address: Option<&str>, language: Option<MailLanguage>);
}

/// What is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields name the row that is changed")]
pub enum Corruption {
    /// A free seat is marked as sold to a reservation that does not exist.
    SeatSoldToNobody { performance_id: PerformanceId, label: SeatLabel },
    /// A seat is marked as free, though it is held or sold.
    SeatFreed { performance_id: PerformanceId, label: SeatLabel },
    /// The total of a reservation is one point higher.
    TotalChanged { reservation_id: ReservationId },
    /// A payment is gone.
    PaymentRemoved { payment_id: PaymentId },
    /// The balance of a wallet is one point higher.
    BalanceChanged { account_id: AccountId },
    /// All events of a reservation are gone.
    EventsRemoved { reservation_id: ReservationId },
    /// A performance has one seat more than there are.
    SeatsTotalChanged { performance_id: PerformanceId },
    /// The dearest seat of a performance costs one point more than any seat.
    PriceRangeChanged { performance_id: PerformanceId },
    /// Performances may not overlap at a venue where they do.
    OverlapsForbidden { venue_id: VenueId },
    /// A reservation is of another concert than its performance.
    ConcertChanged { reservation_id: ReservationId },
    /// A payment left one point more than its entry in the wallet.
    BalanceAfterChanged { payment_id: PaymentId },
    /// A payment that was made from a wallet counts as made outside.
    BalanceAfterRemoved { payment_id: PaymentId },
    /// The entry of a payment in the wallet names no payment.
    EntryPaymentRemoved { payment_id: PaymentId },
    /// A completed charge does not say which balance it left.
    ChargeBalanceRemoved { charge_id: ChargeId },
    /// A completed charge does not say when it ended.
    ChargeEndRemoved { charge_id: ChargeId },
    /// A wallet changed at another time than its last entry.
    WalletTimeChanged { account_id: AccountId },
    /// A reservation changed at another time than its status says.
    ReservationTimeChanged { reservation_id: ReservationId },
    /// A reservation names the key of the request that made it, but not what the request asked for.
    FingerprintRemoved { reservation_id: ReservationId },
    /// A reservation lists a seat under another label, which no seat has.
    ReservedSeatRenamed { reservation_id: ReservationId, label: SeatLabel, to: SeatLabel },
    /// An event is gone.
    EventRemoved { subject: Uuid, kind: &'static str },
    /// The events of a reservation name another account than `account_id`.
    EventAccountChanged { reservation_id: ReservationId, account_id: AccountId },
    /// An account is gone, and what it has is still there.
    AccountRemoved { account_id: AccountId },
    /// A seat has another label, which the plan does not have.
    SeatRenamed { performance_id: PerformanceId, label: SeatLabel, to: SeatLabel },
    /// Two seats are in each other's place: these are their ordinals from then on.
    SeatsSwapped { performance_id: PerformanceId, seats: [(SeatLabel, u32); 2] },
    /// A seat has another price.
    SeatPriceChanged { performance_id: PerformanceId, label: SeatLabel, price: Points },
    /// Section `A` of the plan of a venue is called `Z`.
    PlanChanged { venue_id: VenueId },
    /// A venue has one seat more than its plan.
    CapacityChanged { venue_id: VenueId },
    /// A performance was moved, but is not known to have had another start.
    MoveHalved { performance_id: PerformanceId },
    /// A performance is of a concert that does not exist.
    ConcertRemoved { performance_id: PerformanceId },
    /// The sale of a concert has other times.
    SaleChanged { concert_id: ConcertId, open_at: Timestamp, close_at: Timestamp },
}

impl Stage {
    /// Fails the test unless the audit reports something new after each corruption that is possible.
    async fn assert_found(&self, corruptions: impl IntoIterator<Item = Corruption>) {
        let corrupter = self.corrupter.as_ref().expect("the stage has a corrupter");
        self.assert_sound().await;
        let mut known = Vec::new();
        for corruption in corruptions {
            if !corrupter.corrupt(corruption.clone()).await {
                continue;
            }
            let found = self.storage.audit.breaches().await.expect("the audit runs");
            assert!(found.iter().any(|breach| !known.contains(breach)), "{corruption:?} is not found: {found:?}");
            known = found;
        }
    }
}

/// Whatever is broken of a sale, the audit reports something that it did not report before.
pub async fn an_audit_finds_every_corruption(stage: &Stage) {
    let show = stage.show().await;
    stage.another_performance(&show, show.starts_at).await;
    let performance_id = show.performance_id;
    let mut held = Vec::new();
    for label in ["A-1-1", "A-1-2", "A-1-3", "A-1-4", "A-1-5", "A-1-6", "A-1-7"] {
        let account_id = stage.account_with(PRICE_A).await;
        let idempotency = Some(fixtures::idempotency());
        let request = HoldRequest { idempotency, ..show.hold_request(account_id, &[label]) };
        held.push(stage.hold(request).await.expect("the seat").value.reservation);
    }
    let kept = stage.pays(&held[0]).await.payment.payment.id;
    let payment_id = stage.pays(&held[1]).await.payment.payment.id;
    stage.pays(&held[5]).await;
    stage.cancels(&held[6]).await;
    stage
        .assert_found([
            Corruption::SeatSoldToNobody { performance_id, label: label("B-1-1") },
            Corruption::SeatFreed { performance_id, label: label("A-1-1") },
            Corruption::PaymentRemoved { payment_id },
            Corruption::SeatFreed { performance_id, label: label("A-1-3") },
            Corruption::TotalChanged { reservation_id: held[3].id },
            Corruption::EventsRemoved { reservation_id: held[4].id },
            Corruption::BalanceChanged { account_id: held[0].account_id },
            Corruption::SeatsTotalChanged { performance_id },
            Corruption::PriceRangeChanged { performance_id },
            Corruption::OverlapsForbidden { venue_id: show.venue.id },
            Corruption::ConcertChanged { reservation_id: held[2].id },
            Corruption::BalanceAfterChanged { payment_id: kept },
            Corruption::ReservationTimeChanged { reservation_id: held[4].id },
            Corruption::FingerprintRemoved { reservation_id: held[4].id },
            Corruption::ReservedSeatRenamed { reservation_id: held[6].id, label: label("A-1-7"), to: label("A-9-9") },
            Corruption::EventRemoved { subject: held[5].id.uuid(), kind: "reservation_held" },
            Corruption::EventAccountChanged { reservation_id: held[6].id, account_id: held[6].account_id },
        ])
        .await;
}

/// The same for wallets.
pub async fn an_audit_finds_every_corruption_of_a_wallet(stage: &Stage) {
    let show = stage.show().await;
    let mut paid = Vec::new();
    for label in ["A-1-1", "A-1-2"] {
        let account_id = stage.account_with(PRICE_A).await;
        paid.push(stage.pays(&stage.holds(&show, account_id, &[label]).await).await.payment.payment.id);
    }
    let account_id = stage.account().await;
    let mut charges = Vec::new();
    for _ in 0..3 {
        charges.push(stage.charge(account_id, 5).await.id);
    }
    let idle = stage.account().await;
    stage
        .assert_found([
            Corruption::BalanceAfterRemoved { payment_id: paid[0] },
            Corruption::EntryPaymentRemoved { payment_id: paid[1] },
            Corruption::ChargeBalanceRemoved { charge_id: charges[0] },
            Corruption::ChargeEndRemoved { charge_id: charges[1] },
            Corruption::EventRemoved { subject: charges[2].uuid(), kind: "charge_requested" },
            Corruption::EventRemoved { subject: charges[2].uuid(), kind: "charge_completed" },
            Corruption::WalletTimeChanged { account_id },
            Corruption::AccountRemoved { account_id: idle },
        ])
        .await;
}

/// The same for a catalog.
pub async fn an_audit_finds_every_corruption_of_a_catalog(stage: &Stage) {
    let shows = [stage.show().await, stage.show().await, stage.show().await];
    let [first, second, third] = &shows;
    let performance_id = first.performance_id;
    let sale = |open_at, close_at| Corruption::SaleChanged { concert_id: third.concert.id, open_at, close_at };
    stage
        .assert_found([
            Corruption::SeatPriceChanged { performance_id, label: label("A-1-2"), price: points(PRICE_B) },
            Corruption::SeatRenamed { performance_id, label: label("A-1-3"), to: label("A-9-9") },
            Corruption::MoveHalved { performance_id },
            Corruption::ConcertRemoved { performance_id },
            Corruption::SeatsSwapped {
                performance_id: second.performance_id,
                seats: [(label("A-1-4"), 4), (label("A-1-5"), 3)],
            },
            Corruption::PlanChanged { venue_id: second.venue.id },
            Corruption::CapacityChanged { venue_id: second.venue.id },
            sale(third.starts_at, instant(500 * 86_400)),
            sale(instant(0), instant(-1)),
            Corruption::AccountRemoved { account_id: third.promoter_id },
        ])
        .await;
}

/// An audit takes time in proportion to the rows of a hall: the largest one, with the most rows, does not hold it up. If it
/// read the plan of the hall for each seat, this would take minutes.
pub async fn a_hall_of_two_hundred_thousand_rows_is_audited(stage: &Stage) {
    let rows = |numbers: Range<u32>| numbers.map(|number| Row { name: part(&number.to_string()), seats: 1 }).collect();
    let sections = [("A", 1..VENUE_SEATS_MAX), ("B", 0..1)]
        .map(|(name, numbers)| Section { name: part(name), rows: rows(numbers) });
    let plan = SeatingPlan::new(sections.into()).expect("a plan");
    let promoter_id = stage.account().await;
    let (concert, venue) = (concert(promoter_id, stage.now()), venue(plan, stage.now()));
    let catalog = &stage.storage.catalog;
    catalog.publish_venue(promoter_id, venue.clone(), None, fixtures::staff_act()).await.expect("a venue");
    catalog.publish_concert(concert.clone(), None, fixtures::staff_act()).await.expect("a concert");
    stage.publish(promoter_id, &new_performance(&concert, &venue, instant(365 * 86_400))).await;
    stage.assert_sound().await;
}
