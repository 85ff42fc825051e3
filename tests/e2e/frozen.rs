//! An instance that stands still in the middle of a transaction.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use boxoffice_testkit::{
    galera::GaleraCluster,
    servers::{DatabaseServer, ServerKind},
};
use mysql_async::prelude::Queryable;
use tokio::time::{sleep, timeout};

use crate::support::{
    PATIENCE,
    client::{Buyer, fresh},
    eventually,
    fleet::Fleet,
    together,
};

const BUYERS: usize = 40;

/// Freezes the first instance while it is in a transaction.
async fn freeze_in_a_transaction(fleet: &Fleet, url: &str, buyers: &[Buyer]) {
    let mut database = mysql_async::Conn::from_url(url).await.expect("a connection");
    loop {
        let stop = Arc::new(AtomicBool::new(false));
        let load = together(BUYERS, |index| {
            let (buyer, stop) = (fleet.at(0, &buyers[index]), Arc::clone(&stop));
            async move {
                while !stop.load(Ordering::Relaxed) {
                    // Unanswered once the instance stands still.
                    let charge = buyer.ask_charge(1).key(fresh("charge")).try_send();
                    if timeout(Duration::from_secs(1), charge).await.is_err() {
                        return;
                    }
                }
            }
        });
        let freeze = async {
            sleep(Duration::from_millis(200)).await;
            fleet.instances[0].freeze();
            stop.store(true, Ordering::Relaxed);
        };
        tokio::join!(load, freeze);
        let open: Option<i64> = database
            .query_first("SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_rows_locked > 0")
            .await
            .expect("an answer");
        if open.is_some_and(|open| open > 0) {
            break;
        }
        fleet.instances[0].thaw();
    }
    database.disconnect().await.expect("it is closed");
}

async fn the_others_go_on(kind: ServerKind) {
    if !kind.can_be_started() {
        eprintln!("left out on {kind}: {} names a server that the tests may not stop", kind.variable());
        return;
    }
    let server = DatabaseServer::start(kind).await.expect("a private server");
    server.create_database("boxoffice").await.expect("a database");
    the_others_go_on_over(&server.url("boxoffice"), kind).await;
}

async fn the_others_go_on_over(url: &str, kind: ServerKind) {
    let fleet = Fleet::over(vec![url.to_owned(); 2], &[]).await;
    let buyers = Buyer::many(fleet.api(), BUYERS).await;
    freeze_in_a_transaction(&fleet, url, &buyers).await;
    // All accounts of its transaction, and those that share a batch with them.
    together(BUYERS, |index| {
        let buyer = fleet.at(1, &buyers[index]);
        async move {
            let key = fresh("after");
            let charged = async {
                while buyer.ask_charge(1).key(key.as_str()).send().await.status != 201 {
                    sleep(Duration::from_millis(50)).await;
                }
            };
            timeout(PATIENCE, charged).await.expect("the charge is done at the other instance");
        }
    })
    .await;
    if kind == ServerKind::MySql {
        let log = fleet.instances[1].log();
        assert!(log.contains("ended a transaction that kept locks and stood still"), "{log}");
    }
    fleet.instances[0].thaw();
    let again = fleet.at(0, &buyers[0]);
    let key = fresh("again");
    eventually("the instance goes on, too", async || {
        let answer = again.ask_charge(1).key(key.as_str()).try_send().await?;
        (answer.status == 201).then_some(())
    })
    .await;
    fleet.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_stands_still_stops_no_other_on_mariadb() {
    the_others_go_on(ServerKind::MariaDb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_stands_still_stops_no_other_on_mysql() {
    the_others_go_on(ServerKind::MySql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_stands_still_stops_no_other_on_galera() {
    let cluster = GaleraCluster::start().await.expect("a cluster");
    cluster.create_database("boxoffice").await.expect("a database");
    the_others_go_on_over(&cluster.nodes()[0].url("boxoffice"), ServerKind::MariaDb).await;
}
