//! The contract of the port: in memory, on one Redis server, and on a cluster of three.

use std::{sync::Arc, time::Duration};

use boxoffice_contracts::waiting_room::{Rules, Stage, Start};
use boxoffice_domain::{
    EntropySource,
    fixtures::{TestClock, TestEntropy},
    waiting_room::WaitingRoom,
};
use boxoffice_testkit::servers::{RedisCluster, RedisServer};
use boxoffice_waiting_room::{MemoryWaitingRoom, RedisWaitingRoom, Settings};

use crate::support;

fn settings(start: &Start) -> Settings {
    let Rules {
        capacity,
        admission_seconds,
        no_show_seconds,
        idle_admission_seconds,
        joins_per_network_max,
        poll_seconds_max,
    } = start.rules;
    Settings {
        capacity,
        admission_seconds,
        no_show_seconds,
        idle_admission_seconds,
        joins_per_network_max,
        poll_seconds_max,
        reform_seconds: start.reform_seconds,
        ..support::settings()
    }
}

async fn in_memory(start: Start) -> Arc<dyn WaitingRoom> {
    Arc::new(MemoryWaitingRoom::new(start.clock.clone(), settings(&start)))
}

/// A waiting room with its own prefix in a Redis that the tests share. Every poll asks Redis: the contract is about exact
/// positions.
async fn in_redis(url: &str, start: Start) -> Arc<dyn WaitingRoom> {
    // The machine is shared with other tests.
    let link = support::open_link(url, format!("test-{}", TestEntropy.uuid()), Duration::from_secs(10));
    let waiting_room = RedisWaitingRoom::open(link, start.clock.clone(), settings(&start), Duration::ZERO).await;
    assert!(waiting_room.is_connected());
    Arc::new(waiting_room)
}

async fn on_one_redis(start: Start) -> Arc<dyn WaitingRoom> {
    in_redis(&RedisServer::shared().await.expect("starts").url(), start).await
}

async fn on_a_cluster(start: Start) -> Arc<dyn WaitingRoom> {
    in_redis(&RedisCluster::shared().await.expect("starts").url(), start).await
}

async fn stage(open: impl AsyncFn(Start) -> Arc<dyn WaitingRoom>, rules: Rules) -> Stage {
    let clock = Arc::new(TestClock::new());
    Stage { waiting_room: open(Start { rules, clock: clock.clone(), reform_seconds: 0 }).await, clock }
}

mod memory {
    boxoffice_contracts::waiting_room_contract!(async |rules| super::stage(super::in_memory, rules).await);
    boxoffice_contracts::waiting_room_restart_contract!(super::in_memory);
}

mod one_redis {
    boxoffice_contracts::waiting_room_contract!(async |rules| super::stage(super::on_one_redis, rules).await);
    boxoffice_contracts::waiting_room_restart_contract!(super::on_one_redis);
}

mod redis_cluster {
    boxoffice_contracts::waiting_room_contract!(async |rules| super::stage(super::on_a_cluster, rules).await);
    boxoffice_contracts::waiting_room_restart_contract!(super::on_a_cluster);
}
