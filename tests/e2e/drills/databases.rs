//! The database dies, stands still, or is out of reach of one instance.

use std::time::Duration;

use boxoffice_testkit::{
    servers::{DatabaseServer, RedisServer, ServerKind},
    tcp_proxy::Network,
};
use tokio::time::{Instant, sleep, timeout};

use super::stage::{INSTANCES, Stage, is_long, lasts, proxied};
use crate::support::{PATIENCE, client::fresh, fleet::Fleet, server::Server, together, until};

/// How long a request may take here.
const DEADLINE_SECONDS: u64 = 6;
const SETTINGS: [(&str, &str); 1] = [("REQUEST_TIMEOUT_SECONDS", "6")];
/// How much later than its deadline an answer may be on a busy machine.
const SLACK: Duration = Duration::from_secs(4);

/// How long it takes until every instance says that it is not ready.
async fn unready_after(stage: &Stage) -> Duration {
    let began = Instant::now();
    for server in &stage.fleet.instances {
        until("the instance is not ready", async || {
            let answer = server.api().get("/readyz").try_send().await;
            answer.is_some_and(|answer| answer.status == 503)
        })
        .await;
    }
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_dies() {
    let mut stage = Stage::open("The database dies", &SETTINGS).await;
    stage.phase("it is dead");
    stage.database.kill().await.expect("kills");
    let unready = unready_after(&stage).await;
    stage.note(format!("all instances say that they are not ready after {:.1} s", unready.as_secs_f64()));
    sleep(lasts(4, 130)).await;
    stage.phase("it is back");
    stage.database.start_again().await.expect("starts");
    stage.recovers().await;
    // What began before it came back has its deadline.
    let dead = stage.failures("it is dead");
    assert!(dead.longest < Duration::from_secs(DEADLINE_SECONDS) + SLACK, "{dead:?}");
    if is_long() {
        assert!(stage.alerts().await.iter().any(|alert| alert == "BoxofficeDatabaseLost"));
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_stands_still() {
    let mut stage = Stage::open("The database stands still (SIGSTOP)", &SETTINGS).await;
    stage.phase("it stands still");
    stage.database.pause().await.expect("pauses");
    let unready = unready_after(&stage).await;
    stage.note(format!("all instances say that they are not ready after {:.1} s", unready.as_secs_f64()));
    sleep(lasts(DEADLINE_SECONDS + 5, 60)).await;
    // All requests that were in flight have been answered by now, and the others are refused.
    let still = stage.failures("it stands still");
    assert!(still.longest < Duration::from_secs(DEADLINE_SECONDS) + SLACK, "{still:?}");
    assert!(still.unavailable > 0, "{still:?}");
    stage.phase("it goes on");
    stage.database.resume().await.expect("resumes");
    stage.recovers().await;
    let still = stage.failures("it stands still");
    assert!(still.longest < Duration::from_secs(DEADLINE_SECONDS) + SLACK, "{still:?}");
    stage.end().await;
}

/// An instance loses the network to the database in the middle of its transactions, and the server does not notice.
async fn one_instance_is_cut_off(name: &'static str, kind: ServerKind) {
    if !kind.can_be_started() {
        return;
    }
    let database = DatabaseServer::start(kind).await.expect("a private server");
    database.create_database("boxoffice").await.expect("a database");
    let (proxy, through) = proxied(&database).await;
    let mut urls = vec![database.url("boxoffice"); INSTANCES];
    urls[0] = through;
    let redis = RedisServer::start().await.expect("a private Redis");
    let redis_url = redis.url();
    let fleet = Fleet::over_redis(urls, redis, &redis_url, &SETTINGS).await;
    let mut stage = Stage::with(name, fleet, database).await;
    stage.phase("it is cut off");
    proxy.set(Network::Swallowing).await;
    stage.fleet.balancer.wait_for(0, false).await.expect("the balancer notices");
    // Whatever accounts its transactions had locked, the others go on with all of them.
    let (began, others) = (Instant::now(), INSTANCES - 1);
    together(stage.buyers.len(), |number| {
        let buyer = stage.fleet.at(1 + number % others, &stage.buyers[number]);
        async move {
            let key = fresh("cut-off");
            let charged = async {
                while buyer.ask_charge(1).key(key.as_str()).send().await.status != 201 {
                    sleep(Duration::from_millis(50)).await;
                }
            };
            timeout(PATIENCE, charged).await.expect("the charge is done at another instance");
        }
    })
    .await;
    let writing = began.elapsed();
    stage.note(format!("every account could write at the other instances after {:.1} s", writing.as_secs_f64()));
    sleep(lasts(2, 30)).await;
    stage.phase("it is there again");
    proxy.set(Network::Whole).await;
    proxy.cut_all();
    stage.fleet.balancer.wait_for(0, true).await.expect("the balancer takes it in");
    stage.recovers().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_cut_off_from_mariadb() {
    one_instance_is_cut_off("An instance is cut off from the database (MariaDB)", ServerKind::MariaDb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_cut_off_from_mysql() {
    one_instance_is_cut_off("An instance is cut off from the database (MySQL)", ServerKind::MySql).await;
}

/// Somebody has locked a row and does something else: those who need it are answered, and all others go on.
#[tokio::test(flavor = "multi_thread")]
async fn somebody_keeps_a_lock() {
    use mysql_async::prelude::Queryable;
    let mut stage = Stage::open("Somebody keeps the lock on a wallet", &SETTINGS).await;
    let mut somebody = mysql_async::Conn::from_url(&stage.database.url("boxoffice")).await.expect("a connection");
    stage.phase("it is locked");
    let account = stage.buyers[0].account_bytes();
    somebody.query_drop("START TRANSACTION").await.expect("begins");
    let locked: Option<Vec<u8>> = somebody
        .exec_first("SELECT account_id FROM wallets WHERE account_id = ? FOR UPDATE", (account,))
        .await
        .expect("locks");
    assert!(locked.is_some());
    let kept = lasts(6, 30);
    // So that it does not end as one that stands still.
    let (free, mut freed) = tokio::sync::oneshot::channel::<()>();
    let somebody = tokio::spawn(async move {
        while timeout(Duration::from_millis(200), &mut freed).await.is_err() {
            somebody.query_drop("SELECT 1").await.expect("it is alive");
        }
        somebody.query_drop("ROLLBACK").await.expect("ends");
        somebody.disconnect().await.expect("it is closed");
    });
    let (began, mut slowest) = (Instant::now(), Duration::ZERO);
    while began.elapsed() < kept {
        let other = stage.fleet.at(1, &stage.buyers[1]);
        let asked = Instant::now();
        let answer = other.ask_charge(1).key(fresh("other")).send().await;
        let log = stage.fleet.instances[1].log();
        let lines: Vec<_> = log.lines().filter(|line| !line.contains(" INFO ")).collect();
        assert_eq!(answer.status, 201, "{}: {lines:#?}", answer.text);
        slowest = slowest.max(asked.elapsed());
        sleep(Duration::from_millis(200)).await;
    }
    stage.note(format!("the slowest write of an account that is not locked took {:.1} s", slowest.as_secs_f64()));
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    let logs: String = stage.fleet.instances.iter().map(Server::log).collect();
    assert!(logs.contains("writes wait for a transaction that keeps locks"), "the log names who keeps it");
    stage.phase("it is free");
    free.send(()).expect("it keeps the lock");
    somebody.await.expect("it ends");
    stage.recovers().await;
    stage.end().await;
}
