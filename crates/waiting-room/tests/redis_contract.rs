//! The contract of the waiting room, on Redis: one server, and a cluster of three.

use std::sync::Arc;

use boxoffice_domain::EntropySource;
use boxoffice_testkit::{
    TestClock, TestEntropy,
    contracts::waiting_room::{Stage, Terms},
    waiting_room_contract,
};
use boxoffice_waiting_room::{RedisSettings, RedisUrl, RedisWaitingRoom, Settings};

/// A room of its own in a Redis that the tests share. Every poll asks Redis: the contract is about exact positions.
async fn stage(url: &str, terms: Terms) -> Stage {
    let Terms { capacity, admission_seconds, no_show_seconds, poll_seconds_max } = terms;
    let clock = Arc::new(TestClock::new());
    let rules = Settings {
        capacity,
        admission_seconds,
        no_show_seconds,
        poll_seconds_max,
        reform_seconds: 0,
        ..Settings::default()
    };
    let settings = RedisSettings {
        prefix: format!("test-{}", TestEntropy.uuid()),
        // The machine is shared with other tests.
        connect_timeout: std::time::Duration::from_secs(10),
        command_timeout: std::time::Duration::from_secs(10),
        snapshot_age_max: std::time::Duration::ZERO,
    };
    let url = RedisUrl::parse(url).expect("a URL");
    let room = RedisWaitingRoom::connect(url, clock.clone(), rules, settings).await;
    assert!(room.is_connected());
    Stage { waiting_room: Arc::new(room), clock }
}

mod one_server {
    use boxoffice_testkit::servers::RedisServer;

    use super::*;

    async fn on_one(terms: Terms) -> Stage {
        stage(&RedisServer::shared().await.expect("starts").url(), terms).await
    }

    waiting_room_contract!(on_one);
}

mod cluster_of_three {
    use boxoffice_testkit::servers::RedisCluster;

    use super::*;

    async fn on_three(terms: Terms) -> Stage {
        stage(&RedisCluster::shared().await.expect("starts").url(), terms).await
    }

    waiting_room_contract!(on_three);
}
