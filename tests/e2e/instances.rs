//! Several instances behind a load balancer, and what is left when a part fails.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use boxoffice_testkit::{
    servers::{DatabaseServer, RedisServer, ServerKind, fresh_database},
    tcp_proxy::{CutAt, MYSQL_COMMIT, TcpProxy},
};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::support::{
    all,
    client::{Api, Buyer},
    crowd::{Crowd, Gathering, Plan},
    eventually,
    fleet::Fleet,
    queue_stream::QueueStream,
    server::{PASSWORD, Server},
    show::{PRICE, Show, Terms},
    until,
};

const INSTANCES: usize = 3;
/// A crowd while something fails.
const CROWD: Plan = Plan { buyers: 120, rows: 10, max_active: 24, queue_is_lost: false };
const CROWD_LARGE: Plan = Plan { buyers: 2_000, rows: 50, max_active: 100, queue_is_lost: false };
/// How long Redis is away.
const REDIS_AWAY: Duration = Duration::from_secs(10);
/// How long no account is admitted after Redis came back empty. Every waiting buyer polls more often.
const REFORM_SECONDS: &str = "8";
/// How many commits are cut in each way.
const CUTS_EACH: usize = 6;
const PAUSE: Duration = Duration::from_millis(200);

/// Instances soon notice that a database is away, and do not wait long for one.
const SETTINGS: [(&str, &str); 1] = [("DATABASE_CONNECT_SECONDS", "1")];

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_fails_no_request() {
    let mut fleet = Fleet::start(INSTANCES, &[]).await;
    let show = Arc::new(Show::publish(&fleet.promoter().await, Terms::default()).await);
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut tasks = Vec::new();
    for (number, buyer) in Buyer::many_admitted(fleet.api(), 16, &show.concert).await.into_iter().enumerate() {
        let (stop, done, show) = (Arc::clone(&stop), Arc::clone(&done), Arc::clone(&show));
        tasks.push(tokio::spawn(async move {
            let label = format!("A-{}-{}", 1 + number / 10, 1 + number % 10);
            while !stop.load(Ordering::Relaxed) {
                // Each is answered with success: none is lost or refused.
                buyer.charge(PRICE).await;
                assert_eq!(buyer.queue_status().await, "active");
                let held = buyer.hold(&show.performance, &[&label]).await;
                buyer.ask_cancel(&held).send().await.is(200);
                done.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    for index in 0..INSTANCES {
        let before = done.load(Ordering::Relaxed);
        until("buyers go on", async || done.load(Ordering::Relaxed) > before + 20).await;
        fleet.restart(index).await;
    }
    stop.store(true, Ordering::Relaxed);
    all(tasks).await;
    fleet.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_instance_is_not_ready_and_serves_until_its_time_is_over() {
    let mut fleet = Fleet::start(2, &[]).await;
    let api = fleet.instances[1].api().clone();
    let show = Show::publish(&fleet.promoter().await, Terms::max_active(1)).await;
    let buyers = Buyer::many_in_queue(&api, 2, &show.concert).await;
    let mut stream = QueueStream::open(&buyers[1]).await;
    assert_eq!(stream.status().await["status"], "waiting");
    fleet.instances[1].terminate();
    until("it is not ready", async || api.get("/readyz").send().await.status == 503).await;
    // It still takes requests on new connections, and its streams go on.
    assert_eq!(Api::new(&fleet.instances[1].url()).get("/healthz").send().await.status, 200);
    buyers[0].leave().await;
    assert_eq!(stream.status().await["status"], "active");
    fleet.balancer.wait_for(1, false).await.expect("the load balancer notices it");
    fleet.api().get("/v1/concerts").send().await.is(200);
    while stream.next().await.is_some() {}
    assert_eq!(fleet.instances[1].ended().await.code(), Some(0));
    fleet.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_client_can_pretend_to_have_another_address_behind_the_load_balancer() {
    let fleet = Fleet::start(1, &[("ACCOUNT_REQUESTS_PER_MINUTE", "5")]).await;
    let sign_in = json!({"login_id": "nobody", "password": PASSWORD});
    for number in 0..8 {
        let ask = fleet.api().post("/v1/sessions", &sign_in).header("x-forwarded-for", format!("10.1.1.{number}"));
        let (status, code) = if number < 5 { (401, "invalid_credentials") } else { (429, "rate_limited") };
        ask.send().await.refuses(status, code);
    }
    // The load balancer does not show the metrics to clients.
    fleet.api().get("/metrics").send().await.refuses(404, "not_found");
    fleet.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_buy_five_hundred_seats_over_three_instances() {
    let fleet = Fleet::start(INSTANCES, &[]).await;
    Crowd::start(&fleet, CROWD_LARGE).await.ended().await.verify().await;
    fleet.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_true_after_one_instance_was_killed_and_another_restarted() {
    let mut fleet = Fleet::start(INSTANCES, &SETTINGS).await;
    let crowd = Crowd::start(&fleet, CROWD).await;
    crowd.sold_percent(15).await;
    fleet.kill(1);
    crowd.sold_percent(30).await;
    fleet.restart(2).await;
    fleet.start_again(1).await;
    crowd.ended().await.verify().await;
    fleet.finish().await;
}

async fn the_database_is_restarted(kind: ServerKind) {
    if !kind.can_be_started() {
        eprintln!("left out on {kind}: {} names a server that the tests may not stop", kind.variable());
        return;
    }
    let database = DatabaseServer::start(kind).await.expect("a private server");
    database.create_database("boxoffice").await.expect("a database");
    let fleet = Fleet::over(vec![database.url("boxoffice"); INSTANCES], &SETTINGS).await;
    let api = fleet.instances[1].api();
    let charging = fleet.at(1, &Buyer::new(fleet.api()).await);
    let charge = || charging.ask_charge(PRICE).key("while-the-database-is-away").send();
    let crowd = Crowd::start(&fleet, CROWD).await;
    crowd.sold_percent(15).await;
    database.kill().await.expect("it is killed");
    fleet.timeline.note("the database is killed");
    // Long enough for the load balancer to notice that no instance is ready, and for a write to be given up.
    fleet.balancer.wait_for(0, false).await.expect("the instance is taken out");
    let refused = charge().await;
    refused.refuses(503, "unavailable");
    assert!(refused.header("retry-after").is_some());
    api.get("/readyz").send().await.refuses(503, "unavailable");
    api.get("/healthz").send().await.is(200);
    let log = fleet.instances[1].log();
    assert!(log.contains("Connection refused"), "the log says what the matter is: {log}");
    let begun = log.matches("requests begin to fail").count();
    assert!((1..=5).contains(&begun), "one line for each reason, not for each of the crowd's requests: {log}");
    database.start_again().await.expect("it starts");
    fleet.timeline.note("the database is back");
    until("the charge is done", async || charge().await.status == 201).await;
    until("the instance is ready", async || api.get("/readyz").send().await.status == 200).await;
    crowd.sold_percent(50).await;
    database.stop().await.expect("it stops");
    fleet.timeline.note("the database is stopped");
    database.start_again().await.expect("it starts");
    fleet.timeline.note("the database is back");
    crowd.ended().await.verify().await;
    charge().await.is(201);
    assert_eq!(charging.balance().await, PRICE, "the charge was done once, however often it was asked for");
    fleet.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_true_after_mariadb_was_restarted() {
    the_database_is_restarted(ServerKind::MariaDb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_true_after_mysql_was_restarted() {
    the_database_is_restarted(ServerKind::MySql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_true_after_commits_were_cut() {
    let database = fresh_database(ServerKind::MySql).await.expect("a database");
    let (proxy, url) = TcpProxy::before_database(database.url()).await.expect("a proxy");
    let fleet = Fleet::over(vec![url; INSTANCES], &SETTINGS).await;
    let crowd = Crowd::start(&fleet, CROWD).await;
    for (at, percent) in [(CutAt::Request, 10), (CutAt::Work, 30), (CutAt::Answer, 50)] {
        crowd.sold_percent(percent).await;
        let enough = proxy.cuts() + CUTS_EACH;
        proxy.cut_when(MYSQL_COMMIT, at, 3);
        until("enough commits are cut", async || proxy.cuts() >= enough).await;
        proxy.cut_nothing();
        fleet.timeline.note(format!("{} commits have been cut, the last at {at:?}", proxy.cuts()));
    }
    crowd.ended().await.verify().await;
    fleet.finish().await;
    database.remove().await.expect("it is removed");
}

/// Asks every instance for a place, which each refuses for now.
async fn no_account_can_join(fleet: &Fleet, newcomer: &Buyer, concert: &str) {
    for newcomer in fleet.at_each(newcomer) {
        let refused = newcomer.ask_join(concert).send().await;
        refused.refuses(503, "unavailable");
        assert!(refused.header("retry-after").is_some());
    }
}

/// Joins the queue as soon as that is possible again.
async fn join_again(newcomer: &mut Buyer, concert: &str) {
    let answer = eventually("new accounts can join", async || {
        newcomer.ask_join(concert).try_send().await.filter(|answer| answer.status < 300)
    });
    newcomer.keep_token(&answer.await);
}

#[tokio::test(flavor = "multi_thread")]
async fn admitted_buyers_go_on_while_redis_is_away_and_no_others_are_admitted() {
    let fleet = Fleet::start(INSTANCES, &SETTINGS).await;
    let gathering = Gathering::of(&fleet, CROWD).await;
    let (concert, performance) = (gathering.concert().to_owned(), gathering.beside.clone());
    // Is admitted, and every instance knows it.
    let buyer = Buyer::admitted(fleet.api(), &concert).await;
    buyer.charge(10 * PRICE).await;
    let buyer_at = fleet.at_each(&buyer);
    for buyer in &buyer_at {
        assert_eq!(buyer.queue_status().await, "active");
    }
    let mut newcomer = Buyer::new(fleet.api()).await;
    let crowd = gathering.run();
    crowd.sold_percent(15).await;
    fleet.redis.pause().await.expect("it is paused");
    fleet.timeline.note("Redis does not answer");
    let began = Instant::now();
    let mut rounds = 0;
    while began.elapsed() < REDIS_AWAY || rounds < INSTANCES {
        no_account_can_join(&fleet, &newcomer, &concert).await;
        // Seats can be held and cancelled at every instance.
        let buyer = &buyer_at[rounds % INSTANCES];
        let held = buyer.hold(&performance, &["A-1-1"]).await;
        buyer.ask_cancel(&held).send().await.is(200);
        rounds += 1;
        sleep(PAUSE).await;
    }
    let held = buyer.hold(&performance, &["A-1-1", "A-1-2"]).await;
    buyer.pay(&held).await;
    no_account_can_join(&fleet, &newcomer, &concert).await;
    fleet.redis.resume().await.expect("it goes on");
    fleet.timeline.note(format!("Redis answers again, after {rounds} holds"));
    // Redis gets what it has missed, and so does every instance.
    for buyer in &buyer_at {
        until("the payment has spent the place", async || {
            buyer.get("/v1/queue").send().await.json["status"] == "expired"
        })
        .await;
    }
    join_again(&mut newcomer, &concert).await;
    newcomer.leave().await;
    let outcome = crowd.ended().await;
    let (_, unavailable) = outcome.repeated();
    assert!(unavailable > 0, "no buyer noticed");
    outcome.verify().await;
    fleet.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_re_forms_in_its_order_after_redis_was_emptied() {
    let database = fresh_database(ServerKind::MariaDb).await.expect("a database");
    let redis = RedisServer::start().await.expect("a private Redis");
    let proxy = TcpProxy::start(redis.address()).expect("a proxy");
    let redis_url = format!("redis://{}", proxy.address());
    let settings = [SETTINGS[0], ("REFORM_SECONDS", REFORM_SECONDS)];
    let databases = vec![database.url().to_owned(); INSTANCES];
    let fleet = Fleet::over_redis(databases, redis, &redis_url, &settings).await;
    let plan = Plan { queue_is_lost: true, ..CROWD };
    let mut crowd = Crowd::start(&fleet, plan).await;
    crowd.sold_percent(20).await;
    crowd.empty_redis(&proxy).await;
    // Comes after all, and stands behind all.
    let mut newcomer = Buyer::new(fleet.api()).await;
    join_again(&mut newcomer, crowd.concert()).await;
    let leaving = newcomer.clone();
    let left = tokio::spawn(async move {
        while leaving.get("/v1/queue").send().await.json["status"] != "active" {
            sleep(PAUSE).await;
        }
        while leaving.delete("/v1/queue").send().await.status != 204 {
            sleep(PAUSE).await;
        }
    });
    let outcome = crowd.ended().await;
    all(vec![left]).await;
    outcome.verify().await;
    let [before, after] = outcome.logs.as_slice() else { panic!("there were two queues") };
    let reform_micros = REFORM_SECONDS.parse::<u64>().expect("a number") * 1_000_000;
    let began = after.ours_since.expect("the queue began when Redis came back");
    let first = after.admitted.first().expect("some were admitted").at_micros;
    assert!(first >= began + reform_micros, "an account was admitted {} µs after Redis came back", first - began);
    // Those that returned before the first admission were admitted in their old order, and the newcomer after them.
    let places: BTreeMap<_, _> = before.entered.iter().cloned().collect();
    let returned: HashSet<_> = after.entered[..after.entered_before_calls].iter().map(|(member, _)| member).collect();
    let order = after.order();
    let old_places: Vec<_> = order.iter().filter(|member| returned.contains(member)).collect();
    let old_places: Vec<_> = old_places.into_iter().filter_map(|member| places.get(member)).collect();
    assert!(old_places.len() > plan.max_active, "{} returned", old_places.len());
    assert!(old_places.is_sorted(), "the queue did not re-form in its order");
    assert_eq!(order.last(), Some(&newcomer.account_bytes()), "the newcomer does not stand behind");
    fleet.timeline.note(format!("{} returned to the queue", old_places.len()));
    fleet.finish().await;
    database.remove().await.expect("it is removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_changed_under_all_instances_and_every_token_stays_valid() {
    let fleet = Fleet::start(2, &[]).await;
    let old = Buyer::new(fleet.api()).await;
    let header = |buyer: &Buyer| buyer.asks.access_token.split('.').next().expect("a header").to_owned();
    let everywhere_valid = async |buyer: &Buyer| {
        for buyer in fleet.at_each(buyer) {
            buyer.get("/v1/me").send().await.is(200);
        }
    };
    let changed = async |times: usize| {
        until("every instance has the new keys", async || {
            let has = |server: &Server| server.log().matches("the signing keys were changed").count() == times;
            fleet.instances.iter().all(has)
        })
        .await;
    };
    for (times, arguments) in [(1, &["keys", "rotate", "--prepare"][..]), (2, &["keys", "rotate"])] {
        let (status, printed, error) = fleet.instances[0].run(arguments, &[]).await;
        assert_eq!(status, 0, "{error}");
        assert_eq!(printed.lines().count(), 4, "{printed}");
        changed(times).await;
        everywhere_valid(&old).await;
        let new = Buyer::new(fleet.api()).await;
        assert_eq!(header(&new) == header(&old), times == 1, "{printed}");
        everywhere_valid(&new).await;
    }
    let (status, _, error) = fleet.instances[1].run(&["keys", "rotate", "--prepare", "--keep", "1"], &[]).await;
    assert_eq!(status, 0, "{error}");
    changed(3).await;
    for buyer in fleet.at_each(&old) {
        buyer.get("/v1/me").send().await.refuses(401, "access_token_expired");
    }
    // A file that is damaged later changes nothing.
    let again = Buyer::new(fleet.api()).await;
    std::fs::write(fleet.instances[0].keys_file(), "{}").expect("it is written");
    until("the damage is logged", async || {
        fleet.instances.iter().all(|server| server.log().contains("worker=\"keys\""))
    })
    .await;
    everywhere_valid(&again).await;
    tokio::time::timeout(Duration::from_mins(1), fleet.finish()).await.expect("it ends");
}
