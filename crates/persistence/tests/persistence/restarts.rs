//! The database goes away and comes back in the middle of a stampede.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use boxoffice_contracts::storage::{Dice, PRICE_A, Show, Stage, pay_request};
use boxoffice_domain::{
    AccountId, ActError, StorageError,
    fixtures::{self, TestClock},
    payments::Payment,
    reservations::{HoldRefusal, Reservation, ReservationState, ReservationStatus},
};
use boxoffice_persistence::{PersistenceSettings, migrate};
use boxoffice_testkit::servers::{DatabaseServer, ServerKind};
use tokio::task::JoinSet;

use crate::home::{join, settings};

const BUYERS: usize = 200;
/// How many answers are waited for before the database goes, and again after it has come back.
const ANSWERS_BETWEEN: usize = 300;

/// Buyers who hold, pay and cancel at once until the stampede ends.
#[derive(Debug, Default)]
pub(crate) struct Stampede {
    pub(crate) answers: Arc<Answers>,
    buyers: JoinSet<Receipts>,
}

impl Stampede {
    pub(crate) fn add_buyer(&mut self, stage: &Stage, show: &Show, account_id: AccountId) {
        let seed = 104_729 * (1 + self.buyers.len() as u64);
        self.buyers.spawn(buyer(stage.clone(), show.clone(), account_id, self.answers.clone(), seed));
    }

    /// Waits for `enough`, and fails if a buyer ends before that.
    pub(crate) async fn run_until(&mut self, enough: impl Future<Output = ()>) {
        tokio::select! {
            ended = self.buyers.join_next() => panic!("{ended:?}"),
            () = enough => {}
        }
    }

    /// Ends the stampede. What the buyers got as answers is true, and everything is in order.
    pub(crate) async fn end(self, stage: &Stage) {
        self.answers.done.store(true, Ordering::Relaxed);
        let receipts = self.buyers.join_all().await;
        assert!(receipts.iter().any(|receipts| !receipts.cancelled.is_empty()));
        for receipts in &receipts {
            assert_are_true(stage, receipts).await;
        }
        stage.assert_sound().await;
    }
}

/// Counts what the buyers get.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    done: AtomicBool,
    given: AtomicUsize,
    failures: AtomicUsize,
    cancellations: AtomicUsize,
}

impl Answers {
    /// Waits for so many more answers.
    pub(crate) async fn wait_for(&self, more: usize) {
        wait_for(&self.given, more).await;
    }

    async fn wait_for_failure(&self) {
        wait_for(&self.failures, 1).await;
    }

    /// Counts an answer; `None` if the storage was away. Fails the test if it is one that no buyer should get.
    fn count<T, R: Error>(&self, answer: Result<T, ActError<R>>) -> Option<Result<T, R>> {
        let counter = match &answer {
            Err(ActError::Storage(StorageError::Unavailable(_) | StorageError::Busy)) => &self.failures,
            _ => &self.given,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        match answer {
            Ok(made) => Some(Ok(made)),
            Err(ActError::Refused(refusal)) => Some(Err(refusal)),
            Err(ActError::Storage(StorageError::Failed(error))) => panic!("neither an answer nor absence: {error:?}"),
            Err(ActError::Storage(_)) => None,
        }
    }
}

async fn wait_for(counter: &AtomicUsize, more: usize) {
    let enough = counter.load(Ordering::Relaxed) + more;
    while counter.load(Ordering::Relaxed) < enough {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What one buyer got as answers, and must find true afterwards.
#[derive(Debug, Default)]
struct Receipts {
    held: Vec<Reservation>,
    paid: Vec<Payment>,
    cancelled: Vec<Reservation>,
}

/// Holds a seat, pays it and cancels it, again and again, until the stampede is done. A request that failed is not sent
/// again: what became of it is unknown, and either is right.
async fn buyer(stage: Stage, show: Show, account_id: AccountId, answers: Arc<Answers>, seed: u64) -> Receipts {
    let (mut receipts, mut dice, labels) = (Receipts::default(), Dice::new(seed), show.labels());
    while !answers.done.load(Ordering::Relaxed) {
        let request = show.hold_request_for(account_id, dice.pick(&labels, 1));
        let reservation = match answers.count(stage.storage.reservations.hold(request).await) {
            Some(Ok(made)) => made.value.reservation,
            Some(Err(HoldRefusal::SeatUnavailable { .. } | HoldRefusal::SeatLimitReached { .. })) => continue,
            Some(Err(refusal)) => panic!("another refusal: {refusal}"),
            None => {
                // As a client would: not at once again.
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        receipts.held.push(reservation.clone());
        match answers.count(stage.storage.payments.pay(pay_request(&reservation)).await) {
            Some(Ok(made)) => receipts.paid.push(made.value.payment.payment),
            Some(Err(refusal)) => panic!("another refusal: {refusal}"),
            None => continue,
        }
        match answers.count(stage.storage.reservations.cancel(fixtures::cancel_request(&reservation)).await) {
            Some(Ok(made)) => {
                receipts.cancelled.push(made.value.reservation);
                answers.cancellations.fetch_add(1, Ordering::Relaxed);
            }
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
    let mut stampede = Stampede::default();
    for account_id in accounts {
        stampede.add_buyer(&stage, &show, account_id);
    }
    let answers = stampede.answers.clone();
    // While the database answers, some buyer comes as far as a cancellation. Later all seats may be held, by buyers who do
    // not know of it.
    wait_for(&answers.cancellations, 1).await;
    for kill in [true, false] {
        answers.wait_for(ANSWERS_BETWEEN).await;
        if kill {
            server.kill().await.unwrap();
        } else {
            server.stop().await.unwrap();
        }
        answers.wait_for_failure().await;
        server.start_again().await.unwrap();
    }
    answers.wait_for(ANSWERS_BETWEEN).await;
    stampede.end(&stage).await;

    // All works again, although no operator did anything about it.
    stage.storage.readiness.ready().await.unwrap();
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

/// What was answered is stored: each hold, each payment, each cancellation.
async fn assert_are_true(stage: &Stage, receipts: &Receipts) {
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
