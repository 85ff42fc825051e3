//! The database goes away and comes back in the middle of a stampede.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use boxoffice_contracts::storage::{Dice, PRICE_A, Show, Stage, pay_request};
use boxoffice_domain::fixtures::TestClock;
use boxoffice_domain::{
    AccountId, StorageError, fixtures,
    payments::{PayError, Payment},
    reservations::{HoldError, HoldRefusal, Reservation, ReservationState, ReservationStatus},
    seats::SeatLabel,
};
use boxoffice_persistence::{PersistenceSettings, migrate};
use boxoffice_testkit::servers::{DatabaseServer, ServerKind};
use tokio::task::JoinSet;

use crate::home::{join, settings};

const BUYERS: usize = 200;
/// How many answers are waited for before the database goes, and again after it has come back.
const ANSWERS_BETWEEN: usize = 300;

/// What buyers were told, counted while they go on.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) done: AtomicBool,
    pub(crate) answers: AtomicUsize,
    failures: AtomicUsize,
}

impl Told {
    pub(crate) async fn wait_for(&self, counter: &AtomicUsize, more: usize) {
        let enough = counter.load(Ordering::Relaxed) + more;
        while counter.load(Ordering::Relaxed) < enough {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Counts an answer, and fails the test where it is one that nobody should get.
    fn count<T, R>(&self, answer: Result<T, Result<R, StorageError>>) -> Option<Result<T, R>> {
        match answer {
            Ok(made) => {
                self.answers.fetch_add(1, Ordering::Relaxed);
                Some(Ok(made))
            }
            Err(Ok(refusal)) => {
                self.answers.fetch_add(1, Ordering::Relaxed);
                Some(Err(refusal))
            }
            Err(Err(StorageError::Unavailable(_) | StorageError::Busy)) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                None
            }
            Err(Err(error)) => panic!("neither an answer nor absence: {error:?}"),
        }
    }
}

/// What one buyer was told and must find true afterwards.
#[derive(Debug, Default)]
pub(crate) struct Receipts {
    pub(crate) held: Vec<Reservation>,
    pub(crate) paid: Vec<Payment>,
    pub(crate) cancelled: Vec<Reservation>,
}

/// Holds a seat, pays it and gives it back, again and again, as long as nobody says that it is enough. A request that
/// failed is not sent again: what became of it is unknown, and either is right.
pub(crate) async fn buyer(
    stage: Stage,
    show: Show,
    account_id: AccountId,
    labels: Arc<[SeatLabel]>,
    told: Arc<Told>,
    seed: u64,
) -> Receipts {
    let (mut receipts, mut dice) = (Receipts::default(), Dice::new(seed));
    while !told.done.load(Ordering::Relaxed) {
        let request = show.hold_request_for(account_id, dice.pick(&labels, 1));
        let held = stage.storage.reservations.hold(request).await.map_err(|error| match error {
            HoldError::Refused(refusal) => Ok(refusal),
            HoldError::Storage(error) => Err(error),
        });
        let reservation = match told.count(held) {
            Some(Ok(made)) => made.value.reservation,
            Some(Err(HoldRefusal::SeatUnavailable(_) | HoldRefusal::SeatLimitReached { .. })) => continue,
            Some(Err(refusal)) => panic!("another refusal: {refusal}"),
            None => {
                // As a client would: not at once again.
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        receipts.held.push(reservation.clone());
        let paid = stage.storage.payments.pay(pay_request(&reservation)).await.map_err(|error| match error {
            PayError::Refused(refusal) => Ok(refusal),
            PayError::Storage(error) => Err(error),
        });
        match told.count(paid) {
            Some(Ok(made)) => receipts.paid.push(made.value.payment.payment),
            Some(Err(refusal)) => panic!("another refusal: {refusal}"),
            None => continue,
        }
        let cancelled = stage.storage.reservations.cancel(fixtures::cancel_request(&reservation)).await;
        let cancelled = cancelled.map_err(|error| match error {
            boxoffice_domain::reservations::CancelError::Refused(refusal) => Ok(refusal),
            boxoffice_domain::reservations::CancelError::Storage(error) => Err(error),
        });
        match told.count(cancelled) {
            Some(Ok(made)) => receipts.cancelled.push(made.value.reservation),
            Some(Err(refusal)) => panic!("another refusal: {refusal}"),
            None => {}
        }
    }
    receipts
}

async fn the_database_goes_and_comes_back(kind: ServerKind, lanes: usize) {
    if !kind.can_be_started() {
        eprintln!("left out on {kind}: {} names a server, and there is none to kill", kind.variable());
        return;
    }
    let server = DatabaseServer::start(kind).await.unwrap();
    server.create_database("stampede").await.unwrap();
    let url = server.url("stampede");
    migrate(&url).await.unwrap();
    // A server that is away is not waited for longer than a test can.
    let settings =
        PersistenceSettings { connect_timeout: Duration::from_millis(500), retry_max: 2, lanes, ..settings() };
    let (stage, database) = join(&url, settings, Arc::new(TestClock::new())).await;
    let show = stage.show().await;
    let accounts = stage.accounts(BUYERS).await;
    for account_id in &accounts {
        stage.charge(*account_id, 100 * PRICE_A).await;
    }
    let labels: Arc<[SeatLabel]> = show.labels().into();
    let told = Arc::new(Told::default());
    let mut buyers = JoinSet::new();
    for (seed, account_id) in (1..).zip(&accounts) {
        buyers.spawn(buyer(stage.clone(), show.clone(), *account_id, labels.clone(), told.clone(), seed * 7_919));
    }
    for kill in [true, false] {
        told.wait_for(&told.answers, ANSWERS_BETWEEN).await;
        if kill {
            server.kill().await.unwrap();
        } else {
            server.stop().await.unwrap();
        }
        told.wait_for(&told.failures, 1).await;
        server.start_again().await.unwrap();
    }
    told.wait_for(&told.answers, ANSWERS_BETWEEN).await;
    told.done.store(true, Ordering::Relaxed);
    let receipts = buyers.join_all().await;

    // All works again, without anybody having done anything about it.
    stage.storage.readiness.ready().await.unwrap();
    stage.assert_sound().await;
    for receipts in &receipts {
        assert_are_true(&stage, receipts).await;
    }
    stage.clock.advance_seconds(301);
    stage.expire_due(1_000).await;
    for label in stage.free_labels(&show).await {
        let account_id = stage.account_with(PRICE_A).await;
        let held = stage.holds(&show, account_id, &[label.as_str()]).await;
        stage.pays(&held).await;
    }
    assert_eq!(stage.free_labels(&show).await, vec![]);
    stage.assert_sound().await;
    database.shutdown().await;
}

/// What was answered is there: nothing held that is unknown, nothing paid or given up that is not.
pub(crate) async fn assert_are_true(stage: &Stage, receipts: &Receipts) {
    for held in &receipts.held {
        let found = stage.reservation(held).await;
        let first = Reservation { state: held.state.clone(), updated_at: held.updated_at, ..found };
        assert_eq!(first, *held);
    }
    for paid in &receipts.paid {
        let found = stage.storage.payments.find(paid.account_id, paid.id).await.unwrap().expect("a payment");
        assert_eq!(found.clone().replay(&paid.idempotency).unwrap().value.payment, *paid);
        let status = found.reservation.reservation.status(stage.now());
        assert!(matches!(status, ReservationStatus::Confirmed | ReservationStatus::Cancelled));
    }
    for cancelled in &receipts.cancelled {
        let state = stage.reservation(cancelled).await.state;
        assert!(matches!(state, ReservationState::Cancelled { payment_id: Some(_), .. }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_is_true_after_restarts_of_mariadb() {
    the_database_goes_and_comes_back(ServerKind::MariaDb, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_is_true_after_restarts_of_mysql() {
    the_database_goes_and_comes_back(ServerKind::MySql, 2).await;
}
