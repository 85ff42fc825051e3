//! The contracts of the ports that are kept in a storage, as functions over any implementor of all of them.
//!
//! Each function takes a [`Stage`] over an empty storage. Time is the stage's clock only: nothing sleeps, and every
//! outcome is exact. Whoever calls one asks [`Stage::assert_sound`] afterwards. [`storage_contract!`] makes a test
//! of each function.
//!
//! [`storage_contract!`]: crate::storage_contract

pub mod accounts;
pub mod catalog;
pub mod catalog_import;
pub mod leases;
pub mod payments;
mod promises;
pub mod races;
pub mod reservations;
mod show;
pub mod wallet;

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use boxoffice_domain::{
    AccountId, ChargeId, Clock, Timestamp,
    accounts::{Accounts, Sessions},
    audit::{Audit, Readiness},
    catalog::{Catalog, CatalogImport, Concert, NewPerformance, PerformanceSummary, SeatMap},
    events::Outbox,
    fixtures::{TestClock, instant},
    gateway::GatewayVerdict,
    idempotency::Made,
    payments::{PayError, PayRefusal, PayRequest, Payments, Receipt},
    reservations::{
        CancelError, CancelRefusal, CancelRequest, HoldError, HoldRefusal, HoldRequest, Reservation, ReservationStatus,
        ReservationView, Reservations,
    },
    seats::{SeatLabel, SeatStatus},
    wallet::{Charge, ChargeError, ChargeRefusal, ChargeRequest, Wallet, WalletEntry, Wallets},
};
use boxoffice_peers::leases::Leases;
use futures::{StreamExt, stream};

pub use self::show::{
    Dice, PRICE_A, PRICE_B, SHOW_SEATS, Show, at_once, charge_request, concert, credentials, label, name,
    new_performance, other_request, part, pay_request, plan, points, unavailable, venue,
};

/// How many accounts are made at once where many are needed.
const ACCOUNTS_AT_ONCE: usize = 8;

/// Makes a test of each function of the contracts. The argument is the path of an `async fn()` that gives a home of
/// an empty storage: a value with the methods `stage(&self) -> &Stage` and `async close(self)`. With the names of
/// functions after it, makes tests of those alone.
#[macro_export]
macro_rules! storage_contract {
    ($open:path) => {
        $crate::storage_contract! { $open;
            accounts {
                an_account_is_found_by_its_id_and_by_its_login_id
                one_of_fifty_at_once_gets_the_login_id
                creating_an_account_again_makes_no_second_one
                a_role_is_changed_by_login_id
                a_refresh_secret_is_good_once
                a_session_that_ended_or_lapsed_or_never_was_is_unknown
                one_of_twenty_rotations_at_once_succeeds
            }
            catalog {
                a_venue_is_published_once_under_its_key
                a_concert_is_published_once_under_its_key
                a_performance_is_published_once_under_its_key
                twenty_publications_at_once_under_one_key_make_one
                concerts_are_paged_in_the_order_of_their_publication
                only_bookable_concerts_are_listed_when_asked
                performances_are_paged_by_their_start
                performances_without_a_seat_to_be_had_are_left_out_when_asked
                seats_come_in_the_order_of_the_plan
                lapsed_holds_count_as_available
                no_map_shows_less_than_was_answered_before
                a_seat_map_follows_every_act_and_the_time
                a_concert_is_changed_only_from_the_version_that_was_read
                a_draw_a_pause_and_an_emptying_are_kept
                what_is_unknown_is_none
            }
            catalog_import {
                a_second_import_creates_nothing
                an_import_changes_the_prices_of_free_seats_alone
                an_import_that_is_refused_writes_nothing
                an_import_never_changes_a_draw_or_a_pause
                two_imports_at_once_make_one_catalog
            }
            leases {
                one_of_fifty_at_once_gets_a_lease
                a_lease_is_let_go_by_its_holder_alone
            }
            payments {
                fifty_identical_payments_debit_once
                fifty_payments_of_one_reservation_debit_once
                points_for_one_of_two_reservations_pay_exactly_one
                a_payment_without_points_leaves_the_hold
                each_refusal_of_a_payment_has_its_cause
                a_repeated_payment_gets_the_first_answer
                payments_are_found_by_their_owner_alone
                a_place_is_spent_by_the_payment_of_the_last_hold
                a_payment_key_belongs_to_its_account
                a_replayed_receipt_says_what_is_held_now
                what_was_paid_outside_moves_no_points
            }
            races {
                a_payment_is_in_time_until_the_last_microsecond
                a_payment_and_a_sweep_at_the_end_of_the_hold_agree
                a_payment_and_a_cancellation_at_once_leave_no_point_behind
                one_of_twenty_cancellations_at_once_refunds
                a_hold_and_the_sweep_of_the_former_one_agree
                a_lapsed_seat_sells_again_without_a_sweep
                a_lapsed_hold_whose_seat_was_taken_is_not_paid
                everything_at_once_breaks_nothing
            }
            reservations {
                a_hold_has_its_seats_its_sum_and_its_end
                each_refusal_of_a_hold_has_its_cause
                a_repeated_hold_gets_the_first_answer
                one_of_five_hundred_gets_the_seat
                overlapping_holds_neither_share_nor_split_seats
                ten_holds_at_once_of_one_account_give_its_limit
                the_limit_counts_every_performance_of_the_concert
                owned_seats_count_against_the_limit
                holds_of_another_concert_are_not_told
                a_key_finds_the_reservation_of_its_account_alone
                cancelling_a_hold_frees_its_seats
                each_refusal_of_a_cancellation_has_its_cause
                a_repeated_cancellation_gets_the_first_answer
                a_refund_brings_the_points_back
                a_paid_reservation_is_cancelled_only_before_the_performance_starts
                reservations_are_listed_newest_first_by_what_they_are_shown_as
                the_sweep_takes_the_oldest_first_and_no_more_than_asked
            }
            wallet {
                a_thousand_charges_at_once_add_up
                charges_and_payments_at_once_add_up
                a_charge_completed_fifty_times_is_credited_once
                charges_in_progress_count_against_the_limit
                a_declined_charge_credits_nothing
                a_repeated_charge_is_begun_once
                pending_charges_come_oldest_first_and_no_more_than_asked
                entries_are_paged_newest_first
                a_charge_is_found_by_its_owner_alone
            }
        }
    };
    ($open:path; $($module:ident { $($name:ident)* })*) => {$(
        mod $module {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let home = $open().await;
                $crate::storage::$module::$name(home.stage()).await;
                home.stage().assert_sound().await;
                home.close().await;
            }
        )*}
    )*};
}

