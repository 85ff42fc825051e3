//! A storage that is tested, with shorthands.

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
};

use boxoffice_domain::{
    AccountId, ActError, ChargeId, ChargeRefundId, Clock, StorageError, Timestamp,
    catalog::{Catalog, Concert, NewPerformance, PerformanceSummary, Sales, SeatMap, Venue},
    fixtures::{self, TestClock, TestEntropy, instant},
    gateway::{GatewayVerdict, RefundVerdict},
    idempotency::Made,
    page::{Page, PageRequest},
    payments::{PayRefusal, PayRequest, PaymentMethod, Payments, Receipt},
    reservations::{
        CancelRefusal, CancelRequest, HoldRefusal, HoldRequest, Reservation, ReservationStatus, ReservationView,
        Reservations,
    },
    seats::{SeatLabel, SeatStatus},
    wallet::{
        Charge, ChargeRefund, ChargeRefundRefusal, ChargeRefundRequest, ChargeRefusal, ChargeRequest, Wallet,
        WalletEntry,
    },
};
use futures::{StreamExt, stream};

use super::{
    Show, Storage,
    audit::Corrupt,
    show::{charge_request, concert, credentials, new_performance, pages, pay_request, plan, venue},
};
use crate::memory::MemoryStore;

/// How many accounts are made at once where many are needed.
const ACCOUNTS_AT_ONCE: usize = 8;

/// A storage to be tested, the clock that it judges time by, and shorthands that fail the test if the storage fails.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The storage.
    pub storage: Storage,
    /// Its clock, which stands at [`instant`] 0 in the beginning.
    pub clock: Arc<TestClock>,
    /// Whether the storage keeps wallets. If not, accounts pay outside, and nothing about points is checked.
    pub keeps_points: bool,
    /// Whether the storage keeps events. If not, nothing about them is checked.
    pub keeps_events: bool,
    pub(super) corrupter: Option<Arc<dyn Corrupt>>,
    accounts_made: Arc<Mutex<Vec<AccountId>>>,
}

/// Fails the test if the storage failed; passes a refusal on.
fn judged<T, R: Error + 'static>(result: Result<T, ActError<R>>) -> Result<T, R> {
    match result {
        Ok(made) => Ok(made),
        Err(ActError::Refused(refusal)) => Err(refusal),
        Err(ActError::Storage(error)) => panic!("the storage failed: {error:?}"),
    }
}

/// Every item of a list.
pub(super) async fn all<T, K: Copy>(list: impl AsyncFn(PageRequest<K>) -> Result<Page<T, K>, StorageError>) -> Vec<T> {
    pages(100, list).await.into_iter().flatten().collect()
}

impl Stage {
    /// A stage over an empty storage that implements every port.
    pub fn new(storage: Storage, clock: Arc<TestClock>) -> Self {
        Self { storage, clock, keeps_points: true, keeps_events: true, corrupter: None, accounts_made: Arc::default() }
    }

    /// A stage over an empty storage that sells seats, and keeps neither accounts, points nor events. A storage in memory
    /// stands in for the ports that are left out; put others in their place if there are some.
    pub fn of_seats<S>(store: Arc<S>, clock: Arc<TestClock>) -> Self
    where
        S: Catalog + Reservations + Payments + 'static,
    {
        let others = Storage::of(Arc::new(MemoryStore::new(clock.clone(), Arc::new(TestEntropy))));
        let storage = Storage { catalog: store.clone(), reservations: store.clone(), payments: store, ..others };
        Self { keeps_points: false, keeps_events: false, ..Self::new(storage, clock) }
    }

    /// The same stage, with the way to break rows that the contract of the audit needs.
    #[must_use]
    pub fn with_corrupter(self, corrupter: Arc<dyn Corrupt>) -> Self {
        Self { corrupter: Some(corrupter), ..self }
    }

    /// The same storage, as another process has it open.
    #[must_use]
    pub fn as_seen_through(&self, storage: Storage) -> Self {
        Self { storage, ..self.clone() }
    }

    /// The stage itself, for the macro.
    #[doc(hidden)]
    pub fn stage(&self) -> &Self {
        self
    }

    /// Nothing is to be closed.
    #[doc(hidden)]
    #[expect(clippy::unused_async, reason = "other subjects have something to close")]
    pub async fn close(self) {}

