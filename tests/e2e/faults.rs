//! What is left when the server is killed.

use serde_json::json;

use crate::support::{
    client::Buyer,
    crowd::{Crowd, Plan},
    server::{Backend, MARIADB, MYSQL, Server},
    timeline::Timeline,
    until,
};

/// More are admitted than have bought when the server is killed, so that many requests are in flight then.
const PLAN: Plan = Plan { buyers: 120, rows: 15, max_active: 60, queue_is_lost: true };

async fn kill_and_restart(backend: Backend) {
    let (timeline, _printed) = Timeline::new();
    let mut server = Server::start_on(backend, &[]).await;
    let crowd = Crowd::on_server(&server, PLAN, &timeline).await;
    // Several times: at one instant all that have not bought may be waiting for seats to be shown as free.
    for percent in [10, 25, 40, 60] {
        crowd.sold_percent(percent).await;
        server.kill();
        timeline.note("the server is killed");
        server.audit().await;
        server.start_again().await;
        timeline.note("the server is back");
    }
    let outcome = crowd.ended().await;
    let (unanswered, _) = outcome.repeated();
    assert!(unanswered > 0, "no request was in flight");
    outcome.verify().await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_outlives_a_kill_on_sqlite() {
    kill_and_restart(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_outlives_a_kill_on_mariadb() {
    kill_and_restart(MARIADB).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_outlives_a_kill_on_mysql() {
    kill_and_restart(MYSQL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_that_was_in_progress_when_the_server_was_killed_is_completed() {
    let settings = [("SIMULATOR_DELAY_MILLISECONDS", "60000"), ("GATEWAY_TIMEOUT_MILLISECONDS", "70000")];
    let mut server = Server::start(&settings).await;
    let buyer = Buyer::new(server.api()).await;
    let (api, commits) = (server.api().clone(), "boxoffice_commit_seconds_count");
    let before = api.metric(commits).await;
    let charge = || buyer.ask_charge(500).key("in-progress");
    let unanswered = tokio::spawn(charge().try_send());
    until("the charge is stored", async || api.metric(commits).await > before).await;
    server.kill();
    assert!(unanswered.await.expect("it ends").is_none());
    server.set("SIMULATOR_DELAY_MILLISECONDS", "0");
    server.set("CHARGE_RETRY_SECONDS", "1");
    server.start_again().await;
    until("the worker completes the charge", async || buyer.balance().await == 500).await;
    let again = charge().send().await;
    assert_eq!((&again.is(201)["balance"], again.is_replayed()), (&json!(500), true));
    assert_eq!(buyer.balance().await, 500);
    server.finish().await;
}
