//! The promises of the domain, checked through the ports alone, whatever the storage's own audit says.

use std::collections::{BTreeMap, BTreeSet};

use boxoffice_domain::{
    AccountId, Points,
    catalog::Sales,
    events::Event,
    payments::{PaymentStatus, PaymentView},
    reservations::{ReservationState, ReservationStatus, ReservationView},
    wallet::{ChargeRefundState, ChargeState, WalletEntry},
};
use futures::{StreamExt, stream};
use uuid::Uuid;

use super::{Stage, stage::all};

/// How many accounts are looked at at once.
const ACCOUNTS_AT_ONCE: usize = 4;

/// What the ports show of one account.
struct Seen {
    account_id: AccountId,
    reservations: Vec<ReservationView>,
    payments: Vec<PaymentView>,
}

impl Stage {
    /// Fails the test if an account that this stage made, or a performance that one of them reserved, breaks a promise.
    /// No other account has reserved seats of these performances.
    pub async fn assert_promises(&self) {
        let accounts = self.accounts_made();
        let seen: Vec<Seen> =
            stream::iter(accounts).map(|id| self.look_at(id)).buffer_unordered(ACCOUNTS_AT_ONCE).collect().await;
        self.assert_seats_have_one_owner(&seen).await;
        for seen in &seen {
            assert_paid_once(self, seen);
        }
        if self.keeps_events {
            self.assert_events_have_causes(&seen).await;
        }
    }

    async fn look_at(&self, account_id: AccountId) -> Seen {
        let storage = &self.storage;
        let reservations = all(async |page| storage.reservations.list(account_id, None, page).await).await;
        let payments = all(async |page| storage.payments.list(account_id, page).await).await;
        if self.keeps_points {
            let entries = self.entries(account_id).await;
            assert_moved_once(&entries, &payments);
            self.assert_balance_is_the_sum_of(&entries, account_id).await;
        }
        Seen { account_id, reservations, payments }
    }

    async fn assert_balance_is_the_sum_of(&self, entries: &[WalletEntry], account_id: AccountId) {
        let wallet = self.wallet(account_id).await;
        let mut balance = 0;
        for (entry, sequence) in entries.iter().rev().zip(1..) {
            balance += entry.amount;
            assert_eq!((entry.sequence, entry.balance_after.get()), (sequence, balance), "{entry:?}");
        }
        assert_eq!((wallet.balance.get(), wallet.entries_count), (balance, entries.len() as u64), "{account_id}");
    }

    /// Each seat belongs to at most one live reservation, and as many count as held and as sold as there are reserved.
    async fn assert_seats_have_one_owner(&self, seen: &[Seen]) {
        let mut performances = BTreeMap::new();
        for ReservationView { reservation, .. } in seen.iter().flat_map(|seen| &seen.reservations) {
            let prices = reservation.seats.iter().map(|seat| seat.price);
            assert_eq!(Points::checked_sum(prices), Some(reservation.total_amount), "{reservation:?}");
            let (labels, sales) =
                performances.entry(reservation.performance_id).or_insert((BTreeSet::new(), Sales::default()));
            let count = u32::try_from(reservation.seats.len()).expect("few seats");
            match reservation.status(self.now()) {
                ReservationStatus::Held => sales.held += count,
                ReservationStatus::Confirmed => {
                    sales.sold += count;
                    sales.revenue = sales.revenue.checked_add(reservation.total_amount).expect("a small sum");
                }
                ReservationStatus::Cancelled | ReservationStatus::Expired => continue,
            }
            for seat in &reservation.seats {
                assert!(labels.insert(seat.label.clone()), "{} has two owners", seat.label);
            }
        }
        for (id, (_, expected)) in performances {
            let summary = self.storage.catalog.performance(id).await.expect("the storage works");
            let available = summary.expect("a performance").seats_total - expected.held - expected.sold;
            let sales = self.storage.catalog.sales(id).await.expect("the storage works");
            assert_eq!(sales, Some(Sales { available, ..expected }), "the sales of {id}");
        }
    }

