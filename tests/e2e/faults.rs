//! What is left when the server is killed or the database goes away in the middle of a stampede.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use boxoffice_testkit::servers::{DatabaseServer, ServerKind};
use serde_json::{Value, json};

use crate::support::{
    all,
    client::{Answer, Ask, Buyer, fresh},
    eventually,
    server::{Backend, MARIADB, MYSQL, Server},
    show::{PRICE, Show, Terms, labels},
};

const BUYERS: usize = 60;
/// After how many successes the server is killed.
const SUCCESSES_BEFORE_KILL: usize = 250;
/// So many points each charge brings; enough for the seats that a buyer may have.
const CHARGE: i64 = 2 * PRICE;

/// A request that changes something, kept so that it can be sent again word for word.
#[derive(Clone)]
struct Command {
    path: &'static str,
    body: Value,
    key: String,
}

impl Command {
    fn new(path: &'static str, body: Value) -> Self {
        Self { path, body, key: fresh("command") }
    }

    fn ask(&self, buyer: &Buyer) -> Ask {
        buyer.post(self.path, &self.body).key(self.key.as_str())
    }
}

/// What one buyer asked for, with what came back; nothing where the server was gone.
struct Log {
    buyer: Buyer,
    asked: Vec<(Command, Option<Answer>)>,
}

impl Log {
    /// Sends a command; none where the server was gone.
    async fn send(&mut self, command: Command, successes: &AtomicUsize) -> Option<Answer> {
        let answer = command.ask(&self.buyer).try_send().await;
        if answer.as_ref().is_some_and(|answer| answer.status == 201) {
            successes.fetch_add(1, Ordering::Relaxed);
        }
        self.asked.push((command, answer.clone()));
        answer
    }

    /// Buys seat after seat, until the server is gone.
    async fn buy(&mut self, show: &Show, start: usize, successes: &AtomicUsize) -> Option<()> {
        let labels = labels();
        for step in 0.. {
            self.send(Command::new("/v1/wallet/charges", json!({"amount": CHARGE})), successes).await?;
            let label = &labels[(start + 7 * step) % labels.len()];
            let body = json!({"performance_id": show.performance, "seats": [label]});
            let held = self.send(Command::new("/v1/reservations", body), successes).await?;
            if held.status != 201 {
                let code = held.json["code"].as_str().unwrap_or_default();
                assert!(["seat_unavailable", "seat_limit_reached", "queue_token_expired"].contains(&code), "{code}");
            } else if step % 2 == 1 {
                let paid = Command::new("/v1/payments", json!({"reservation_id": held.id()}));
                self.send(paid, successes).await?.is(201);
            }
        }
        None
    }

    /// Everything that was answered is there, and everything that was not answered can be asked for again.
    async fn verify(&mut self) {
        for (command, answer) in &self.asked {
            let Some(answer) = answer.as_ref().filter(|answer| answer.status == 201) else { continue };
            let again = self.buyer.get(format!("{}/{}", command.path, answer.id())).send().await;
            match command.path {
                "/v1/wallet/charges" => assert_eq!(again.is(200), &answer.json),
                "/v1/payments" => {
                    assert_eq!(again.is(200), &answer.json);
                    assert_eq!(again.json["reservation"]["status"], "confirmed");
                }
                _ => {
                    assert_eq!(again.is(200)["seats"], answer.json["seats"]);
                    let status = again.json["status"].as_str().expect("a status");
                    assert!(["held", "confirmed"].contains(&status), "{status}");
                }
            }
        }
        let unanswered: Vec<_> = self.asked.iter().filter(|(_, answer)| answer.is_none()).collect();
        assert!(unanswered.len() <= 1);
        if let Some((command, _)) = unanswered.first() {
            let answer = command.ask(&self.buyer).send().await;
            if answer.status == 201 {
                // And once more: it is the same thing.
                let again = command.ask(&self.buyer).send().await;
                assert_eq!((again.is(201), again.is_replayed()), (&answer.json, true));
            } else {
                let code = answer.json["code"].as_str().unwrap_or_default();
                assert_eq!(command.path, "/v1/reservations", "{}", answer.text);
                assert!(["seat_unavailable", "seat_limit_reached", "queue_token_expired"].contains(&code), "{code}");
            }
        }
    }

