//! Whether an audit finds what is broken.

use std::fmt;

use async_trait::async_trait;
use boxoffice_domain::{AccountId, PaymentId, PerformanceId, ReservationId, VenueId, seats::SeatLabel};

use super::{PRICE_A, Stage, label};

/// Changes what is stored behind the ports' back. An adapter implements it for the tests of its audit.
#[async_trait]
pub trait Corrupt: fmt::Debug + Send + Sync {
    /// Breaks the rows that the corruption names, and nothing else.
    async fn corrupt(&self, corruption: Corruption);
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
}

/// Whatever is broken, the audit reports something that it did not report before.
pub async fn an_audit_finds_every_corruption(stage: &Stage) {
    let corrupter = stage.corrupter.as_ref().expect("the stage has a corrupter");
    let show = stage.show().await;
    stage.another_performance(&show, show.starts_at).await;
    let performance_id = show.performance_id;
    let mut held = Vec::new();
    for label in ["A-1-1", "A-1-2", "A-1-3", "A-1-4", "A-1-5"] {
        let account_id = stage.account_with(PRICE_A).await;
        held.push(stage.holds(&show, account_id, &[label]).await);
    }
    let kept = stage.pays(&held[0]).await.payment.payment.id;
    let payment_id = stage.pays(&held[1]).await.payment.payment.id;
    stage.assert_sound().await;
    let mut known = Vec::new();
    for corruption in [
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
    ] {
        corrupter.corrupt(corruption.clone()).await;
        let found = stage.storage.audit.breaches().await.expect("the audit runs");
        assert!(found.iter().any(|breach| !known.contains(breach)), "{corruption:?} is not found: {found:?}");
        known = found;
    }
}