    /// Each change has its event, once, and there are no other events of these accounts.
    async fn assert_events_have_causes(&self, seen: &[Seen]) {
        let batches = all(async |page| self.storage.outbox.batches(page).await).await;
        let accounts: BTreeSet<_> = seen.iter().map(|seen| seen.account_id).collect();
        let events = batches.iter().flat_map(|batch| &batch.events);
        let events: Vec<_> =
            events.filter(|event| account_of(event).is_some_and(|id| accounts.contains(&id))).collect();
        let mut expected: Vec<(Uuid, &str)> = Vec::new();
        for ReservationView { reservation, .. } in seen.iter().flat_map(|seen| &seen.reservations) {
            let mut expect = |kind| expected.push((reservation.id.uuid(), kind));
            expect("reservation_held");
            if reservation.payment_id().is_some() {
                expect("reservation_confirmed");
            }
            match reservation.state {
                ReservationState::Held { .. } | ReservationState::Confirmed { .. } => {}
                ReservationState::Cancelled { .. } => expect("reservation_cancelled"),
                ReservationState::Expired => expect("reservation_expired"),
            }
        }
        // Whether the buyer had to act is known only from the event once the charge has ended.
        let acted = events.iter().filter(|event| matches!(event, Event::ChargeRequiresAction { .. }));
        let acted: BTreeSet<_> = acted.map(|event| event.subject()).collect();
        let accepted = events.iter().filter(|event| matches!(event, Event::ChargeRefunded { .. }));
        let accepted: BTreeSet<_> = accepted.map(|event| event.subject()).collect();
        for event in &events {
            let Event::ChargeRequested { charge_id, account_id, .. } = event else { continue };
            expected.push((charge_id.uuid(), "charge_requested"));
            let charge = self.storage.wallets.find_charge(*account_id, *charge_id).await.expect("the storage works");
            let state = charge.expect("an event has its cause").state;
            if state == ChargeState::RequiresAction || acted.contains(&charge_id.uuid()) {
                expected.push((charge_id.uuid(), "charge_requires_action"));
            }
            match state {
                ChargeState::Pending | ChargeState::RequiresAction => {}
                ChargeState::Completed { .. } => expected.push((charge_id.uuid(), "charge_completed")),
                ChargeState::Declined { .. } => expected.push((charge_id.uuid(), "charge_declined")),
            }
            for refund in self.storage.wallets.charge_refunds(*account_id, *charge_id).await.expect("the storage works")
            {
                expected.push((refund.id.uuid(), "charge_refund_requested"));
                match refund.state {
                    ChargeRefundState::Pending => {}
                    ChargeRefundState::Completed { .. } => expected.push((refund.id.uuid(), "charge_refunded")),
                    ChargeRefundState::Refused { .. } => expected.push((refund.id.uuid(), "charge_refund_refused")),
                }
                // It may have been accepted before it was refused.
                let is_refused = matches!(refund.state, ChargeRefundState::Refused { .. });
                if is_refused && accepted.contains(&refund.id.uuid()) {
                    expected.push((refund.id.uuid(), "charge_refunded"));
                }
            }
        }
        let mut stored: Vec<_> = events.iter().map(|event| (event.subject(), event.kind())).collect();
        stored.sort_unstable();
        expected.sort_unstable();
        assert_eq!(stored, expected, "the events");
    }
}

/// `None` of an event that no promise is about.
fn account_of(event: &Event) -> Option<AccountId> {
    match event {
        Event::ReservationHeld { account_id, .. }
        | Event::ReservationConfirmed { account_id, .. }
        | Event::ReservationCancelled { account_id, .. }
        | Event::ReservationExpired { account_id, .. }
        | Event::ChargeRequested { account_id, .. }
        | Event::ChargeCompleted { account_id, .. }
        | Event::ChargeDeclined { account_id, .. }
        | Event::ChargeRequiresAction { account_id, .. }
        | Event::ChargeRefundRequested { account_id, .. }
        | Event::ChargeRefunded { account_id, .. }
        | Event::ChargeRefundRefused { account_id, .. } => Some(*account_id),
        _ => None,
    }
}

/// A payment from the wallet is debited once, and given back once if it was refunded.
fn assert_moved_once(entries: &[WalletEntry], payments: &[PaymentView]) {
    let moved = entries.iter().filter_map(|entry| Some((entry.kind.reservation_id()?, entry.amount)));
    let mut moved: Vec<_> = moved.collect();
    let mut expected = Vec::new();
    for payment in payments.iter().map(|view| &view.payment).filter(|payment| payment.balance_after().is_some()) {
        expected.push((payment.reservation_id, -payment.amount.get()));
        if payment.status() == PaymentStatus::Refunded {
            expected.push((payment.reservation_id, payment.amount.get()));
        }
    }
    moved.sort_unstable();
    expected.sort_unstable();
    assert_eq!(moved, expected, "the entries of payments and refunds");
}

/// A reservation has the payment that it names, of its amount, and there is no other payment.
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
