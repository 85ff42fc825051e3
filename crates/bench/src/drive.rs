//! Putting a server under load, and noting how it took it.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    net::SocketAddr,
    time::Duration,
};

use boxoffice_rush::{Connection, Latencies, Prepared, Response};
use futures::{StreamExt, stream};
use tokio::time::Instant;

use crate::process::{Cost, Watched};

/// The outcome of one load.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    pub(crate) latencies: Latencies,
    pub(crate) elapsed: Duration,
    /// Responses other than those that were wanted, by status and code.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Seconds of one core that each process spent meanwhile, by its name.
    pub(crate) cpu_seconds: Vec<(&'static str, f64)>,
    /// The most memory that each process has had since its start, by its name.
    pub(crate) memory_bytes_max: Vec<(&'static str, u64)>,
    /// The bytes of the bodies of all wanted answers.
    pub(crate) body_bytes: u64,
}

impl Measured {
    /// How many wanted answers came a second.
    #[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.count() as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    pub(crate) fn errors_count(&self) -> u64 {
        self.errors.values().sum()
    }

    pub(crate) fn refuse(&mut self, what: String) {
        *self.errors.entry(what).or_default() += 1;
    }

    /// Counts an answer; whether it was wanted.
    pub(crate) fn note(&mut self, answer: &std::io::Result<Response>, took: Duration, wanted: Wanted) -> bool {
        match answer {
            Ok(answer) if wanted(answer) => {
                self.latencies.record(took);
                self.body_bytes += answer.body.len() as u64;
                return true;
            }
            Ok(answer) => self.refuse(refusal(answer)),
            Err(error) => self.refuse(error.to_string()),
        }
        false
    }
}

/// The processes that a measurement is charged to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Processes(pub(crate) Vec<(&'static str, Watched)>);

impl Processes {
    pub(crate) fn costs(&self) -> anyhow::Result<Vec<(&'static str, Cost)>> {
        self.0.iter().map(|(name, watched)| Ok((*name, watched.cost()?))).collect()
    }
}

/// Which answer is wanted.
pub(crate) type Wanted = fn(&Response) -> bool;

pub(crate) fn created(answer: &Response) -> bool {
    answer.status == 201
}

pub(crate) fn ok(answer: &Response) -> bool {
    answer.status == 200
}

/// The status and the code of an answer that was not wanted.
pub(crate) fn refusal(answer: &Response) -> String {
    format!("{} {}", answer.status, answer.code().unwrap_or_default())
}

/// Whether the body contains a text, which costs the generator less than to parse it.
pub(crate) fn contains(answer: &Response, text: &str) -> bool {
    answer.body.windows(text.len()).any(|part| part == text.as_bytes())
}

/// Sends each request once, over this many connections, each of which sends the next one when the answer to the one
/// before has come; ends after `time_max` or with the last request. Gives the wanted answers by the index of their
/// requests.
pub(crate) async fn closed_loop(
    address: SocketAddr,
    connections: usize,
    time_max: Duration,
    requests: &[Prepared],
    wanted: Wanted,
    processes: &Processes,
) -> anyhow::Result<(Measured, Vec<(usize, Response)>)> {
    let answers = RefCell::new(Vec::with_capacity(requests.len()));
    let keep = |index: usize, answer: Response| answers.borrow_mut().push((index, answer));
    let over = Over { address, connections, time_max };
    let measured = send_in_turn(over, |index| requests.get(index), wanted, keep, processes).await?;
    Ok((measured, answers.into_inner()))
}

/// The same requests again and again; the answers are not kept.
pub(crate) async fn repeat(
    address: SocketAddr,
    connections: usize,
    time: Duration,
    requests: &[Prepared],
    wanted: Wanted,
    processes: &Processes,
) -> anyhow::Result<Measured> {
    let over = Over { address, connections, time_max: time };
    let request = |index: usize| requests.get(index % requests.len().max(1));
    send_in_turn(over, request, wanted, |_, _| (), processes).await
}

