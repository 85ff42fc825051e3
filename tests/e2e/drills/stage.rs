//! A deployment with buyers, and what they see.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs::File,
    io::Write as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use boxoffice_testkit::{
    prometheus::Prometheus,
    servers::{DatabaseServer, ServerKind},
    tcp_proxy::TcpProxy,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::support::{
    all,
    client::{Answer, Ask, Buyer, fresh},
    fleet::Fleet,
    show::{SEATS_PER_ROW, Show, Terms, venue_of},
};

pub(crate) const INSTANCES: usize = 3;
const BUYERS: usize = 24;
pub(crate) const DATABASE: &str = "boxoffice";
/// How long a client waits for an answer.
const CLIENT_PATIENCE: Duration = Duration::from_secs(40);
/// How long a buyer rests between two requests.
const REST: Duration = Duration::from_millis(20);
/// The file to which the long form writes its tables.
const REPORT: &str = "BOXOFFICE_DRILLS_REPORT";

/// How long a phase lasts: `short` as a test, `long` where the figures are for the documents.
pub(crate) fn lasts(short: u64, long: u64) -> Duration {
    Duration::from_secs(if is_long() { long } else { short })
}

pub(crate) fn is_long() -> bool {
    std::env::var_os(REPORT).is_some()
}

/// What a client saw of one request.
struct Seen {
    phase: usize,
    act: &'static str,
    at: Duration,
    took: Duration,
    /// `None` if it was not answered.
    status: Option<u16>,
}

/// A request that is not answered with success.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Failures {
    pub(crate) answered: usize,
    pub(crate) unavailable: usize,
    pub(crate) unanswered: usize,
    pub(crate) longest: Duration,
}

/// What is written down of all requests.
struct Log {
    began: Instant,
    phases: Mutex<Vec<(String, Duration)>>,
    seen: Mutex<Vec<Seen>>,
}

/// Three instances over a database server and a Redis of their own, behind a load balancer, with buyers who never stop.
pub(crate) struct Stage {
    name: &'static str,
    pub(crate) fleet: Fleet,
    pub(crate) database: DatabaseServer,
    pub(crate) show: Arc<Show>,
    pub(crate) buyers: Vec<Buyer>,
    log: Arc<Log>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
    prometheus: Prometheus,
    notes: Vec<String>,
}

impl Stage {
    pub(crate) async fn open(name: &'static str, settings: &[(&str, &str)]) -> Self {
        let database = DatabaseServer::start(ServerKind::MariaDb).await.expect("a private server");
        database.create_database(DATABASE).await.expect("a database");
        let fleet = Fleet::over(vec![database.url(DATABASE); INSTANCES], settings).await;
        Self::with(name, fleet, database).await
    }

    /// A deployment that runs already.
    pub(crate) async fn with(name: &'static str, fleet: Fleet, database: DatabaseServer) -> Self {
        let show =
            Show::publish_in(&fleet.promoter().await, &venue_of(BUYERS.div_ceil(SEATS_PER_ROW)), Terms::default())
                .await;
        let buyers = Buyer::many_admitted(fleet.api(), BUYERS, &show.concert).await;
        let addresses: Vec<_> = fleet.instances.iter().map(crate::support::server::Server::address).collect();
        let prometheus =
            Prometheus::start(&addresses, Some(fleet.balancer.metrics())).await.expect("Prometheus starts");
        let log = Arc::new(Log { began: Instant::now(), phases: Mutex::default(), seen: Mutex::default() });
        let mut stage = Self {
            name,
            fleet,
            database,
            show: Arc::new(show),
            buyers,
            log,
            stop: Arc::default(),
            tasks: Vec::new(),
            prometheus,
            notes: Vec::new(),
        };
        stage.phase("before");
        stage.start_buyers();
        sleep(lasts(2, 10)).await;
        stage
    }

