//! The contract of the port: in memory, on one Redis server, and on a cluster of three.

use std::{sync::Arc, time::Duration};

use boxoffice_contracts::waiting_room::{Rules, Stage};
use boxoffice_domain::{
    EntropySource,
    fixtures::{TestClock, TestEntropy},
};
use boxoffice_peers::redis::{Link, RedisSettings, RedisUrl};
use boxoffice_testkit::servers::{RedisCluster, RedisServer};
use boxoffice_waiting_room::{MemoryWaitingRoom, RedisWaitingRoom, Settings};

use crate::support;

fn settings(rules: Rules) -> Settings {
    let Rules { capacity, admission_seconds, no_show_seconds, poll_seconds_max } = rules;
    Settings {
        capacity,
        admission_seconds,
        no_show_seconds,
        poll_seconds_max,
        reform_seconds: 0,
        ..support::settings()
    }
}

async fn in_memory(rules: Rules) -> Stage {
    let clock = Arc::new(TestClock::new());
    Stage { waiting_room: Arc::new(MemoryWaitingRoom::new(clock.clone(), settings(rules))), clock }
}

/// A waiting room with its own prefix in a Redis that the tests share. Every poll asks Redis: the contract is about exact
/// positions.
async fn in_redis(url: &str, rules: Rules) -> Stage {
    let clock = Arc::new(TestClock::new());
    let redis = RedisSettings {
        prefix: format!("test-{}", TestEntropy.uuid()),
        // The machine is shared with other tests.
        connect_timeout: Duration::from_secs(10),
        command_timeout: Duration::from_secs(10),
    };
    let link = Link::open(RedisUrl::parse(url).expect("a URL"), redis);
    let waiting_room = RedisWaitingRoom::open(link, clock.clone(), settings(rules), Duration::ZERO).await;
    assert!(waiting_room.is_connected());
    Stage { waiting_room: Arc::new(waiting_room), clock }
}

async fn on_one_redis(rules: Rules) -> Stage {
    in_redis(&RedisServer::shared().await.expect("starts").url(), rules).await
}

async fn on_a_cluster(rules: Rules) -> Stage {
    in_redis(&RedisCluster::shared().await.expect("starts").url(), rules).await
}

mod memory {
    boxoffice_contracts::waiting_room_contract!(super::in_memory);
}

mod one_redis {
    boxoffice_contracts::waiting_room_contract!(super::on_one_redis);
}

mod redis_cluster {
    boxoffice_contracts::waiting_room_contract!(super::on_a_cluster);
}
