//! What several instances count together, publish to each other, and leave to one of them.

use serde_json::json;

use crate::support::{
    client::{Answer, Buyer},
    eventually,
    fleet::Fleet,
    server::{PASSWORD, Server},
    show::{Show, Terms, venue_of},
    until,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_at_one_instance_is_over_at_all() {
    let fleet = Fleet::start(3, &[]).await;
    let buyer = Buyer::new(fleet.api()).await;
    let at_each = fleet.at_each(&buyer);
    let is_signed_in = async |buyer: &Buyer| {
        let answer = buyer.get("/v1/me").send().await;
        if answer.status != 200 {
            answer.refuses(401, "unauthenticated");
        }
        answer.status == 200
    };
    for buyer in &at_each {
        assert!(is_signed_in(buyer).await);
    }
    at_each[0].delete("/v1/sessions/current").send().await.is(204);
    assert!(!is_signed_in(&at_each[0]).await);
    for buyer in &at_each {
        // The token itself is valid for a quarter of an hour.
        until("the instance applies the end", async || !is_signed_in(buyer).await).await;
    }
    fleet.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demoted_promoter_publishes_no_longer_at_any_instance_and_no_end_is_missed_while_redis_is_away() {
    let fleet = Fleet::start(2, &[]).await;
    let promoter = fleet.promoter().await;
    let demote = ["account", "promoter", "--role", "customer"];
    assert_eq!(fleet.instances[0].run(&demote, &[]).await.0, 0);
    for promoter in &fleet.at_each(&promoter) {
        until("the instance applies the role", async || {
            promoter.post("/v1/venues", &venue_of(1)).send().await.status == 401
        })
        .await;
        promoter.get("/v1/me").send().await.refuses(401, "access_token_expired");
    }

    let buyer = Buyer::new(fleet.api()).await;
    let at_each = fleet.at_each(&buyer);
    fleet.redis.pause().await.expect("it is paused");
    at_each[0].delete("/v1/sessions/current").send().await.is(204);
    // No announcement arrives, so the other one reads it from the database.
    until("the other instance reads the end", async || at_each[1].get("/v1/me").send().await.status == 401).await;
    at_each[1].get("/v1/me").send().await.refuses(401, "unauthenticated");
    fleet.redis.resume().await.expect("it goes on");
    fleet.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quota_of_an_address_is_one_for_all_instances() {
    let fleet = Fleet::start(3, &[("ACCOUNT_REQUESTS_PER_MINUTE", "2")]).await;
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
    // Without Redis each counts for itself, and no request passes without being counted.
    fleet.redis.pause().await.expect("it is paused");
    for instance in &fleet.instances {
        for _ in 0..2 {
            sign_in(instance, "10.1.1.2").await.refuses(401, "invalid_credentials");
        }
        sign_in(instance, "10.1.1.2").await.refuses(429, "rate_limited");
    }
    fleet.redis.resume().await.expect("it goes on");
    fleet.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_instance_sweeps_and_another_takes_over_when_it_is_killed() {
    const LEASE: &str = "boxoffice_worker_lease_held{worker=\"expiry\"}";
    let mut fleet = Fleet::start(3, &[("HOLD_SECONDS", "2"), ("SWEEP_SECONDS", "1")]).await;
    let holder = async |fleet: &Fleet, among: &[usize]| {
        eventually("one of them has the lease", async || {
            let mut holders = Vec::new();
            for index in among {
                let text = fleet.instances[*index].api().metrics().await;
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
    let api = fleet.instances[second].api();
    let show = Show::on(&fleet.instances[second], Terms::default()).await;
    let buyer = Buyer::admitted(api, &show.concert).await;
    buyer.hold(&show.performance, &["A-1-1"]).await;
    until("the new holder of the lease sweeps the hold", async || {
        api.metric("boxoffice_holds_expired_total").await >= 1.0
    })
    .await;
    // An instance that stops releases its lease, so that the next one need not wait for it.
    fleet.instances[second].stop().await;
    let third = *others.iter().find(|index| **index != second).expect("there is one more");
    assert_eq!(holder(&fleet, &[third]).await, third);
    fleet.finish().await;
}
