//! Instances that write through two nodes of one Galera cluster: neither node knows of the locks of the other.

use std::sync::Arc;

use boxoffice_contracts::storage::PRICE_A;
use boxoffice_domain::{fixtures::TestClock, reservations::HoldRefusal};
use boxoffice_persistence::{PersistenceSettings, migrate};
use boxoffice_testkit::{
    galera::GaleraCluster,
    tcp_proxy::{CutAt, MYSQL_COMMIT, TcpProxy},
};
use futures::future::{self, join_all};

use crate::{
    home::{join, settings},
    restarts::Stampede,
};

/// One account has a lane of each instance to itself in each of so many concerts.
const CONCERTS: usize = 3;
/// How many refused commits are enough: a few of them were not noticed, in most runs.
const REFUSED_ENOUGH: u64 = 400;
const ANSWERS_BETWEEN: usize = 100;
/// How many accounts want more than they may have.
const SHOWS: usize = 40;

/// One account does everything, so that transactions are rolled back between any two of their statements. `MariaDB` 10.11
/// does not always report it, as was seen while statements were prepared, and the session continues: what it does then
/// must not be answered, and must not leave a part behind. Every other commit loses its connection, so that statements are
/// prepared all the time.
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
    let mut stampede = Stampede::default();
    for _ in 0..CONCERTS {
        let show = one.show().await;
        for stage in [&one, &other] {
            stampede.add_buyer(stage, &show, account_id);
        }
    }
    one_proxy.cut_when(MYSQL_COMMIT, CutAt::Answer, 2);
    other_proxy.cut_when(MYSQL_COMMIT, CutAt::Answer, 2);
    // A busy machine may stop a node for so long that the others leave it behind: then it answers no question until it is
    // back.
    let refused_by = async |node: usize| cluster.refused_commits(node).await.unwrap_or_default();
    let refused = async || refused_by(0).await + refused_by(1).await;
    let answers = stampede.answers.clone();
    let enough = async {
        while refused().await < REFUSED_ENOUGH {
            answers.wait_for(ANSWERS_BETWEEN).await;
        }
        cluster.wait_for(&[0, 1, 2]).await.unwrap();
    };
    stampede.run_until(enough).await;
    one_proxy.cut_nothing();
    other_proxy.cut_nothing();
    stampede.end(&one).await;
    one_database.shutdown().await;
    other_database.shutdown().await;
}

/// Each account holds two seats, one through each node at once, where it may have one. The batches write no row in common
/// but the wallet, which is changed for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_has_no_more_seats_through_two_nodes_than_through_one() {
    let cluster = GaleraCluster::start().await.unwrap();
    cluster.create_database("boxoffice").await.unwrap();
    let url = |number: usize| cluster.nodes()[number].url("boxoffice");
    migrate(&url(0)).await.unwrap();
    let clock = Arc::new(TestClock::new());
    let (one, one_database) = join(&url(0), settings(), Arc::clone(&clock)).await;
    let (other, other_database) = join(&url(1), settings(), clock).await;
    let accounts = one.accounts(SHOWS).await;
    let mut shows = Vec::new();
    while shows.len() < SHOWS {
        shows.push(one.show_allowing(1).await);
    }
    // What one node has written is at the other one a moment later, in the same order.
    let last = shows.last().unwrap().performance_id;
    while other.storage.catalog.performance(last).await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    let both = shows.iter().zip(&accounts).map(|(show, account_id)| {
        let labels = show.labels();
        let request = |index: usize| show.hold_request_for(*account_id, vec![labels[index].clone()]);
        future::join(one.hold(request(0)), other.hold(request(1)))
    });
    for held in join_all(both).await {
        let refusals = [held.0.err(), held.1.err()];
        let limited = |refusal: &Option<HoldRefusal>| matches!(refusal, Some(HoldRefusal::SeatLimitReached { .. }));
        assert!(refusals.iter().any(Option::is_none) && refusals.iter().any(limited), "{refusals:?}");
    }
    one.assert_sound().await;
    one_database.shutdown().await;
    other_database.shutdown().await;
}
