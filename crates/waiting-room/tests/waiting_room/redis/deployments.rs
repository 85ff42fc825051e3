//! Redis as operators have it: with users and passwords, and with a sentinel that promotes a replica.

use std::sync::Arc;

use boxoffice_domain::fixtures::TestClock;
use boxoffice_testkit::servers::RedisServer;

use super::away::is_unavailable;
use crate::support::{EXACT, Instance, at_once, concert, until};

#[tokio::test]
async fn the_password_of_the_url_opens_the_queue_and_another_one_does_not() {
    let server = RedisServer::start().await.expect("starts");
    server.command("ACL SETUSER seller on >secret ~* &* +@all").await.expect("there is a user");
    let url = |password| format!("redis://seller:{password}@{}", server.address());
    let clock = Arc::new(TestClock::new());
    let one = Instance::start(&url("secret"), &clock, at_once(), EXACT).await;
    let places = one.join_many(1).await;
    assert!(one.is_active(&places[0]).await);
    let stranger = Instance::start(&url("guessed"), &clock, at_once(), EXACT).await;
    assert!(is_unavailable(&stranger.try_join_at(concert(1), 9).await));
}

/// The number that `INFO replication` gives for `name`.
async fn offset(server: &RedisServer, name: &str) -> Option<u64> {
    let told = server.command("INFO replication").await.ok()?;
    told.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[tokio::test]
async fn the_queue_goes_on_where_a_sentinel_has_promoted_the_replica() {
    let (first, second) = (RedisServer::start().await.expect("starts"), RedisServer::start().await.expect("starts"));
    let sentinel = RedisServer::start_sentinel().await.expect("starts");
    let (address, port) = (first.address().ip(), first.address().port());
    second.command(&format!("REPLICAOF {address} {port}")).await.expect("it follows");
    let says = async |server: &RedisServer, command: &str, text: &str| {
        server.command(command).await.is_ok_and(|told| told.contains(text))
    };
    until("the replica follows", async || says(&second, "INFO replication", "master_link_status:up").await).await;
    for command in [
        format!("SENTINEL MONITOR main {address} {port} 1"),
        "SENTINEL SET main down-after-milliseconds 500".to_owned(),
        "SENTINEL SET main failover-timeout 3000".to_owned(),
    ] {
        sentinel.command(&command).await.expect("the sentinel takes it");
    }
    let replica = second.address().port().to_string();
    until("the replica is known", async || says(&sentinel, "SENTINEL REPLICAS main", &replica).await).await;

    let url = format!("redis-sentinel://{}/main", sentinel.address());
    let clock = Arc::new(TestClock::new());
    let one = Instance::start(&url, &clock, at_once(), EXACT).await;
    let places = one.join_many(5).await;
    until("the replica has all", async || {
        offset(&second, "slave_repl_offset:").await >= offset(&first, "master_repl_offset:").await
    })
    .await;
    first.kill().await.expect("it is killed");
    assert!(is_unavailable(&one.try_join_at(concert(1), 100).await));
    until("the queue goes on", async || one.try_join_at(concert(1), 100).await.is_ok()).await;
    for place in &places[..3] {
        assert!(one.is_active(place).await, "it was admitted before");
    }
    assert_eq!(one.position(&places[3]).await, 1);
    assert_eq!(one.position(&places[4]).await, 2, "no account has lost its place");
}