    pub(super) fn accounts_made(&self) -> Vec<AccountId> {
        self.accounts_made.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The present instant.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Fails the test if the audit finds anything, or a promise is broken by what the ports show.
    pub async fn assert_sound(&self) {
        // Boxed, because the compiler limits how deep futures are nested.
        Box::pin(self.assert_promises()).await;
        assert_eq!(self.storage.audit.breaches().await.expect("the audit runs"), vec![]);
    }

    /// A new account without points.
    pub async fn account(&self) -> AccountId {
        let credentials = credentials(self.now());
        let id = credentials.account.id;
        self.storage.accounts.create(credentials).await.expect("a new account");
        self.accounts_made.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        id
    }

    /// So many new accounts without points.
    pub async fn accounts(&self, count: usize) -> Vec<AccountId> {
        let made = stream::iter(0..count).map(|_| self.account()).buffer_unordered(ACCOUNTS_AT_ONCE);
        made.collect().await
    }

    /// A new account with so many points, if the storage keeps points.
    pub async fn account_with(&self, points: i64) -> AccountId {
        let account_id = self.account().await;
        if self.keeps_points {
            self.charge(account_id, points).await;
        }
        account_id
    }

    /// Puts points into a wallet.
    pub async fn charge(&self, account_id: AccountId, points: i64) -> Charge {
        let begun = self.begin_charge(charge_request(account_id, points)).await.expect("no refusal");
        self.complete_charge(begun.value.id, GatewayVerdict::Approved).await.expect("a charge")
    }

    /// A venue of [`SHOW_SEATS`](super::SHOW_SEATS) seats with one performance of a concert that allows an account 4 seats.
    /// Other performances may take place there at any time.
    pub async fn show(&self) -> Show {
        self.show_allowing(4).await
    }

    /// As [`Self::show`], with another number of seats for an account.
    pub async fn show_allowing(&self, max_seats_per_account: u32) -> Show {
        let promoter_id = self.account().await;
        let concert = Concert { max_seats_per_account, ..concert(promoter_id, self.now()) };
        let venue = Venue { overlaps_allowed: true, ..venue(plan(), self.now()) };
        self.storage
            .catalog
            .publish_venue(promoter_id, venue.clone(), None, fixtures::staff_act())
            .await
            .expect("a venue");
        self.storage.catalog.publish_concert(concert.clone(), None, fixtures::staff_act()).await.expect("a concert");
        let performance = new_performance(&concert, &venue, instant(365 * 86_400));
        self.publish(promoter_id, &performance).await;
        Show { promoter_id, concert, venue, performance_id: performance.id, starts_at: performance.starts_at }
    }

    /// The same concert at the same venue another time.
    pub async fn another_performance(&self, show: &Show, starts_at: Timestamp) -> Show {
        let performance = new_performance(&show.concert, &show.venue, starts_at);
        self.publish(show.promoter_id, &performance).await;
        Show { performance_id: performance.id, starts_at, ..show.clone() }
    }

    /// Publishes a performance.
    pub async fn publish(&self, publisher: AccountId, performance: &NewPerformance) -> PerformanceSummary {
        let catalog = &self.storage.catalog;
        catalog
            .publish_performance(publisher, performance.clone(), None, fixtures::staff_act())
            .await
            .expect("a performance")
            .value
    }

    /// Holds seats.
    pub fn hold(&self, request: HoldRequest) -> impl Future<Output = Held> + Send + use<> {
        let port = Arc::clone(&self.storage.reservations);
        async move { judged(port.hold(request).await) }
    }

    /// Holds seats of a show, and expects to get them.
    pub async fn holds(&self, show: &Show, account_id: AccountId, labels: &[&str]) -> Reservation {
        self.hold(show.hold_request(account_id, labels)).await.expect("the seats").value.reservation
    }

    /// The owner's request to pay a reservation, under a new key: from the wallet, if the storage keeps points.
    pub fn pay_request(&self, reservation: &Reservation) -> PayRequest {
        let method = if self.keeps_points { PaymentMethod::Wallet } else { PaymentMethod::Outside };
        PayRequest { method, ..pay_request(reservation) }
    }

    /// Pays a reservation.
    pub fn pay(&self, request: PayRequest) -> impl Future<Output = Paid> + Send + use<> {
        let port = Arc::clone(&self.storage.payments);
        async move { judged(port.pay(request).await) }
    }

    /// Pays a reservation, and expects to succeed.
    pub async fn pays(&self, reservation: &Reservation) -> Receipt {
        self.pay(self.pay_request(reservation)).await.expect("no refusal").value
    }

    /// Cancels a reservation.
    pub fn cancel(&self, request: CancelRequest) -> impl Future<Output = Cancelled> + Send + use<> {
        let port = Arc::clone(&self.storage.reservations);
        async move { judged(port.cancel(request).await) }
    }

    /// Cancels a reservation without a key, and expects to succeed.
    pub async fn cancels(&self, reservation: &Reservation) -> Reservation {
        let cancelled = self.cancel(fixtures::cancel_request(reservation)).await;
        cancelled.expect("no refusal").value.reservation
    }

    /// Begins a charge.
    pub fn begin_charge(&self, request: ChargeRequest) -> impl Future<Output = Begun> + Send + use<> {
        let port = Arc::clone(&self.storage.wallets);
        async move { judged(port.begin_charge(request).await) }
    }

    /// Ends a charge.
    pub fn complete_charge(
        &self,
        id: ChargeId,
        verdict: GatewayVerdict,
    ) -> impl Future<Output = Option<Charge>> + Send + use<> {
        let port = Arc::clone(&self.storage.wallets);
        async move { port.complete_charge(id, verdict, None).await.expect("the storage works") }
    }

    /// Begins a refund of a charge.
    pub fn begin_charge_refund(
        &self,
        request: ChargeRefundRequest,
    ) -> impl Future<Output = RefundBegun> + Send + use<> {
        let port = Arc::clone(&self.storage.wallets);
        async move { judged(port.begin_charge_refund(request).await) }
    }

    /// Ends a refund of a charge.
    pub fn complete_charge_refund(
        &self,
        id: ChargeRefundId,
        verdict: RefundVerdict,
    ) -> impl Future<Output = Option<ChargeRefund>> + Send + use<> {
        let port = Arc::clone(&self.storage.wallets);
        async move { port.complete_charge_refund(id, verdict).await.expect("the storage works") }
    }

    /// Marks lapsed holds as expired.
    pub fn expire_due(&self, limit: u32) -> impl Future<Output = u32> + Send + use<> {
        let port = Arc::clone(&self.storage.reservations);
        async move { port.expire_due(limit).await.expect("the storage works") }
    }

    /// The wallet of an account.
    pub async fn wallet(&self, account_id: AccountId) -> Wallet {
        self.storage.wallets.find(account_id).await.expect("the storage works").expect("a wallet")
    }

    /// How many points an account has.
    pub async fn balance(&self, account_id: AccountId) -> i64 {
        self.wallet(account_id).await.balance.get()
    }

    /// Fails the test if the account has another number of points, unless the storage keeps none.
    pub async fn assert_balance(&self, account_id: AccountId, points: i64) {
        if self.keeps_points {
            assert_eq!(self.balance(account_id).await, points, "the balance of {account_id}");
        }
    }

    /// The whole history of a wallet, newest first.
    pub async fn entries(&self, account_id: AccountId) -> Vec<WalletEntry> {
        all(async |page| self.storage.wallets.entries(account_id, page).await).await
    }

    /// A reservation as its owner finds it.
    pub async fn reservation(&self, reservation: &Reservation) -> Reservation {
        let found = self.storage.reservations.find(reservation.account_id, reservation.id).await;
        found.expect("the storage works").expect("a reservation").reservation
    }

    /// How a reservation is shown now.
    pub async fn status(&self, reservation: &Reservation) -> ReservationStatus {
        self.reservation(reservation).await.status(self.now())
    }

    /// How a performance sells.
    pub async fn sales(&self, show: &Show) -> Sales {
        self.storage.catalog.sales(show.performance_id).await.expect("the storage works").expect("a performance")
    }

    /// The seats of a performance.
    pub async fn seats(&self, show: &Show) -> SeatMap {
        self.storage.catalog.seats(show.performance_id).await.expect("the storage works").expect("a performance")
    }

    /// How one seat is shown now.
    pub async fn seat(&self, show: &Show, label: &str) -> SeatStatus {
        let map = self.seats(show).await;
        map.seats().find(|seat| seat.label.as_str() == label).expect("a seat").status
    }

    /// The labels of the seats that can be had.
    pub async fn free_labels(&self, show: &Show) -> Vec<SeatLabel> {
        let map = self.seats(show).await;
        map.seats().filter(|seat| seat.status == SeatStatus::Available).map(|seat| seat.label.clone()).collect()
    }
}

/// What became of a hold.
pub type Held = Result<Made<ReservationView>, HoldRefusal>;
/// What became of a payment.
pub type Paid = Result<Made<Receipt>, PayRefusal>;
/// What became of a cancellation.
pub type Cancelled = Result<Made<ReservationView>, CancelRefusal>;
/// What became of the beginning of a charge.
pub type Begun = Result<Made<Charge>, ChargeRefusal>;
/// What became of the beginning of a refund of a charge.
pub type RefundBegun = Result<Made<ChargeRefund>, ChargeRefundRefusal>;
