//! What several instances count together, tell each other, and leave to one of them.

use boxoffice_testkit::servers::{ServerKind, TestDatabase, fresh_database};
use serde_json::json;

use crate::support::{
    chronicle::{Chronicle, Printed},
    client::{Answer, Buyer},
    eventually,
    fleet::{Fleet, Shared},
    server::{PASSWORD, Server},
    show::{Show, Terms},
};

async fn three(settings: &[(&str, &str)]) -> (Fleet, TestDatabase, Printed) {
    let (chronicle, printed) = Chronicle::new();
    let database = fresh_database(ServerKind::MariaDb).await.expect("a database");
    let fleet = Fleet::start(Shared::over(database.url(), 3).await, settings, &chronicle).await;
    (fleet, database, printed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_at_one_instance_is_over_at_all() {
    let (fleet, database, _printed) = three(&[]).await;
    let buyer = Buyer::new(fleet.api()).await;
    let known = async |instance: &Server| {
        let answer = instance.api().get("/v1/me").bearer(&buyer.asks.access_token).send().await;
        if answer.status == 200 {
            return true;
        }
        answer.refuses(401, "unauthenticated");
        false
    };
    for instance in &fleet.instances {
        assert!(known(instance).await);
    }
    let ending = fleet.instances[0].api().ask(buyer.asks.request("DELETE", "/v1/sessions/current"));
    ending.send().await.is(204);
    assert!(!known(&fleet.instances[0]).await);
    for instance in &fleet.instances {
        // The token itself would be good for a quarter of an hour.
        eventually("it hears of the end", async || (!known(instance).await).then_some(())).await;
    }
    fleet.finish(0).await;
    database.remove().await.expect("it is removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quota_of_an_address_is_one_for_all_instances() {
    let (fleet, database, _printed) = three(&[("ACCOUNT_REQUESTS_PER_MINUTE", "2")]).await;
    let sign_in = async |instance: &Server, address: &str| -> Answer {
        let body = json!({"login_id": "nobody", "password": PASSWORD});
        instance.api().post("/v1/sessions", &body).header("x-forwarded-for", address).send().await
    };
    for instance in &fleet.instances[..2] {
        sign_in(instance, "10.1.1.1").await.refuses(401, "invalid_credentials");
    }
    for instance in &fleet.instances {
        sign_in(instance, "10.1.1.1").await.refuses(429, "rate_limited");
        sign_in(instance, "10.1.1.1, 10.1.1.1").await.refuses(429, "rate_limited");
    }
    // Without Redis each counts for itself, and nobody is let through without being counted.
    fleet.shared.redis.pause().await.expect("it is paused");
    for instance in &fleet.instances {
        for _ in 0..2 {
            sign_in(instance, "10.1.1.2").await.refuses(401, "invalid_credentials");
        }
        sign_in(instance, "10.1.1.2").await.refuses(429, "rate_limited");
    }
    fleet.shared.redis.resume().await.expect("it goes on");
    fleet.finish(0).await;
    database.remove().await.expect("it is removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_instance_sweeps_and_another_takes_over_when_it_is_killed() {
    const LEASE: &str = "boxoffice_worker_lease_held{worker=\"expiry\"}";
    let (mut fleet, database, _printed) = three(&[("HOLD_SECONDS", "2"), ("SWEEP_SECONDS", "1")]).await;
    let holder = async |fleet: &Fleet, among: &[usize]| {
        eventually("one of them has the lease", async || {
            let mut holders = Vec::new();
            for index in among {
                let text = fleet.instances[*index].api().get("/metrics").send().await.text;
                let held = text.lines().find_map(|line| line.strip_prefix(LEASE))?.trim() == "1";
                holders.extend(held.then_some(*index));
            }
            (holders.len() == 1).then(|| holders[0])
        })
        .await
    };
    let first = holder(&fleet, &[0, 1, 2]).await;
    fleet.kill(first);
    let others: Vec<_> = (0..3).filter(|index| *index != first).collect();
    let second = holder(&fleet, &others).await;
    let promoter = fleet.instances[second].promoter("promoter").await;
    let show = Show::publish(&promoter, Terms::default()).await;
    let mut buyer = Buyer::new(fleet.instances[second].api()).await;
    buyer.join(&show.concert).await;
    buyer.hold(&show.performance, &["A-1-1"]).await;
    let swept = "boxoffice_holds_expired_total";
    eventually("the hold is swept by the one that took over", async || {
        (fleet.instances[second].api().metric(swept).await >= 1.0).then_some(())
    })
    .await;
    // One that ends in order lets go, and is not waited for.
    fleet.instances[second].terminate();
    fleet.instances[second].ended().await;
    let third = *others.iter().find(|index| **index != second).expect("there is one more");
    assert_eq!(holder(&fleet, &[third]).await, third);
    fleet.finish(third).await;
    database.remove().await.expect("it is removed");
}