/// Where a load goes, and how broad and long it is.
#[derive(Clone, Copy)]
struct Over {
    address: SocketAddr,
    connections: usize,
    time_max: Duration,
}

async fn send_in_turn<'a>(
    over: Over,
    request: impl Fn(usize) -> Option<&'a Prepared>,
    wanted: Wanted,
    keep: impl Fn(usize, Response),
    processes: &Processes,
) -> anyhow::Result<Measured> {
    let next = Cell::new(0);
    let open = open_all(over.address, over.connections).await?;
    let measured = RefCell::new(Measured::default());
    let watch = Stopwatch::start(processes)?;
    let one = |mut connection: Connection| {
        let (next, measured, request, keep, watch) = (&next, &measured, &request, &keep, &watch);
        async move {
            while watch.elapsed() < over.time_max {
                let index = next.replace(next.get() + 1);
                let Some(request) = request(index) else { return };
                let sent = Instant::now();
                let answer = connection.send(request).await;
                if measured.borrow_mut().note(&answer, sent.elapsed(), wanted)
                    && let Ok(answer) = answer
                {
                    keep(index, answer);
                }
            }
        }
    };
    stream::iter(open).for_each_concurrent(None, one).await;
    watch.stop(measured.into_inner())
}

/// Opens connections, before the time is taken.
pub(crate) async fn open_all(address: SocketAddr, count: usize) -> anyhow::Result<Vec<Connection>> {
    let mut open = Vec::with_capacity(count);
    for _ in 0..count {
        open.push(Connection::open(address).await?);
    }
    Ok(open)
}

/// Takes the time and the cost of a load.
pub(crate) struct Stopwatch<'a> {
    began: Instant,
    before: Vec<(&'static str, Cost)>,
    processes: &'a Processes,
}

impl<'a> Stopwatch<'a> {
    pub(crate) fn start(processes: &'a Processes) -> anyhow::Result<Self> {
        Ok(Self { before: processes.costs()?, began: Instant::now(), processes })
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Adds what it took to what came of it.
    pub(crate) fn stop(&self, mut measured: Measured) -> anyhow::Result<Measured> {
        measured.elapsed = self.elapsed();
        for ((name, before), (_, after)) in self.before.iter().zip(self.processes.costs()?) {
            measured.cpu_seconds.push((name, after.cpu_seconds - before.cpu_seconds));
            measured.memory_bytes_max.push((name, after.resident_bytes_max));
        }
        Ok(measured)
    }
}

/// How many acts a rate makes in a time.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate and a time are above zero")]
pub(crate) fn count_for(per_second: f64, time: Duration) -> usize {
    (per_second * time.as_secs_f64()).ceil() as usize
}

/// Begins one act after the other at a steady rate, whether or not those before have ended, and measures each from
/// the instant at which it should have begun. An act gives what it was refused with.
pub(crate) async fn open_loop<F, A>(
    per_second: f64,
    count: usize,
    act: F,
    processes: &Processes,
) -> anyhow::Result<Measured>
where
    F: Fn(usize) -> A,
    A: Future<Output = Result<(), String>>,
{
    let measured = RefCell::new(Measured::default());
    let watch = Stopwatch::start(processes)?;
    let due = |index: usize| {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        watch.began + Duration::from_secs_f64(f64::from(index) / per_second)
    };
    let arrivals = stream::iter(0..count).then(|index| async move {
        tokio::time::sleep_until(due(index)).await;
        index
    });
    arrivals
        .for_each_concurrent(None, |index| {
            let (acting, measured) = (act(index), &measured);
            async move {
                let done = acting.await;
                let mut measured = measured.borrow_mut();
                match done {
                    Ok(()) => measured.latencies.record(due(index).elapsed()),
                    Err(refusal) => measured.refuse(refusal),
                }
            }
        })
        .await;
    watch.stop(measured.into_inner())
}
