//! A backup is restored: what came after it is gone, and nobody gets a 500.

use boxoffice_testkit::{prometheus::Prometheus, servers::ServerKind};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::stage::{Tally, lasts};
use crate::support::{
    client::Buyer,
    fleet::Fleet,
    server::Server,
    show::{Show, Terms},
    until,
};

/// Copies every table of the database, as a backup does, or puts the copies back.
async fn copy_tables(server: &boxoffice_testkit::servers::DatabaseServer, from: &str, to: &str) {
    use mysql_async::prelude::Queryable;
    let mut database = mysql_async::Conn::from_url(server.url(from)).await.expect("a connection");
    let tables: Vec<String> = database.query("SHOW TABLES").await.expect("tables");
    database.query_drop(format!("DROP DATABASE IF EXISTS {to}")).await.expect("dropped");
    database.query_drop(format!("CREATE DATABASE {to}")).await.expect("made");
    for table in tables {
        database.query_drop(format!("CREATE TABLE {to}.{table} LIKE {from}.{table}")).await.expect("made");
        database.query_drop(format!("INSERT INTO {to}.{table} SELECT * FROM {from}.{table}")).await.expect("copied");
    }
    database.disconnect().await.expect("it is closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_that_a_restored_backup_does_not_have_are_signed_out() {
    if !ServerKind::MariaDb.can_be_started() {
        return;
    }
    let server =
        boxoffice_testkit::servers::DatabaseServer::start(ServerKind::MariaDb).await.expect("a private server");
    server.create_database("boxoffice").await.expect("a database");
    let mut fleet = Fleet::over(vec![server.url("boxoffice"); 2], &[]).await;
    let show = Show::publish(&fleet.promoter().await, Terms::max_active(2)).await;
    let before = Buyer::admitted(fleet.api(), &show.concert).await;
    before.charge(5_000).await;
    copy_tables(&server, "boxoffice", "backup").await;
    // These come after the backup: one is admitted, one waits, and one has only signed in.
    let admitted = Buyer::admitted(fleet.api(), &show.concert).await;
    admitted.charge(5_000).await;
    let held = admitted.hold(&show.performance, &["A-1-1"]).await;
    let mut waiting = Buyer::new(fleet.api()).await;
    waiting.join(&show.concert).await;
    let idle = Buyer::new(fleet.api()).await;

    for server in &mut fleet.instances {
        server.stop().await;
    }
    copy_tables(&server, "backup", "boxoffice").await;
    for index in 0..2 {
        fleet.start_again(index).await;
    }
    let addresses: Vec<_> = fleet.instances.iter().map(Server::address).collect();
    let prometheus = Prometheus::start(&addresses, Some(fleet.balancer.metrics())).await.expect("Prometheus starts");
    let (since, mut tally) = (Instant::now(), Tally::default());
    let (later, known) = ("accounts that came after the backup", "accounts in the backup");
    // Their tokens are signed and have not expired, and Redis still knows their places.
    for gone in [&admitted, &waiting, &idle] {
        for ask in [
            gone.get("/v1/me"),
            gone.get("/v1/wallet"),
            gone.get("/v1/reservations"),
            gone.get("/v1/me/sessions"),
            gone.ask_charge(5),
        ] {
            let answer = ask.key(crate::support::client::fresh("gone")).send().await;
            answer.refuses(401, "unauthenticated");
            tally.note(later, "what needs signing in", answer.status);
        }
    }
    for ask in [
        admitted.get("/v1/queue").queue_token(&admitted.asks.queue_token),
        admitted.ask_hold(&show.performance, &["A-1-2"]),
        admitted.ask_pay(&held),
        admitted.get(format!("/v1/performances/{}/seats", show.performance)).queue_token(&admitted.asks.queue_token),
    ] {
        let answer = ask.send().await;
        answer.refuses(401, "unauthenticated");
        tally.note(later, "what needs an admission", answer.status);
    }
    // Its admission goes to the next, who is gone, too, and finds out with the next poll.
    let poll = || waiting.get("/v1/queue").queue_token(&waiting.asks.queue_token);
    until("the one who waited is sent away", async || poll().send().await.status == 401).await;
    let next = Buyer::admitted(fleet.api(), &show.concert).await;
    next.hold(&show.performance, &["A-1-1"]).await;
    // What was there is there.
    for path in ["/v1/me", "/v1/wallet", "/v1/reservations", "/v1/me/sessions"] {
        let answer = before.get(path).send().await;
        answer.is(200);
        tally.note(known, "what needs signing in", answer.status);
    }
    assert_eq!(before.balance().await, 5_000);
    assert_eq!(before.queue_status().await, "active");
    let body = json!({ "refresh_token": idle.refresh_token });
    idle.api.post("/v1/sessions/refresh", &body).send().await.refuses(401, "unauthenticated");
    let errors: Vec<_> = fleet.instances.iter().map(Server::log).filter(|log| log.contains(" ERROR ")).collect();
    assert!(errors.is_empty(), "{errors:?}");
    sleep(lasts(1, 60)).await;
    let alerts = prometheus.fired_within(since.elapsed().as_secs() + 1).await.expect("Prometheus answers");
    fleet.finish().await;
    tally.report("A backup is restored", &alerts);
}
