//! Puts a server under load, and records how it responds.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    net::SocketAddr,
    time::Duration,
};

use anyhow::ensure;
use boxoffice_rush::{Connection, Latencies, Prepared, Response};
use futures::{StreamExt, stream};
use tokio::time::Instant;

use crate::process::{Cost, Watched};

/// The outcome of one load.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    pub(crate) latencies: Latencies,
    pub(crate) elapsed: Duration,
    /// Unwanted responses, by status and code.
    pub(crate) errors: BTreeMap<String, u64>,
    /// What each process spent meanwhile, by its name.
    pub(crate) costs: Vec<(&'static str, Cost)>,
    /// The bytes of the bodies of all wanted responses.
    pub(crate) body_bytes: u64,
}

impl Measured {
    /// Wanted responses a second.
    #[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.count() as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    pub(crate) fn refuse(&mut self, refusal: String) {
        *self.errors.entry(refusal).or_default() += 1;
    }

    /// Records a response, and gives whether it was wanted.
    pub(crate) fn record(&mut self, response: &std::io::Result<Response>, took: Duration, wanted: Wanted) -> bool {
        match response {
            Ok(response) if wanted(response) => {
                self.latencies.record(took);
                self.body_bytes += response.body.len() as u64;
                return true;
            }
            Ok(response) => self.refuse(refusal(response)),
            Err(error) => self.refuse(error.to_string()),
        }
        false
    }
}

/// The processes whose cost is measured, by their names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Processes(pub(crate) Vec<(&'static str, Watched)>);

impl Processes {
    fn costs(&self) -> anyhow::Result<Vec<(&'static str, Cost)>> {
        self.0.iter().map(|(name, watched)| Ok((*name, watched.cost()?))).collect()
    }
}

/// Which response is wanted.
pub(crate) type Wanted = fn(&Response) -> bool;

pub(crate) fn created(response: &Response) -> bool {
    response.status == 201
}

pub(crate) fn ok(response: &Response) -> bool {
    response.status == 200
}

/// The status and the code of an unwanted response.
pub(crate) fn refusal(response: &Response) -> String {
    format!("{} {}", response.status, response.code().unwrap_or_default())
}

/// Whether the body contains a text, which costs the generator less than parsing it.
pub(crate) fn contains(response: &Response, text: &str) -> bool {
    response.body.windows(text.len()).any(|part| part == text.as_bytes())
}

/// A load for which each connection sends the next request when it has the response to the previous one.
pub(crate) struct ClosedLoop<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) connections: usize,
    pub(crate) time_max: Duration,
    pub(crate) wanted: Wanted,
    pub(crate) processes: &'a Processes,
    /// How many requests a second all connections send together at most; `None` for as many as are answered.
    pub(crate) per_second: Option<f64>,
}

impl ClosedLoop<'_> {
    /// Sends each request once, as far as the time allows. Gives the responses with the indexes of their requests, in
    /// that order; an unwanted response is an error.
    pub(crate) async fn once(&self, requests: &[Prepared]) -> anyhow::Result<(Measured, Vec<(usize, Response)>)> {
        let responses = RefCell::new(Vec::with_capacity(requests.len()));
        let keep = |index, response| responses.borrow_mut().push((index, response));
        let measured = self.run(|index| requests.get(index), keep).await?;
        ensure!(measured.errors.is_empty(), "unwanted responses: {:?}", measured.errors);
        let mut responses = responses.into_inner();
        responses.sort_unstable_by_key(|(index, _)| *index);
        Ok((measured, responses))
    }

    /// Sends the same requests again and again.
    pub(crate) async fn repeat(&self, requests: &[Prepared]) -> anyhow::Result<Measured> {
        self.run(|index| requests.get(index % requests.len().max(1)), |_, _| ()).await
    }

    async fn run<'r>(
        &self,
        request: impl Fn(usize) -> Option<&'r Prepared>,
        keep: impl Fn(usize, Response),
    ) -> anyhow::Result<Measured> {
        let next = Cell::new(0);
        let connections = Connection::open_many(self.address, self.connections).await?;
        let measured = RefCell::new(Measured::default());
        let stopwatch = Stopwatch::start(self.processes)?;
        let send = async |mut connection: Connection| {
            while stopwatch.elapsed() < self.time_max {
                let index = next.replace(next.get() + 1);
                let Some(request) = request(index) else { return };
                if let Some(per_second) = self.per_second {
                    tokio::time::sleep_until(stopwatch.due(index, per_second)).await;
                }
                let sent = Instant::now();
                let response = connection.send(request).await;
                if measured.borrow_mut().record(&response, sent.elapsed(), self.wanted)
                    && let Ok(response) = response
                {
                    keep(index, response);
                }
            }
        };
        stream::iter(connections).for_each_concurrent(None, send).await;
        stopwatch.stop(measured.into_inner())
    }
}

/// Measures the time and the cost of a load.
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

    /// When an act begins if they come at this rate, the first one at once.
    fn due(&self, index: usize, per_second: f64) -> Instant {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        self.began + Duration::from_secs_f64(f64::from(index) / per_second)
    }

    /// Adds the time and the cost to the outcome.
    pub(crate) fn stop(&self, mut measured: Measured) -> anyhow::Result<Measured> {
        measured.elapsed = self.elapsed();
        for ((name, before), (_, after)) in self.before.iter().zip(self.processes.costs()?) {
            let cpu_seconds = after.cpu_seconds - before.cpu_seconds;
            measured.costs.push((name, Cost { cpu_seconds, ..after }));
        }
        Ok(measured)
    }
}

/// How many acts a rate makes in a time.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate and a time are above zero")]
pub(crate) fn count_for(per_second: f64, time: Duration) -> usize {
    (per_second * time.as_secs_f64()).ceil() as usize
}

/// A load that begins acts at a steady rate, whether or not those before have ended. Each act is measured from the
/// instant at which it should have begun; an act that fails counts as refused.
pub(crate) async fn open_loop(
    per_second: f64,
    count: usize,
    act: impl AsyncFn(usize) -> anyhow::Result<()>,
    processes: &Processes,
) -> anyhow::Result<Measured> {
    let measured = RefCell::new(Measured::default());
    let stopwatch = Stopwatch::start(processes)?;
    let due = |index: usize| stopwatch.due(index, per_second);
    let arrivals = stream::iter(0..count).then(async |index| {
        tokio::time::sleep_until(due(index)).await;
        index
    });
    let begin = async |index| match act(index).await {
        Ok(()) => measured.borrow_mut().latencies.record(due(index).elapsed()),
        Err(error) => measured.borrow_mut().refuse(error.to_string()),
    };
    arrivals.for_each_concurrent(None, begin).await;
    stopwatch.stop(measured.into_inner())
}
