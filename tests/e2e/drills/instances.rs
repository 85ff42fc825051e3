//! Instances are restarted one after the other, killed, and stand still.

use tokio::time::sleep;

use super::stage::{INSTANCES, Stage, lasts};

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart() {
    let mut stage = Stage::open("A rolling restart", &[]).await;
    stage.phase("the instances restart");
    for index in 0..INSTANCES {
        stage.fleet.restart(index).await;
        sleep(lasts(0, 10)).await;
    }
    let failures = stage.failures("the instances restart");
    assert_eq!((failures.unavailable, failures.unanswered), (0, 0), "{failures:?}");
    stage.phase("after");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_killed() {
    let mut stage = Stage::open("An instance is killed", &[]).await;
    stage.phase("it is gone");
    stage.fleet.kill(0);
    sleep(lasts(4, 90)).await;
    stage.phase("it is back");
    stage.fleet.start_again(0).await;
    stage.recovers().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_stands_still() {
    let mut stage = Stage::open("An instance stands still (SIGSTOP)", &[]).await;
    stage.phase("it stands still");
    stage.fleet.instances[0].freeze();
    stage.fleet.balancer.wait_for(0, false).await.expect("the balancer notices");
    sleep(lasts(6, 60)).await;
    stage.phase("it goes on");
    stage.fleet.instances[0].thaw();
    stage.fleet.balancer.wait_for(0, true).await.expect("the balancer takes it in");
    stage.recovers().await;
    stage.end().await;
}
