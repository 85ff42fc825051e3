//! What is counted during the rush.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use boxoffice_rush::{Latencies, Response};
use serde::Serialize;
use tokio::time::Instant;

/// How many troubles are listed; the others are only counted.
const TROUBLES_MAX: usize = 20;
/// An hour of samples. Of a longer rush the picture shows the first hour.
const SAMPLES_MAX: usize = 4 * 3_600;

/// A kind of request, in the order in which a buyer sends them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    SignIn,
    Wallet,
    Charge,
    Concerts,
    Join,
    Poll,
    Dates,
    Seats,
    Hold,
    Pay,
    Cancel,
    Leave,
    Reservations,
    QueueStats,
}

/// How the visit of a buyer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Paid seats.
    Bought,
    /// Held seats, and cancelled.
    WalkedAway,
    /// Was admitted when no seats were left, or was told so by the queue.
    NothingLeft,
    /// Lost its seats to other buyers too often.
    GaveUp,
    /// Owns as many seats of the concert as an account may.
    HasEnough,
    /// The admission or the hold ended first.
    TooLate,
    /// Was waiting or on its way when everything was sold or the time was over.
    WentHome,
    Failed,
}

/// The name of a step or an outcome, in words.
pub(crate) fn words(name: impl Serialize) -> String {
    let name = serde_json::to_value(name).unwrap_or_default();
    name.as_str().unwrap_or_default().replace('_', " ")
}

/// How many buyers and seats are in which state at one instant.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Crowd {
    pub(crate) waiting: u64,
    pub(crate) admitted: u64,
    pub(crate) holding: u64,
    pub(crate) seats_held: u64,
    pub(crate) seats_sold: u64,
}

/// The counts that the summary prints as they are.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Totals {
    /// How many buyers joined the queue before the end.
    pub(crate) arrived: u64,
    pub(crate) admitted: u64,
    pub(crate) outcomes: BTreeMap<Outcome, u64>,
    /// How often a buyer asked for seats that were gone.
    pub(crate) lost_races: u64,
    /// Responses with 4xx and 503 by their code, from signing in to the last check.
    pub(crate) refusals: BTreeMap<String, u64>,
    /// Responses with 5xx other than 503 by their status: there should be none.
    pub(crate) failures: BTreeMap<u16, u64>,
    /// How often a connection broke or a response did not come in time. The request was sent again.
    pub(crate) connections_broken: u64,
    /// From sending a request to its whole response.
    pub(crate) latencies: BTreeMap<Step, Latencies>,
    /// How long requests waited in this program for a connection. The latencies do not contain it.
    pub(crate) connection_waits: Latencies,
    /// How long buyers waited in this program for one of the connections that are for seat maps.
    pub(crate) map_waits: Latencies,
    /// From joining the queue to being admitted, of the buyers who were.
    pub(crate) queue_waits: Latencies,
    /// The first errors of buyers, in words.
    pub(crate) troubles: Vec<String>,
    pub(crate) troubles_count: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) phase: &'static str,
    /// How many buyers have done what the phase is for.
    pub(crate) phase_done: u64,
    /// What the rush waits for, in words, if nothing happens meanwhile.
    pub(crate) waits_for: Option<String>,
    pub(crate) began: Option<Instant>,
    /// Whether the last buyer is done.
    pub(crate) is_over: bool,
    pub(crate) crowd: Crowd,
    pub(crate) totals: Totals,
    /// How many requests had a response.
    pub(crate) requests: u64,
    /// The latencies since the last line of progress.
    pub(crate) recent: Latencies,
    /// The time of each purchase since the rush began.
    pub(crate) purchases: Vec<Duration>,
    /// The crowd at so many seconds since the rush began.
    pub(crate) samples: Vec<(f64, Crowd)>,
}

/// The counts, which all buyers share.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Counts>);

impl Tally {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin_phase(&self, phase: &'static str) {
        let mut counts = self.lock();
        (counts.phase, counts.phase_done, counts.waits_for) = (phase, 0, None);
    }

    pub(crate) fn waits_for(&self, what: Option<String>) {
        self.lock().waits_for = what;
    }
}

impl Counts {
    /// Counts a response that came after waiting for a connection and for the server.
    pub(crate) fn responded(&mut self, step: Step, response: &Response, waited: Duration, took: Duration) {
        self.requests += 1;
        self.totals.latencies.entry(step).or_default().record(took);
        self.recent.record(took);
        self.totals.connection_waits.record(waited);
        match response.status {
            ..400 => {}
            status @ (503 | 400..500) => {
                let code = response.code().unwrap_or_else(|| format!("status_{status}"));
                *self.totals.refusals.entry(code).or_default() += 1;
            }
            status => *self.totals.failures.entry(status).or_default() += 1,
        }
    }

    pub(crate) fn ended(&mut self, outcome: Outcome, buyers: u64) {
        *self.totals.outcomes.entry(outcome).or_default() += buyers;
    }

    pub(crate) fn trouble(&mut self, what: String) {
        self.totals.troubles_count += 1;
        if self.totals.troubles.len() < TROUBLES_MAX {
            self.totals.troubles.push(what);
        }
    }

    /// The time since the rush began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.map_or(Duration::ZERO, |began| began.elapsed())
    }

    /// Takes a sample if the rush has begun.
    pub(crate) fn sample(&mut self) {
        if self.began.is_some() && !self.is_over && self.samples.len() < SAMPLES_MAX {
            self.samples.push((self.elapsed().as_secs_f64(), self.crowd));
        }
    }
}