    /// Each buyer charges, polls, looks, holds a seat and gives it up, all the time. Whose admission has ended, as it does in a
    /// minute without holds in which nobody can be reached, joins again.
    fn start_buyers(&mut self) {
        for (number, mut buyer) in self.buyers.iter().cloned().enumerate() {
            let (log, stop, show) = (Arc::clone(&self.log), Arc::clone(&self.stop), Arc::clone(&self.show));
            self.tasks.push(tokio::spawn(async move {
                let seat = format!("A-{}-{}", 1 + number / SEATS_PER_ROW, 1 + number % SEATS_PER_ROW);
                while !stop.load(Ordering::Relaxed) {
                    log.ask("charge", buyer.ask_charge(1).key(fresh("drill"))).await;
                    let poll = buyer.get("/v1/queue").queue_token(&buyer.asks.queue_token);
                    let polled = log.ask("poll", poll).await;
                    if polled.is_some_and(|answer| answer.json["status"] == "expired")
                        && let Some(joined) = log.ask("join again", buyer.ask_join(&show.concert)).await
                    {
                        buyer.keep_token(&joined);
                    }
                    log.ask("read", buyer.get("/v1/wallet")).await;
                    let held = log.ask("hold", buyer.ask_hold(&show.performance, &[&seat])).await;
                    if let Some(id) = held.and_then(|answer| answer.json["id"].as_str().map(str::to_owned)) {
                        log.ask("cancel", buyer.ask_cancel(&id)).await;
                    }
                    sleep(REST).await;
                }
            }));
        }
    }

    /// From now on what is seen belongs to this phase.
    pub(crate) fn phase(&mut self, name: &str) {
        self.fleet.timeline.note(name);
        self.log.phases().push((name.to_owned(), self.log.began.elapsed()));
    }

    /// Notes something for the report.
    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// What was seen in a phase of all acts.
    pub(crate) fn failures(&self, phase: &str) -> Failures {
        let number = self.log.phases().iter().position(|(name, _)| name == phase).expect("a phase of this name");
        let mut failures = Failures::default();
        for seen in self.log.seen().iter().filter(|seen| seen.phase == number) {
            failures.longest = failures.longest.max(seen.took);
            match seen.status {
                Some(503) => failures.unavailable += 1,
                Some(_) => failures.answered += 1,
                None => failures.unanswered += 1,
            }
        }
        failures
    }

    /// Waits until requests of each kind succeed again, and notes how long that took.
    pub(crate) async fn recovers(&mut self) {
        let (began, acts) = (Instant::now(), ["charge", "poll", "read", "hold"]);
        let from = self.log.began.elapsed();
        crate::support::until("buyers are served again", async || {
            let seen = self.log.seen();
            let good = |act| {
                seen.iter()
                    .any(|seen| seen.act == act && seen.at > from && seen.status.is_some_and(|status| status < 300))
            };
            acts.iter().all(|act| good(*act))
        })
        .await;
        self.note(format!("all kinds of requests succeeded {:.1} s after that", began.elapsed().as_secs_f64()));
    }

    /// The alerts that have fired since the beginning.
    pub(crate) async fn alerts(&self) -> Vec<String> {
        let seconds = self.log.began.elapsed().as_secs() + 1;
        self.prometheus.fired_within(seconds).await.expect("Prometheus answers")
    }

    /// Ends the drill: the buyers stop, the audit must be clean, and the table is printed.
    pub(crate) async fn end(mut self) {
        sleep(lasts(2, 10)).await;
        self.stop.store(true, Ordering::Relaxed);
        all(std::mem::take(&mut self.tasks)).await;
        let alerts = self.alerts().await;
        let mut report = format!("## {}\n\n{}", self.name, self.log.table());
        for note in &self.notes {
            _ = writeln!(report, "- {note}");
        }
        let alerts = if alerts.is_empty() { "none".to_owned() } else { alerts.join(", ") };
        _ = writeln!(report, "- alerts: {alerts}");
        self.fleet.finish().await;
        _ = writeln!(report, "- audit: no breach found\n");
        print_report(&report);
    }
}

