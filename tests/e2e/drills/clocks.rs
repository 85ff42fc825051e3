//! The clock of an instance is wrong.

use std::time::Duration;

use boxoffice_testkit::servers::ServerKind;
use serde_json::json;
use tokio::time::sleep;

use super::stage::{Stage, lasts};
use crate::support::{client::fresh, server::Server, until};

/// A library that shifts the clock of a process, if it is there.
fn fake_clock() -> Option<String> {
    let output = std::process::Command::new(boxoffice_testkit::servers::scripts().join("clock")).output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !path.is_empty()).then_some(path)
}

/// Lets the clock of an instance be off by so much from its next start on.
fn shift(server: &mut Server, library: &str, offset: &str) {
    for (name, value) in [("LD_PRELOAD", library), ("FAKETIME", offset), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")] {
        server.set_variable(name, value);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_whose_clock_is_wrong_writes_nothing() {
    let Some(library) = fake_clock().filter(|_| ServerKind::MariaDb.can_be_started()) else {
        eprintln!("left out: there is no library that shifts clocks; tests/servers/install fetches it");
        return;
    };
    let mut stage = Stage::open("The clock of an instance is five minutes fast", &[]).await;
    stage.fleet.restart(0).await;
    stage.phase("it is wrong");
    let server = &mut stage.fleet.instances[0];
    server.stop().await;
    shift(server, &library, "+300s");
    server.start_again().await;
    let api = stage.fleet.instances[0].api().clone();
    api.get("/readyz").send().await.refuses(503, "unavailable");
    let skew = api.metric("boxoffice_clock_skew_seconds").await;
    assert!(skew > 299.0, "{skew}");
    // It writes neither to the database nor to the queues, and no buyer loses anything by it.
    let at_it = stage.fleet.at(0, &stage.buyers[0]);
    at_it.ask_charge(1).key(fresh("wrong")).send().await.refuses(503, "unavailable");
    sleep(lasts(4, 60)).await;
    let failures = stage.failures("it is wrong");
    assert_eq!(failures.unavailable, 0, "{failures:?}");
    let log = stage.fleet.instances[0].log();
    assert!(log.contains("the clock of this machine differs too much from that of the database"), "{log}");
    stage.phase("it is right");
    let server = &mut stage.fleet.instances[0];
    server.stop().await;
    shift(server, &library, "+0s");
    server.start_again().await;
    let api = stage.fleet.instances[0].api().clone();
    until("it is ready", async || api.get("/readyz").send().await.status == 200).await;
    stage.recovers().await;
    stage.end().await;
}

/// A clock that is off by less than what is allowed shows as a metric and in the log, and nobody loses a hold.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_a_little_off_is_seen() {
    let Some(library) = fake_clock().filter(|_| ServerKind::MariaDb.can_be_started()) else {
        eprintln!("left out: there is no library that shifts clocks; tests/servers/install fetches it");
        return;
    };
    let mut stage = Stage::open("The clock of an instance is one second slow", &[]).await;
    stage.phase("it is slow");
    let server = &mut stage.fleet.instances[0];
    server.stop().await;
    shift(server, &library, "-1s");
    server.start_again().await;
    stage.fleet.balancer.wait_for(0, true).await.expect("the balancer takes it in");
    sleep(lasts(4, 60)).await;
    let api = stage.fleet.instances[1].api().clone();
    until("a peer sees it, too", async || {
        let metrics = api.metrics().await;
        let line =
            metrics.lines().find_map(|line| line.strip_prefix(r#"boxoffice_clock_skew_seconds{against="peers"}"#));
        line.and_then(|text| text.trim().parse::<f64>().ok()).is_some_and(|skew| (0.5..1.5).contains(&skew))
    })
    .await;
    let log = stage.fleet.instances[0].log();
    assert!(log.contains("the clock of this machine differs from that of the database"), "{log}");
    let failures = stage.failures("it is slow");
    assert_eq!((failures.unavailable, failures.unanswered), (0, 0), "{failures:?}");
    assert!(Duration::ZERO < failures.longest, "{}", json!(failures.answered));
    stage.end().await;
}
