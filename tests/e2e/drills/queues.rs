//! Redis dies, comes back empty, or stands still.

use std::time::Duration;

use tokio::time::sleep;

use super::stage::{Stage, is_long, lasts};

/// As in production: the tests of other things are more patient.
const SETTINGS: [(&str, &str); 2] = [("REDIS_CONNECT_MILLISECONDS", "1000"), ("REDIS_TIMEOUT_MILLISECONDS", "500")];

#[tokio::test(flavor = "multi_thread")]
async fn redis_dies_and_comes_back_empty() {
    let mut stage = Stage::open("Redis dies, and comes back empty", &SETTINGS).await;
    stage.phase("it is dead");
    stage.fleet.redis.kill().await.expect("kills");
    sleep(lasts(4, 60)).await;
    // Who was admitted goes on buying.
    let dead = stage.failures("it is dead");
    stage.note(format!("of {} requests {} got 503", dead.answered + dead.unavailable, dead.unavailable));
    assert!(dead.answered > 0 && dead.unavailable * 20 <= dead.answered, "{dead:?}");
    if is_long() {
        assert!(stage.alerts().await.iter().any(|alert| alert == "BoxofficeRedisAway"));
    }
    stage.phase("it is back, and empty");
    stage.fleet.redis.start_again().await.expect("starts");
    stage.recovers().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_stands_still() {
    let mut stage = Stage::open("Redis stands still (SIGSTOP)", &SETTINGS).await;
    stage.phase("it stands still");
    stage.fleet.redis.pause().await.expect("pauses");
    sleep(lasts(4, 60)).await;
    let still = stage.failures("it stands still");
    stage.note(format!("of {} requests {} got 503", still.answered + still.unavailable, still.unavailable));
    assert!(still.longest < Duration::from_secs(8), "{still:?}");
    assert!(still.answered > 0 && still.unavailable * 20 <= still.answered, "{still:?}");
    stage.phase("it goes on");
    stage.fleet.redis.resume().await.expect("resumes");
    stage.recovers().await;
    stage.end().await;
}
