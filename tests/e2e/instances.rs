//! Several instances behind a load balancer, and what is left when a part of it all fails.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use boxoffice_testkit::{
    servers::{DatabaseServer, ServerKind, fresh_database},
    tcp_proxy::{CutAt, MYSQL_COMMIT, TcpProxy},
};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::support::{
    all,
    chronicle::Chronicle,
    client::{Api, Buyer},
    crowd::{Crowd, Gathering, Plan},
    eventually,
    fleet::{Fleet, Shared},
    server::{PASSWORD, Server},
    show::{PRICE, Show, Terms},
};

/// How many instances there are.
const INSTANCES: usize = 3;
/// A stampede while something fails.
const STAMPEDE: Plan = Plan { buyers: 120, rows: 10, max_active: 24, queue_is_lost: false };
/// The whole one.
const STAMPEDE_WHOLE: Plan = Plan { buyers: 2_000, rows: 50, max_active: 100, queue_is_lost: false };
/// How long Redis is away.
const REDIS_AWAY: Duration = Duration::from_secs(10);
/// How long nobody is admitted after Redis came back empty. Everybody in line polls more often.
const REFORM_SECONDS: &str = "8";
/// How many commits are cut in each way.
const CUTS_EACH: usize = 6;

/// Instances notice soon that a database is away, and do not wait long for one.
const SETTINGS: [(&str, &str); 1] = [("DATABASE_CONNECT_SECONDS", "1")];