/// Prints what a drill found, and appends it to the report of the long form.
pub(crate) fn print_report(report: &str) {
    println!("{report}");
    if let Some(path) = std::env::var_os(REPORT) {
        let opened = File::options().create(true).append(true).open(path);
        opened.and_then(|mut file| file.write_all(report.as_bytes())).expect("the report can be written");
    }
}

/// What a few clients saw: how often each request got which answer in each phase.
#[derive(Default)]
pub(crate) struct Tally(Vec<(&'static str, &'static str, u16, usize)>);

impl Tally {
    pub(crate) fn note(&mut self, phase: &'static str, act: &'static str, status: u16) {
        let known = self.0.iter_mut().find(|(p, a, s, _)| (*p, *a, *s) == (phase, act, status));
        match known {
            Some((_, _, _, count)) => *count += 1,
            None => self.0.push((phase, act, status, 1)),
        }
    }

    /// How often a request got this answer in a phase.
    pub(crate) fn count(&self, phase: &str, act: &str, status: u16) -> usize {
        self.0.iter().find(|(p, a, s, _)| (*p, *a, *s) == (phase, act, status)).map_or(0, |(.., count)| *count)
    }

    /// Prints it as the report of a drill, after whose end the audit was clean.
    pub(crate) fn report(&self, name: &str, alerts: &[String]) {
        let mut report =
            format!("## {name}\n\n| phase | request | answer | how often |\n| --- | --- | ---: | ---: |\n");
        for (phase, act, status, count) in &self.0 {
            _ = writeln!(report, "| {phase} | {act} | {status} | {count} |");
        }
        let alerts = if alerts.is_empty() { "none".to_owned() } else { alerts.join(", ") };
        _ = writeln!(report, "\n- alerts: {alerts}\n- audit: no breach found\n");
        print_report(&report);
    }
}

/// A proxy before the database of a stage, and its URL.
pub(crate) async fn proxied(database: &DatabaseServer) -> (TcpProxy, String) {
    TcpProxy::before_database(&database.url(DATABASE)).await.expect("a proxy")
}

impl Log {
    fn phases(&self) -> std::sync::MutexGuard<'_, Vec<(String, Duration)>> {
        self.phases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request, writes down what came of it, and gives the answer if it is one of success.
    async fn ask(&self, act: &'static str, ask: Ask) -> Option<Answer> {
        let phase = self.phases().len() - 1;
        let began = Instant::now();
        let answer = timeout(CLIENT_PATIENCE, ask.try_send()).await.ok().flatten();
        let seen = Seen {
            phase,
            act,
            at: self.began.elapsed(),
            took: began.elapsed(),
            status: answer.as_ref().map(|answer| answer.status),
        };
        self.seen().push(seen);
        answer.filter(|answer| answer.status < 300)
    }

    /// What was seen, in the order of the phases.
    fn table(&self) -> String {
        let mut rows: BTreeMap<(usize, &str), (Failures, usize)> = BTreeMap::new();
        for seen in self.seen().iter() {
            let (failures, refused) = rows.entry((seen.phase, seen.act)).or_default();
            failures.longest = failures.longest.max(seen.took);
            match seen.status {
                Some(503) => failures.unavailable += 1,
                Some(status) if status >= 300 => *refused += 1,
                Some(_) => failures.answered += 1,
                None => failures.unanswered += 1,
            }
        }
        let mut table = "| phase | request | succeeded | 503 | other refusals | unanswered | longest |\n".to_owned();
        table += "| --- | --- | ---: | ---: | ---: | ---: | ---: |\n";
        let phases = self.phases();
        for ((phase, act), (failures, refused)) in rows {
            let Failures { answered, unavailable, unanswered, longest } = failures;
            let (name, seconds) = (&phases[phase].0, longest.as_secs_f64());
            _ = writeln!(
                table,
                "| {name} | {act} | {answered} | {unavailable} | {refused} | {unanswered} | {seconds:.2} s |"
            );
        }
        table + "\n"
    }
}
