//! Instances that write through two nodes of one Galera cluster: neither node knows of the locks of the other.

use std::sync::{Arc, atomic::Ordering};

use boxoffice_contracts::storage::PRICE_A;
use boxoffice_domain::fixtures::TestClock;
use boxoffice_persistence::{PersistenceSettings, migrate};
use boxoffice_testkit::{
    galera::GaleraCluster,
    tcp_proxy::{CutAt, MYSQL_COMMIT, TcpProxy},
};
use tokio::task::JoinSet;

use crate::{
    home::{join, settings},
    restarts::{Told, assert_are_true, buyer},
};

/// One account has a lane of each instance to itself in each of so many concerts.
const CONCERTS: usize = 3;
/// How many refused commits are enough: a few of them were not noticed, in most runs.
const REFUSED_ENOUGH: u64 = 400;
const ANSWERS_BETWEEN: usize = 100;

/// Everything here is done by one account, so that transactions are taken back between any two of their statements.
/// `MariaDB` 10.11 does not always say so, as was seen where statements were prepared, and lets the session go on: what it
/// does then must not be answered, and must not leave a part behind. Every other commit loses its connection, so that
/// statements are prepared all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_is_taken_back_without_a_word_is_done_again() {
    let cluster = GaleraCluster::start().await.unwrap();
    cluster.create_database("boxoffice").await.unwrap();
    let node = |number: usize| cluster.nodes()[number].url("boxoffice");
    migrate(&node(0)).await.unwrap();
    let (one_proxy, one_url) = TcpProxy::before_database(&node(0)).await.unwrap();
    let (other_proxy, other_url) = TcpProxy::before_database(&node(1)).await.unwrap();
    let clock = Arc::new(TestClock::new());
    let lanes = PersistenceSettings { lanes: CONCERTS, ..settings() };
    let (one, one_database) = join(&one_url, lanes.clone(), Arc::clone(&clock)).await;
    let (other, other_database) = join(&other_url, lanes, clock).await;
    let account_id = one.account_with(1_000 * PRICE_A).await;
    let told = Arc::new(Told::default());
    let mut buyers = JoinSet::new();
    for seed in (1..).map(|number| number * 7_919).take(CONCERTS) {
        let show = one.show().await;
        let labels: Arc<[_]> = show.labels().into();
        for (stage, seed) in [(one.clone(), seed), (other.clone(), seed + 1)] {
            buyers.spawn(buyer(stage, show.clone(), account_id, labels.clone(), told.clone(), seed));
        }
    }
    one_proxy.cut_when(MYSQL_COMMIT, CutAt::Answer, 2);
    other_proxy.cut_when(MYSQL_COMMIT, CutAt::Answer, 2);
    let refused = async || cluster.refused_commits(0).await.unwrap() + cluster.refused_commits(1).await.unwrap();
    let enough = async {
        while refused().await < REFUSED_ENOUGH {
            told.wait_for(&told.answers, ANSWERS_BETWEEN).await;
        }
    };
    tokio::select! {
        ended = buyers.join_next() => panic!("{ended:?}"),
        () = enough => {}
    }
    one_proxy.cut_nothing();
    other_proxy.cut_nothing();
    told.done.store(true, Ordering::Relaxed);
    let receipts = buyers.join_all().await;
    assert!(receipts.iter().any(|receipts| !receipts.cancelled.is_empty()));
    for receipts in &receipts {
        assert_are_true(&one, receipts).await;
    }
    one.assert_sound().await;
    one_database.shutdown().await;
    other_database.shutdown().await;
}