#[tokio::test(flavor = "multi_thread")]
async fn nobody_notices_that_every_instance_is_restarted_one_after_the_other() {
    let (chronicle, _printed) = Chronicle::new();
    let database = fresh_database(ServerKind::MariaDb).await.expect("a database");
    let shared = Shared::over(database.url(), INSTANCES).await;
    let mut fleet = Fleet::start(shared, &[], &chronicle).await;
    let promoter = fleet.instances[0].promoter("promoter").await;
    let show = Arc::new(Show::publish(&promoter, Terms::default()).await);
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut tasks = Vec::new();
    for number in 0..16 {
        let mut buyer = Buyer::new(fleet.api()).await;
        buyer.join(&show.concert).await;
        let (stop, done, show) = (Arc::clone(&stop), Arc::clone(&done), Arc::clone(&show));
        tasks.push(tokio::spawn(async move {
            let label = format!("A-{}-{}", 1 + number / 10, 1 + number % 10);
            while !stop.load(Ordering::Relaxed) {
                // Each is answered, and with success: not one of them is lost or refused.
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
        eventually("buyers go on", || async { (done.load(Ordering::Relaxed) > before + 20).then_some(()) }).await;
        fleet.restart(index).await;
    }
    stop.store(true, Ordering::Relaxed);
    all(tasks).await;
    fleet.finish(0).await;
    database.remove().await.expect("it is removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_was_told_to_stop_says_so_and_serves_until_its_time_is_over() {
    let (chronicle, _printed) = Chronicle::new();
    let database = fresh_database(ServerKind::MariaDb).await.expect("a database");
    let mut fleet = Fleet::start(Shared::over(database.url(), 2).await, &[], &chronicle).await;
    let api = fleet.instances[1].api().clone();
    let promoter = fleet.instances[0].promoter("promoter").await;
    let show = Show::publish(&promoter, Terms::max_active(1)).await;
    let (mut first, mut second) = (Buyer::new(&api).await, Buyer::new(&api).await);
    first.join(&show.concert).await;
    assert_eq!(second.join(&show.concert).await["status"], "waiting");
    let mut events = second.events().await;
    assert_eq!(events.next().await.expect("an event")["status"], "waiting");
    fleet.instances[1].terminate();
    eventually("it says that it is leaving", || async {
        (api.get("/readyz").send().await.status == 503).then_some(())
    })
    .await;
    // It still takes requests on new connections, and its streams go on.
    assert_eq!(Api::new(&fleet.instances[1].url()).get("/healthz").send().await.status, 200);
    first.leave().await;
    assert_eq!(events.next().await.expect("an event")["status"], "active");
    fleet.balancer.wait_for(1, false).await.expect("the load balancer sees it");
    fleet.api().get("/v1/concerts").send().await.is(200);
    while events.next().await.is_some() {}
    assert_eq!(fleet.instances[1].ended().await.code(), Some(0));
    fleet.finish(0).await;
    database.remove().await.expect("it is removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_load_balancer_tells_who_asks_and_nobody_can_pretend_to_be_another() {
    let (chronicle, _printed) = Chronicle::new();
    let database = fresh_database(ServerKind::MariaDb).await.expect("a database");
    let limit = [("ACCOUNT_REQUESTS_PER_MINUTE", "5")];
    let fleet = Fleet::start(Shared::over(database.url(), 1).await, &limit, &chronicle).await;
    let sign_in = json!({"login_id": "nobody", "password": PASSWORD});
    for number in 0..8 {
        let ask = fleet.api().post("/v1/sessions", &sign_in).header("x-forwarded-for", format!("10.1.1.{number}"));
        let answer = ask.send().await;
        if number < 5 {
            answer.refuses(401, "invalid_credentials");
        } else {
            answer.refuses(429, "rate_limited");
        }
    }
    // What is for operators is not for everybody.
    fleet.api().get("/metrics").send().await.refuses(404, "not_found");
    fleet.finish(0).await;
    database.remove().await.expect("it is removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_buy_five_hundred_seats_over_three_instances() {
    let (chronicle, _printed) = Chronicle::new();
    let database = fresh_database(ServerKind::MariaDb).await.expect("a database");
    let fleet = Fleet::start(Shared::over(database.url(), INSTANCES).await, &[], &chronicle).await;
    let outcome = Crowd::start(&fleet, STAMPEDE_WHOLE, &chronicle).await.ended().await;
    outcome.verify().await;
    fleet.finish(0).await;
    database.remove().await.expect("it is removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_true_after_one_instance_was_killed_and_another_restarted() {
    let (chronicle, _printed) = Chronicle::new();
    let database = fresh_database(ServerKind::MariaDb).await.expect("a database");
    let shared = Shared::over(database.url(), INSTANCES).await;
    let mut fleet = Fleet::start(shared, &SETTINGS, &chronicle).await;
    let crowd = Crowd::start(&fleet, STAMPEDE, &chronicle).await;
    crowd.sold_percent(15).await;
    fleet.kill(1);
    crowd.sold_percent(30).await;
    fleet.restart(2).await;
    fleet.start_again(1).await;
    let outcome = crowd.ended().await;
    outcome.verify().await;
    fleet.finish(0).await;
    database.remove().await.expect("it is removed");
}

async fn the_database_is_restarted(kind: ServerKind) {
    if !kind.can_be_started() {
        eprintln!("left out on {kind}: {} names a server that is not ours to stop", kind.variable());
        return;
    }
    let (chronicle, _printed) = Chronicle::new();
    let database = DatabaseServer::start(kind).await.expect("a server of its own");
    database.create_database("boxoffice").await.expect("a database");
    let shared = Shared::over(&database.url("boxoffice"), INSTANCES).await;
    let fleet = Fleet::start(shared, &SETTINGS, &chronicle).await;
    let charging = Buyer { api: fleet.instances[1].api().clone(), ..Buyer::new(fleet.api()).await };
    let charge = || charging.post("/v1/wallet/charges", &json!({"amount": PRICE})).key("while-the-database-is-away");
    let crowd = Crowd::start(&fleet, STAMPEDE, &chronicle).await;
    crowd.sold_percent(15).await;
    database.kill().await.expect("it is killed");
    chronicle.note("the database is killed");
    // Long enough for the load balancer to see that no instance is ready, and for a write to be given up.
    fleet.balancer.wait_for(0, false).await.expect("the instance is taken out");
    let refused = charge().send().await;
    refused.refuses(503, "unavailable");
    assert!(refused.header("retry-after").is_some());
    database.start_again().await.expect("it starts");
    chronicle.note("the database is back");
    eventually("the charge is done", || async { (charge().send().await.status == 201).then_some(()) }).await;
    crowd.sold_percent(50).await;
    database.stop().await.expect("it stops");
    chronicle.note("the database is stopped");
    database.start_again().await.expect("it starts");
    chronicle.note("the database is back");
    let outcome = crowd.ended().await;
    outcome.verify().await;
    charge().send().await.is(201);
    assert_eq!(charging.balance().await, PRICE, "the charge was done once, however often it was asked for");
    fleet.finish(0).await;
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
    let (chronicle, _printed) = Chronicle::new();
    let database = fresh_database(ServerKind::MySql).await.expect("a database");
    let (proxy, url) = TcpProxy::before_database(database.url()).await.expect("a proxy");
    let fleet = Fleet::start(Shared::over(&url, INSTANCES).await, &SETTINGS, &chronicle).await;
    let crowd = Crowd::start(&fleet, STAMPEDE, &chronicle).await;
    for (at, percent) in [(CutAt::Request, 10), (CutAt::Work, 30), (CutAt::Answer, 50)] {
        crowd.sold_percent(percent).await;
        let enough = proxy.cuts() + CUTS_EACH;
        proxy.cut_when(MYSQL_COMMIT, at, 3);
        eventually("enough commits are cut", || async { (proxy.cuts() >= enough).then_some(()) }).await;
        proxy.cut_nothing();
        chronicle.note(format!("{} commits have been cut, the last at {at:?}", proxy.cuts()));
    }
    let outcome = crowd.ended().await;
    outcome.verify().await;
    fleet.finish(0).await;
    database.remove().await.expect("it is removed");
}

/// The same buyer over each instance itself.
fn over_each(fleet: &Fleet, buyer: &Buyer) -> Vec<Buyer> {
    let over = |instance: &Server| Buyer { api: instance.api().clone(), ..buyer.clone() };
    fleet.instances.iter().map(over).collect()
}

/// Asks every instance for a place, which each refuses for now.
async fn nobody_gets_in_line(fleet: &Fleet, newcomer: &Buyer, concert: &str) {
    for newcomer in over_each(fleet, newcomer) {
        let refused = newcomer.ask_join(concert).send().await;
        refused.refuses(503, "unavailable");
        assert!(refused.header("retry-after").is_some());
    }
}

/// Gets in line as soon as that is possible again.
async fn join_again(newcomer: &mut Buyer, concert: &str) {
    let token = eventually("new ones get in line", || async {
        let answer = newcomer.ask_join(concert).try_send().await.filter(|answer| answer.status < 300)?;
        answer.json["token"].as_str().map(str::to_owned)
    });
    newcomer.asks.queue_token = token.await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_are_admitted_go_on_while_redis_is_away_and_nobody_else_is() {
    let (chronicle, _printed) = Chronicle::new();
    let database = fresh_database(ServerKind::MariaDb).await.expect("a database");
    let fleet = Fleet::start(Shared::over(database.url(), INSTANCES).await, &SETTINGS, &chronicle).await;
    let gathering = Gathering::of(&fleet, STAMPEDE, &chronicle).await;
    let (concert, performance) = (gathering.concert.clone(), gathering.beside.clone());
    // Is admitted, and every instance knows it.
    let mut buyer = Buyer::new(fleet.api()).await;
    buyer.charge(10 * PRICE).await;
    assert_eq!(buyer.join(&concert).await["status"], "active");
    for buyer in over_each(&fleet, &buyer) {
        assert_eq!(buyer.queue_status().await, "active");
    }
    let mut newcomer = Buyer::new(fleet.api()).await;
    let crowd = gathering.run();
    crowd.sold_percent(15).await;
    let redis = &fleet.shared.redis;
    redis.pause().await.expect("it is paused");
    chronicle.note("Redis does not answer");
    let began = Instant::now();
    let mut turns = 0;
    while began.elapsed() < REDIS_AWAY || turns < INSTANCES {
        nobody_gets_in_line(&fleet, &newcomer, &concert).await;
        // Seats can be held and given back over every instance.
        let buyer = &over_each(&fleet, &buyer)[turns % INSTANCES];
        let held = buyer.hold(&performance, &["A-1-1"]).await;
        buyer.ask_cancel(&held).send().await.is(200);
        turns += 1;
        sleep(Duration::from_millis(200)).await;
    }
    let held = buyer.hold(&performance, &["A-1-1", "A-1-2"]).await;
    buyer.pay(&held).await;
    nobody_gets_in_line(&fleet, &newcomer, &concert).await;
    redis.resume().await.expect("it goes on");
    chronicle.note(format!("Redis answers again, after {turns} holds"));
    // Redis is told what it has missed, and so is every instance.
    for buyer in over_each(&fleet, &buyer) {
        eventually("the payment has spent the place", || async {
            (buyer.get("/v1/queue").send().await.json["status"] == "expired").then_some(())
        })
        .await;
    }
    join_again(&mut newcomer, &concert).await;
    newcomer.leave().await;
    let outcome = crowd.ended().await;
    let (_, unavailable) = outcome.repeated();
    assert!(unavailable > 0, "nobody noticed");
    outcome.verify().await;
    fleet.finish(0).await;
    database.remove().await.expect("it is removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_line_re_forms_in_its_order_after_redis_was_emptied() {
    let (chronicle, _printed) = Chronicle::new();
    let database = fresh_database(ServerKind::MariaDb).await.expect("a database");
    let mut shared = Shared::over(database.url(), INSTANCES).await;
    let proxy = TcpProxy::start(shared.redis.address()).expect("a proxy");
    shared.reach_redis_through(&proxy);
    let mut settings = SETTINGS.to_vec();
    settings.push(("REFORM_SECONDS", REFORM_SECONDS));
    let fleet = Fleet::start(shared, &settings, &chronicle).await;
    let plan = Plan { queue_is_lost: true, ..STAMPEDE };
    let mut crowd = Crowd::start(&fleet, plan, &chronicle).await;
    crowd.sold_percent(20).await;
    crowd.empty_redis(&proxy).await;
    // Comes after all, and stands behind all.
    let mut newcomer = Buyer::new(fleet.api()).await;
    join_again(&mut newcomer, &crowd.concert).await;
    let leaving = newcomer.clone();
    let left = tokio::spawn(async move {
        while leaving.get("/v1/queue").send().await.json["status"] != "active" {
            sleep(Duration::from_millis(200)).await;
        }
        while leaving.delete("/v1/queue").send().await.status != 204 {
            sleep(Duration::from_millis(200)).await;
        }
    });
    let outcome = crowd.ended().await;
    all(vec![left]).await;
    outcome.verify().await;
    let [before, after] = outcome.lines.as_slice() else { panic!("there were two lines") };
    let reform_micros = REFORM_SECONDS.parse::<u64>().expect("a number") * 1_000_000;
    let began = after.ours_since.expect("it was noted since when Redis is ours");
    let first = after.admitted.first().expect("some were admitted").at_micros;
    assert!(first >= began + reform_micros, "somebody was admitted {} µs after Redis came back", first - began);
    // Those who came back before anybody was admitted were admitted as they had stood, and the new one after them.
    let places: BTreeMap<_, _> = before.entered.iter().cloned().collect();
    let returned: HashSet<_> = after.entered[..after.entered_before_calls].iter().map(|(member, _)| member).collect();
    let order: Vec<_> = after.admitted.iter().map(|admission| &admission.member).collect();
    let of_before: Vec<_> = order.iter().filter(|member| returned.contains(**member)).collect();
    let of_before: Vec<_> = of_before.into_iter().filter_map(|member| places.get(*member)).collect();
    assert!(of_before.len() > plan.max_active, "{} came back", of_before.len());
    assert!(of_before.is_sorted(), "the line did not re-form in its order");
    assert_eq!(order.last(), Some(&&newcomer.account_bytes()), "the new one does not stand behind");
    chronicle.note(format!("{} stood in line again", of_before.len()));
    fleet.finish(0).await;
    database.remove().await.expect("it is removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_changed_under_all_instances_and_every_token_goes_on() {
    let (chronicle, _printed) = Chronicle::new();
    let database = fresh_database(ServerKind::MariaDb).await.expect("a database");
    let fleet = Fleet::start(Shared::over(database.url(), 2).await, &[], &chronicle).await;
    let old = Buyer::new(fleet.api()).await;
    let keys_of = |token: &str| token.split('.').next().expect("a header").to_owned();
    let everybody_knows = async |buyer: &Buyer| {
        for instance in &fleet.instances {
            instance.api().get("/v1/me").bearer(&buyer.asks.access_token).send().await.is(200);
        }
    };
    let changed = |times: usize| {
        let fleet = &fleet;
        async move {
            eventually("every instance has the new keys", || async {
                let has = |server: &Server| server.log().matches("the signing keys were changed").count() == times;
                fleet.instances.iter().all(has).then_some(())
            })
            .await;
        }
    };
    for (times, arguments) in [(1, &["keys", "rotate", "--prepare"][..]), (2, &["keys", "rotate"])] {
        let (status, printed, error) = fleet.instances[0].run(arguments, &[]).await;
        assert_eq!(status, 0, "{error}");
        assert_eq!(printed.lines().count(), 4, "{printed}");
        changed(times).await;
        everybody_knows(&old).await;
        let new = Buyer::new(fleet.api()).await;
        assert_eq!(keys_of(&new.asks.access_token) == keys_of(&old.asks.access_token), times == 1, "{printed}");
        everybody_knows(&new).await;
    }
    let (status, _, error) = fleet.instances[1].run(&["keys", "rotate", "--prepare", "--keep", "1"], &[]).await;
    assert_eq!(status, 0, "{error}");
    changed(3).await;
    for instance in &fleet.instances {
        instance.api().get("/v1/me").bearer(&old.asks.access_token).send().await.refuses(401, "unauthenticated");
    }
    // A file that is damaged later changes nothing.
    let again = Buyer::new(fleet.api()).await;
    std::fs::write(fleet.instances[0].folder().join("shared-keys.json"), "{}").expect("it is written");
    eventually("the damage is told", || async {
        fleet.instances.iter().all(|server| server.log().contains("worker=\"keys\"")).then_some(())
    })
    .await;
    everybody_knows(&again).await;
    tokio::time::timeout(Duration::from_mins(1), fleet.finish(0)).await.expect("it ends");
    database.remove().await.expect("it is removed");
}