/// Every port that is kept in a storage.
#[derive(Clone)]
#[expect(missing_docs, reason = "each field is the port that its type names")]
pub struct Storage {
    pub accounts: Arc<dyn Accounts>,
    pub sessions: Arc<dyn Sessions>,
    pub catalog: Arc<dyn Catalog>,
    pub import: Arc<dyn CatalogImport>,
    pub reservations: Arc<dyn Reservations>,
    pub payments: Arc<dyn Payments>,
    pub wallets: Arc<dyn Wallets>,
    pub outbox: Arc<dyn Outbox>,
    pub audit: Arc<dyn Audit>,
    pub readiness: Arc<dyn Readiness>,
    pub leases: Arc<dyn Leases>,
}

impl Storage {
    /// A storage that is one value.
    pub fn of<S>(store: Arc<S>) -> Self
    where
        S: Accounts
            + Sessions
            + Catalog
            + CatalogImport
            + Reservations
            + Payments
            + Wallets
            + Outbox
            + Audit
            + Readiness
            + Leases
            + 'static,
    {
        Self {
            accounts: store.clone(),
            sessions: store.clone(),
            catalog: store.clone(),
            import: store.clone(),
            reservations: store.clone(),
            payments: store.clone(),
            wallets: store.clone(),
            outbox: store.clone(),
            audit: store.clone(),
            readiness: store.clone(),
            leases: store,
        }
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage").finish_non_exhaustive()
    }
}

/// A storage to be tested, the clock that it judges time by, and shorthands that fail the test where the storage
/// fails.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The storage.
    pub storage: Storage,
    /// Its clock, which stands at [`instant`] 0 in the beginning.
    pub clock: Arc<TestClock>,
    accounts_made: Arc<Mutex<Vec<AccountId>>>,
}

/// Fails the test where a storage fails; passes a refusal on.
macro_rules! judged {
    ($result:expr, $error:ident) => {
        match $result {
            Ok(made) => Ok(made),
            Err($error::Refused(refusal)) => Err(refusal),
            Err($error::Storage(error)) => panic!("the storage failed: {error:?}"),
        }
    };
}