    /// The balance is what was charged less what was paid, as the lists show it.
    async fn verify_points(&self) {
        let sum = |items: &[Value], kind: &str| -> i64 {
            let of_kind = items.iter().filter(|item| item["kind"] == kind);
            of_kind.map(|item| item["amount"].as_i64().expect("a number")).sum()
        };
        let entries = self.buyer.list("/v1/wallet/entries").await;
        let charges =
            i64::try_from(self.asked.iter().filter(|(command, _)| command.path == "/v1/wallet/charges").count());
        assert_eq!(sum(&entries, "charge"), charges.expect("few") * CHARGE);
        let payments = self.buyer.list("/v1/payments").await;
        let paid: i64 = payments.iter().map(|payment| payment["amount"].as_i64().expect("a number")).sum();
        assert_eq!(sum(&entries, "payment"), -paid);
        assert_eq!(self.buyer.balance().await, sum(&entries, "charge") - paid);
    }
}

/// A seat shows what the reservations say, over all buyers.
async fn verify_seats(logs: &[Log], show: &Show) {
    let mut expected = BTreeMap::new();
    for log in logs {
        for reservation in log.buyer.list("/v1/reservations").await {
            let status = match reservation["status"].as_str() {
                Some("held") => "held",
                Some("confirmed") => "sold",
                other => panic!("a reservation is {other:?}"),
            };
            for seat in reservation["seats"].as_array().expect("seats") {
                let label = seat["label"].as_str().expect("a label").to_owned();
                assert_eq!(expected.insert(label, status), None, "two have the same seat");
            }
        }
    }
    let mut looking = Buyer::new(&logs[0].buyer.api).await;
    looking.be_admitted(&show.concert).await;
    for seat in looking.seats(&show.performance).await["seats"].as_array().expect("seats") {
        let label = seat["label"].as_str().expect("a label");
        assert_eq!(seat["status"], expected.get(label).copied().unwrap_or("available"), "{label}");
    }
}

