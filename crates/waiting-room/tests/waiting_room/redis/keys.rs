//! What Redis holds: how much, and what is made of what should not be there.

use std::sync::Arc;

use boxoffice_domain::{
    StorageError,
    fixtures::{TestClock, instant},
    waiting_room::{DrawNumber, JoinRequest, QueueTerms, Visit, WaitingRoom, WaitingRoomError},
};
use boxoffice_testkit::servers::RedisServer;
use futures::{StreamExt, stream};

use crate::support::{EXACT, Instance, account, at_once, concert};

async fn used_bytes(server: &RedisServer) -> u64 {
    let info = server.command("INFO memory").await.expect("answers");
    let used = info.lines().find_map(|line| line.trim().strip_prefix("used_memory:")).expect("how much");
    used.parse().expect("a number")
}

/// Lets 50,000 join and gives how many bytes a million of them would take.
async fn bytes_of_a_million(drawn: bool) -> u64 {
    const PEOPLE: u64 = 50_000;
    let server = RedisServer::start().await.expect("starts");
    let clock = Arc::new(TestClock::new());
    let instance = Instance::start(&server.url(), &clock, at_once(), EXACT).await.admitting(0);
    let terms = QueueTerms { opens_at: drawn.then(|| instant(1_000_000)), ..instance.terms };
    instance.join(0).await;
    // In the first two seconds of a queue the numbers of places do not say when accounts joined.
    clock.advance_seconds(10);
    let before = used_bytes(&server).await;
    let joins = stream::iter(1..=u128::from(PEOPLE)).map(|number| {
        // Ids in no order, and each somebody of a later microsecond.
        clock.advance(chrono::TimeDelta::microseconds(50));
        let account_id = account(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
        let draw = drawn.then(|| DrawNumber::from_random(account_id.uuid().as_u64_pair().0));
        instance.waiting_room.join(JoinRequest { concert_id: concert(1), account_id, terms, draw, network: None })
    });
    let joined = joins.buffer_unordered(64).filter(|joined| std::future::ready(joined.is_ok())).count().await;
    assert_eq!(joined as u64, PEOPLE);
    assert_eq!(instance.census().await.0, PEOPLE + 1);
    (used_bytes(&server).await - before) * 1_000_000 / PEOPLE
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_take_less_than_300_megabytes_also_before_a_draw() {
    for (drawn, what) in [(false, "in the queue"), (true, "before a draw")] {
        let bytes = bytes_of_a_million(drawn).await;
        println!("a million {what}: {} MB", bytes / 1_000_000);
        assert!(bytes < 300_000_000, "{bytes}");
    }
}

/// Whatever somebody has written into our keys is a failure, and never a panic or an endless wait.
#[tokio::test]
async fn damaged_keys_are_failures() {
    let server = RedisServer::start().await.expect("starts");
    let clock = Arc::new(TestClock::new());
    let instance = Instance::start(&server.url(), &clock, at_once(), EXACT).await.admitting(1);
    let places = instance.join_many(3).await;
    let key = |part: &str| format!("boxoffice:{{{}}}:{part}", concert(1));
    let refused = |result: Result<(), WaitingRoomError>| {
        matches!(result, Err(WaitingRoomError::Storage(StorageError::Failed(_))))
    };
    for part in ["queue", "waiting", "active", "ending"] {
        server.command(&format!("RENAME {0} {0}-kept", key(part))).await.expect("renames");
        server.command(&format!("SET {} nonsense", key(part))).await.expect("sets");
        assert!(refused(instance.waiting_room.status(&places[0], Visit::Poll).await.map(drop)), "{part}");
        assert!(refused(instance.waiting_room.spend(concert(1), account(0)).await), "{part}");
        assert!(refused(instance.waiting_room.keep_until(concert(1), account(0), None).await), "{part}");
        server.command(&format!("RENAME {0}-kept {0}", key(part))).await.expect("renames");
    }
    assert!(instance.is_active(&places[0]).await);
    server.command(&format!("ZADD {} 1 nobody", key("ending"))).await.expect("adds");
    assert_eq!(instance.census().await, (2, 1, 1), "an ending without an admission is cleared away");
    server.command("ZADD boxoffice:{queues}:due 1 nonsense").await.expect("adds");
    assert!(refused(instance.waiting_room.advance().await.map(drop)));
    server.command("ZREM boxoffice:{queues}:due nonsense").await.expect("removes");
    server.command("PUBLISH boxoffice:changed nonsense").await.expect("publishes");
    instance.advance().await;
}
