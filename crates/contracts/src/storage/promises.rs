//! The promises of the domain, checked through the ports alone, whatever the storage's own audit says.

use std::collections::{BTreeMap, BTreeSet};

use boxoffice_domain::{
    AccountId, PerformanceId, StorageError,
    events::Event,
    page::{Page, PageRequest},
    payments::{PaymentStatus, PaymentView},
    reservations::{ReservationStatus, ReservationView},
    wallet::ChargeState,
};
use futures::{StreamExt, stream};

use super::Stage;

/// How many accounts are looked at at once.
const ACCOUNTS_AT_ONCE: usize = 16;
const PAGE: u32 = 100;

/// What the ports show of one account.
struct Seen {
    account_id: AccountId,
    reservations: Vec<ReservationView>,
    payments: Vec<PaymentView>,
}

/// Every item of a list.
async fn all<T, K: Copy>(list: impl AsyncFn(PageRequest<K>) -> Result<Page<T, K>, StorageError>) -> Vec<T> {
    let (mut items, mut after) = (Vec::new(), None);
    loop {
        let page = list(PageRequest { limit: PAGE, after }).await.expect("the storage works");
        items.extend(page.items);
        after = page.next;
        if after.is_none() {
            return items;
        }
    }
}

impl Stage {
    /// Fails the test if an account that this stage made, or a performance that one of them reserved, breaks a promise.
    pub async fn assert_promises(&self) {
        let accounts = self.accounts_made();
        let seen: Vec<Seen> =
            stream::iter(accounts).map(|id| self.look_at(id)).buffer_unordered(ACCOUNTS_AT_ONCE).collect().await;
        self.assert_seats_have_one_owner(&seen).await;
        for seen in &seen {
            assert_paid_once(self, seen);
        }
        self.assert_events_tell_everything(&seen).await;
    }

    async fn look_at(&self, account_id: AccountId) -> Seen {
        let storage = &self.storage;
        let entries = all(async |page| storage.wallets.entries(account_id, page).await).await;
        let wallet = self.wallet(account_id).await;
        let mut balance = 0;
        for (entry, sequence) in entries.iter().rev().zip(1..) {
            balance += entry.amount;
            assert_eq!((entry.sequence, entry.balance_after.get()), (sequence, balance), "{entry:?}");
        }
        assert_eq!((wallet.balance.get(), wallet.entries_count), (balance, entries.len() as u64), "{account_id}");
        Seen {
            account_id,
            reservations: all(async |page| storage.reservations.list(account_id, None, page).await).await,
            payments: all(async |page| storage.payments.list(account_id, page).await).await,
        }
    }

    async fn assert_seats_have_one_owner(&self, seen: &[Seen]) {
        let now = self.now();
        let mut taken: BTreeMap<PerformanceId, (BTreeSet<_>, u32, u32)> = BTreeMap::new();
        for ReservationView { reservation, .. } in seen.iter().flat_map(|seen| &seen.reservations) {
            let (labels, held, sold) = taken.entry(reservation.performance_id).or_default();
            let count = u32::try_from(reservation.seats.len()).expect("few seats");
            match reservation.status(now) {
                ReservationStatus::Held => *held += count,
                ReservationStatus::Confirmed => *sold += count,
                ReservationStatus::Cancelled | ReservationStatus::Expired => continue,
            }
            for seat in &reservation.seats {
                assert!(labels.insert(seat.label.clone()), "{} has two owners", seat.label);
            }
        }
        for (id, (_, held, sold)) in taken {
            let sales = self.storage.catalog.sales(id).await.expect("the storage works").expect("a performance");
            assert!(sales.held >= held && sales.sold >= sold, "{sales:?} are fewer than {held} held and {sold} sold");
        }
    }

    async fn assert_events_tell_everything(&self, seen: &[Seen]) {
        let batches = all(async |page| self.storage.outbox.batches(page).await).await;
        let told: BTreeSet<_> =
            batches.iter().flat_map(|batch| &batch.events).map(|event| (event.subject(), event.kind())).collect();
        let has = |subject, kind| assert!(told.contains(&(subject, kind)), "no event {kind} of {subject}");
        for ReservationView { reservation, .. } in seen.iter().flat_map(|seen| &seen.reservations) {
            has(reservation.id.uuid(), "reservation_held");
            if reservation.payment_id().is_some() {
                has(reservation.id.uuid(), "reservation_confirmed");
            }
            if reservation.status(self.now()) == ReservationStatus::Cancelled {
                has(reservation.id.uuid(), "reservation_cancelled");
            }
        }
        for event in batches.iter().flat_map(|batch| &batch.events) {
            let Event::ChargeRequested { charge_id, account_id, .. } = event else { continue };
            let charge = self.storage.wallets.find_charge(*account_id, *charge_id).await.expect("the storage works");
            match charge.expect("an event has its cause").state {
                ChargeState::Pending => {}
                ChargeState::Completed { .. } => has(charge_id.uuid(), "charge_completed"),
                ChargeState::Declined { .. } => has(charge_id.uuid(), "charge_declined"),
            }
        }
    }
}

/// A reservation has the payment that it names, of its amount, and no payment has none.
fn assert_paid_once(stage: &Stage, seen: &Seen) {
    let payments: BTreeMap<_, _> = seen.payments.iter().map(|view| (view.payment.id, &view.payment)).collect();
    let mut named = 0;
    for ReservationView { reservation, .. } in &seen.reservations {
        let Some(payment_id) = reservation.payment_id() else { continue };
        named += 1;
        let payment = payments.get(&payment_id).unwrap_or_else(|| panic!("{reservation:?} has no payment"));
        assert_eq!((payment.reservation_id, payment.account_id), (reservation.id, seen.account_id));
        assert_eq!(payment.amount, reservation.total_amount);
        let confirmed = reservation.status(stage.now()) == ReservationStatus::Confirmed;
        assert_eq!(payment.status() == PaymentStatus::Completed, confirmed, "{payment:?} of {reservation:?}");
    }
    assert_eq!(named, payments.len(), "every payment has its reservation");
}