async fn kill_and_restart(backend: Backend) {
    let mut server = Server::start_on(backend, &[]).await;
    let show = Show::on(&server, Terms::max_seats(10)).await;
    let buyers = Buyer::many_admitted(server.api(), BUYERS, &show.concert).await;
    let successes = Arc::new(AtomicUsize::new(0));
    let show = Arc::new(show);
    let tasks = buyers.into_iter().enumerate().map(|(start, buyer)| {
        let (successes, show) = (Arc::clone(&successes), Arc::clone(&show));
        tokio::spawn(async move {
            let mut log = Log { buyer, asked: Vec::new() };
            log.buy(&show, start, &successes).await;
            log
        })
    });
    let tasks: Vec<_> = tasks.collect();
    eventually("enough has been answered", || async {
        (successes.load(Ordering::Relaxed) >= SUCCESSES_BEFORE_KILL).then_some(())
    })
    .await;
    server.kill();
    let mut logs = all(tasks).await;
    assert!(logs.iter().any(|log| log.asked.last().is_some_and(|(_, answer)| answer.is_none())));

    server.start_again().await;
    server.audit().await;
    for log in &mut logs {
        log.buyer.api = server.api().clone();
        log.verify().await;
        log.verify_points().await;
    }
    verify_seats(&logs, &show).await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_outlives_a_kill_on_sqlite() {
    kill_and_restart(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_outlives_a_kill_on_mariadb() {
    kill_and_restart(MARIADB).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_outlives_a_kill_on_mysql() {
    kill_and_restart(MYSQL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_that_was_under_way_when_the_server_was_killed_is_brought_to_its_end() {
    let mut server =
        Server::start(&[("GATEWAY_DELAY_MILLISECONDS", "60000"), ("GATEWAY_TIMEOUT_MILLISECONDS", "70000")]).await;
    let mut buyer = Buyer::new(server.api()).await;
    let (api, commits) = (server.api().clone(), "boxoffice_commit_seconds_count");
    let before = api.metric(commits).await;
    let unanswered = tokio::spawn(buyer.ask_charge(500).key("under-way").try_send());
    eventually("the charge is written down", || async { (api.metric(commits).await > before).then_some(()) }).await;
    server.kill();
    assert!(unanswered.await.expect("it ends").is_none());
    server.set("GATEWAY_DELAY_MILLISECONDS", "0");
    server.set("CHARGE_RETRY_SECONDS", "1");
    server.start_again().await;
    buyer.api = server.api().clone();
    eventually("the worker resolves the charge", || async { (buyer.balance().await == 500).then_some(()) }).await;
    let again = buyer.ask_charge(500).key("under-way").send().await;
    assert_eq!((&again.is(201)["balance"], again.is_replayed()), (&json!(500), true));
    assert_eq!(buyer.balance().await, 500);
    server.finish().await;
}

/// Works until told to stop; counts what succeeded and what was refused because the database was gone.
#[derive(Default)]
struct Work {
    stop: AtomicBool,
    succeeded: AtomicUsize,
    unavailable: AtomicUsize,
}

impl Work {
    fn note(&self, answer: &Answer) {
        match answer.status {
            200..300 => _ = self.succeeded.fetch_add(1, Ordering::Relaxed),
            // Every other answer has been checked against the document, and 500 fails the test.
            503 => _ = self.unavailable.fetch_add(1, Ordering::Relaxed),
            400..500 => {}
            other => panic!("{other}: {}", answer.text),
        }
    }

    async fn go_on(&self, buyer: &Buyer, show: &Show, start: usize) {
        let labels = labels();
        for step in 0.. {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let label = labels[(start + step) % labels.len()].as_str();
            self.note(&buyer.ask_charge(PRICE).send().await);
            self.note(&buyer.get("/v1/wallet").send().await);
            let held = buyer.ask_hold(&show.performance, &[label]).send().await;
            self.note(&held);
            if held.status == 201 {
                self.note(&buyer.ask_cancel(&held.id()).send().await);
            }
        }
    }

    async fn succeeds_again(&self) {
        let before = self.succeeded.load(Ordering::Relaxed);
        eventually("requests succeed", || async {
            (self.succeeded.load(Ordering::Relaxed) > before + 100).then_some(())
        })
        .await;
    }
}

async fn database_goes_and_comes(kind: ServerKind) {
    if !kind.can_be_started() {
        eprintln!("{} names a server that is not ours to stop", kind.variable());
        return;
    }
    let database = DatabaseServer::start(kind).await.expect("a server of its own");
    let mut server = Server::start_at(&database, &[("DATABASE_CONNECT_SECONDS", "1")]).await;
    server.breaks_things();
    let show = Arc::new(Show::on(&server, Terms::max_seats(10)).await);
    let buyers = Buyer::many_admitted(server.api(), BUYERS, &show.concert).await;
    let work = Arc::new(Work::default());
    let tasks = buyers.iter().cloned().enumerate().map(|(start, buyer)| {
        let (work, show) = (Arc::clone(&work), Arc::clone(&show));
        tokio::spawn(async move { work.go_on(&buyer, &show, start).await })
    });
    let tasks: Vec<_> = tasks.collect();
    work.succeeds_again().await;
    for round in 0..2 {
        // Once politely, and once without a word.
        let gone = if round == 0 { database.stop().await } else { database.kill().await };
        gone.expect("the database goes away");
        let refused = work.unavailable.load(Ordering::Relaxed);
        eventually("requests are refused", || async {
            (work.unavailable.load(Ordering::Relaxed) > refused).then_some(())
        })
        .await;
        server.api().get("/readyz").send().await.refuses(503, "unavailable");
        server.api().get("/healthz").send().await.is(200);
        database.start_again().await.expect("the database comes back");
        work.succeeds_again().await;
        server.api().get("/readyz").send().await.is(200);
    }
    work.stop.store(true, Ordering::Relaxed);
    all(tasks).await;

    let buyer = &buyers[0];
    for reservation in buyer.list("/v1/reservations?status=held").await {
        buyer.ask_cancel(reservation["id"].as_str().expect("an id")).send().await.is(200);
    }
    buyer.charge(PRICE).await;
    let mut late = Buyer::new(server.api()).await;
    late.charge(PRICE).await;
    late.be_admitted(&show.concert).await;
    let free = late.get(format!("/v1/performances/{}/seats?status=available", show.performance)).send().await;
    let label = free.is(200)["seats"][0]["label"].as_str().expect("a free seat").to_owned();
    let reservation = late.hold(&show.performance, &[&label]).await;
    late.pay(&reservation).await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_and_comes_leaves_nothing_broken_on_mariadb() {
    database_goes_and_comes(ServerKind::MariaDb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_and_comes_leaves_nothing_broken_on_mysql() {
    database_goes_and_comes(ServerKind::MySql).await;
}
