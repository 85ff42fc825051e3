//! A Redis that comes back empty, whole or in part.

use std::sync::Arc;

use boxoffice_domain::{fixtures::TestClock, waiting_room::QueuePlace};
use boxoffice_testkit::servers::{RedisCluster, RedisServer};

use crate::support::{EXACT, Instance, concert, settings, until};

/// Two instances over one Redis at which accounts 0.. joined in order, and which was emptied 20 s after it began.
async fn emptied(joined: u128) -> (RedisServer, Arc<TestClock>, Vec<QueuePlace>, [Instance; 2]) {
    let server = RedisServer::start().await.expect("starts");
    let clock = Arc::new(TestClock::new());
    let one = Instance::start(&server.url(), &clock, settings(), EXACT).await;
    let other = Instance::start(&server.url(), &clock, settings(), EXACT).await;
    clock.advance_seconds(10);
    let places = one.join_many(joined).await;
    clock.advance_seconds(10);
    server.command("FLUSHALL").await.expect("empties");
    (server, clock, places, [one, other])
}

#[tokio::test]
async fn a_queue_that_was_lost_re_forms_in_the_old_order_over_all_instances() {
    let (_server, clock, places, [one, other]) = emptied(20).await;
    for step in 0..20 {
        let (index, instance) = (step * 7 % 20, if step % 2 == 0 { &one } else { &other });
        assert!(!instance.is_active(&places[index]).await, "none is admitted yet");
    }
    for (position, place) in (1..).zip(&places) {
        assert_eq!([one.position(place).await, other.position(place).await], [position; 2]);
    }
    clock.advance_seconds(4);
    one.advance().await;
    assert_eq!(other.census().await, (20, 0, 0));
    clock.advance_seconds(1);
    other.advance().await;
    assert_eq!(one.census().await, (17, 3, 3));
    assert!(one.is_active(&places[2]).await);
    assert_eq!(other.position(&places[19]).await, 17);
}

#[tokio::test]
async fn a_queue_that_begins_long_after_does_not_re_form() {
    let (_server, clock, _, [one, other]) = emptied(1).await;
    // A worker of any instance finds out that this Redis is new.
    other.advance().await;
    clock.advance_seconds(5);
    assert!(one.is_active(&one.join(7).await.place).await);
}

#[tokio::test]
async fn a_server_that_is_killed_and_starts_empty_is_noticed() {
    let (server, clock, places, [one, other]) = emptied(4).await;
    for place in &places {
        one.poll(place).await;
    }
    clock.advance_seconds(5);
    assert!(one.is_active(&places[0]).await);
    server.kill().await.expect("kills");
    server.start_again().await.expect("starts");
    clock.advance_seconds(10);
    until("both are connected", async || {
        one.try_poll(&places[3]).await.is_ok() && other.try_poll(&places[2]).await.is_ok()
    })
    .await;
    assert_eq!(one.position(&places[1]).await, 1);
    assert_eq!(other.position(&places[0]).await, 1);
    assert_eq!(one.position(&places[3]).await, 4, "none is admitted");
}

/// The clock of the instance at which accounts joined is ahead of that of the instance which opens the queue again.
#[tokio::test]
async fn no_place_is_lost_to_an_instance_whose_clock_is_behind() {
    let server = RedisServer::start().await.expect("starts");
    let (behind, ahead) = (Arc::new(TestClock::new()), Arc::new(TestClock::new()));
    behind.advance_seconds(100);
    ahead.advance_seconds(101);
    let one = Instance::start(&server.url(), &ahead, settings(), EXACT).await;
    let other = Instance::start(&server.url(), &behind, settings(), EXACT).await;
    // The queue was opened a while before.
    one.leave(&one.join(78).await.place).await;
    behind.advance_seconds(10);
    ahead.advance_seconds(10);
    let places = one.join_many(6).await;
    server.command("FLUSHALL").await.expect("empties");
    for place in places.iter().rev() {
        other.poll(place).await;
    }
    for (position, place) in (1..).zip(&places) {
        assert_eq!([one.position(place).await, other.position(place).await], [position; 2]);
    }
    let later = other.join(77).await.place;
    assert_eq!(one.position(&later).await, 7);
}

/// The key that says since when this Redis is ours is on another node than the queue that was lost.
#[tokio::test]
async fn a_queue_that_was_lost_with_one_node_of_a_cluster_re_forms_by_itself() {
    let cluster = RedisCluster::start().await.expect("starts");
    let clock = Arc::new(TestClock::new());
    let instance = Instance::start(&cluster.url(), &clock, settings(), EXACT).await;
    clock.advance_seconds(100);
    let places = instance.join_many(6).await;
    assert!(instance.is_active(&places[2]).await, "the beginning is long ago");
    clock.advance_seconds(100);
    let (key, marker) = (format!("boxoffice:{{{}}}:queue", concert(1)), "boxoffice:{queues}:ours_since");
    let mut emptied = 0;
    for node in cluster.nodes() {
        if node.command(&format!("EXISTS {key}")).await.is_ok() {
            assert!(node.command(&format!("EXISTS {marker}")).await.is_err(), "on another node");
            node.command("FLUSHALL").await.expect("empties");
            emptied += 1;
        }
    }
    assert_eq!(emptied, 1);
    for place in places.iter().rev() {
        assert!(!instance.is_active(place).await);
    }
    assert_eq!(instance.position(&places[5]).await, 6);
    clock.advance_seconds(5);
    assert!(instance.is_active(&places[2]).await);
    assert_eq!(instance.position(&places[3]).await, 1);
}