impl Stage {
    /// A stage over an empty storage.
    pub fn new(storage: Storage, clock: Arc<TestClock>) -> Self {
        Self { storage, clock, accounts_made: Arc::default() }
    }

    fn accounts_made(&self) -> Vec<AccountId> {
        self.accounts_made.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The present instant.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Fails the test if the audit finds anything, or a promise is broken by what the ports show.
    pub async fn assert_sound(&self) {
        self.assert_promises().await;
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

    /// A new account with so many points.
    pub async fn account_with(&self, points: i64) -> AccountId {
        let account_id = self.account().await;
        self.charge(account_id, points).await;
        account_id
    }

    /// Puts points into a wallet.
    pub async fn charge(&self, account_id: AccountId, points: i64) -> Charge {
        let begun = self.begin_charge(charge_request(account_id, points)).await.expect("no refusal");
        self.complete_charge(begun.value.id, GatewayVerdict::Approved).await.expect("a charge")
    }

    /// A venue of [`SHOW_SEATS`] seats with one performance of a concert that allows an account 4 seats.
    pub async fn show(&self) -> Show {
        self.show_allowing(4).await
    }

    /// As [`Self::show`], with another number of seats for an account.
    pub async fn show_allowing(&self, max_seats_per_account: u32) -> Show {
        let promoter_id = self.account().await;
        let concert = Concert { max_seats_per_account, ..concert(promoter_id, self.now()) };
        let venue = venue(plan(), self.now());
        self.storage.catalog.publish_venue(promoter_id, venue.clone(), None).await.expect("a venue");
        self.storage.catalog.publish_concert(concert.clone(), None).await.expect("a concert");
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
        catalog.publish_performance(publisher, performance.clone(), None).await.expect("a performance").value
    }

    /// Holds seats.
    pub fn hold(&self, request: HoldRequest) -> impl Future<Output = Held> + Send + use<> {
        let port = Arc::clone(&self.storage.reservations);
        async move { judged!(port.hold(request).await, HoldError) }
    }

    /// Holds seats of a show, and expects to get them.
    pub async fn holds(&self, show: &Show, account_id: AccountId, labels: &[&str]) -> Reservation {
        self.hold(show.hold_request(account_id, labels)).await.expect("the seats").value.reservation
    }

    /// Pays a reservation.
    pub fn pay(&self, request: PayRequest) -> impl Future<Output = Paid> + Send + use<> {
        let port = Arc::clone(&self.storage.payments);
        async move { judged!(port.pay(request).await, PayError) }
    }

    /// Pays a reservation, and expects to succeed.
    pub async fn pays(&self, reservation: &Reservation) -> Receipt {
        self.pay(pay_request(reservation)).await.expect("no refusal").value
    }

    /// Gives a reservation up.
    pub fn cancel(&self, request: CancelRequest) -> impl Future<Output = GivenUp> + Send + use<> {
        let port = Arc::clone(&self.storage.reservations);
        async move { judged!(port.cancel(request).await, CancelError) }
    }

    /// Begins a charge.
    pub fn begin_charge(&self, request: ChargeRequest) -> impl Future<Output = Begun> + Send + use<> {
        let port = Arc::clone(&self.storage.wallets);
        async move { judged!(port.begin_charge(request).await, ChargeError) }
    }

    /// Ends a charge.
    pub fn complete_charge(
        &self,
        id: ChargeId,
        verdict: GatewayVerdict,
    ) -> impl Future<Output = Option<Charge>> + Send + use<> {
        let port = Arc::clone(&self.storage.wallets);
        async move { port.complete_charge(id, verdict).await.expect("the storage works") }
    }

    /// Tidies lapsed holds away.
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

    /// The whole history of a wallet, newest first.
    pub async fn entries(&self, account_id: AccountId) -> Vec<WalletEntry> {
        let (mut entries, mut page) = (Vec::new(), boxoffice_domain::page::PageRequest::first(100));
        loop {
            let found = self.storage.wallets.entries(account_id, page.clone()).await.expect("the storage works");
            entries.extend(found.items);
            match found.next {
                Some(next) => page.after = Some(next),
                None => return entries,
            }
        }
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
pub type GivenUp = Result<Made<ReservationView>, CancelRefusal>;
/// What became of the beginning of a charge.
pub type Begun = Result<Made<Charge>, ChargeRefusal>;
