//! What is counted during the rush.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use boxoffice_rush::Latencies;
use serde::Serialize;
use tokio::time::Instant;

/// How many troubles are listed; the others are counted.
const TROUBLES_MAX: usize = 20;
/// An hour of samples. Of a longer rush the picture shows the first hour.
const SAMPLES_MAX: usize = 4 * 3_600;

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

impl Step {
    /// In the order in which a buyer comes to them.
    pub(crate) const ALL: [Self; 13] = [
        Self::SignIn,
        Self::Wallet,
        Self::Charge,
        Self::Concerts,
        Self::Join,
        Self::Poll,
        Self::Dates,
        Self::Seats,
        Self::Hold,
        Self::Pay,
        Self::Cancel,
        Self::Leave,
        Self::Reservations,
    ];

    /// Its name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::Wallet => "wallet",
            Self::Charge => "charge",
            Self::Concerts => "concerts",
            Self::Join => "join",
            Self::Poll => "poll",
            Self::Dates => "dates",
            Self::Seats => "seats",
            Self::Hold => "hold",
            Self::Pay => "pay",
            Self::Cancel => "cancel",
            Self::Leave => "leave",
            Self::Reservations => "reservations",
        }
    }
}

/// How a buyer's evening ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Has seats, paid.
    Bought,
    /// Held seats, gave them back and left.
    WalkedAway,
    /// Was admitted when no seats were left.
    NothingLeft,
    /// Lost its seats to others as often as a buyer tries.
    GaveUp,
    /// Has as many seats of the concert as an account may have.
    HasEnough,
    /// The admission or the hold ended before it was done.
    TooLate,
    /// Was still in the queue, or on its way, when everything was sold or the time was over.
    WentHome,
    /// Something went wrong.
    Failed,
}

/// The crowd at one instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    /// Seconds since the rush began.
    pub(crate) seconds: f64,
    pub(crate) in_line: u64,
    pub(crate) admitted: u64,
    pub(crate) holding: u64,
    pub(crate) seats_held: u64,
    pub(crate) seats_sold: u64,
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicU64);

impl Gauge {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn take(&self, count: u64) {
        self.0.fetch_sub(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// How many buyers have ended the present phase.
    pub(crate) phase_done: Gauge,
    /// How many have joined the queue.
    pub(crate) arrived: Gauge,
    pub(crate) in_line: Gauge,
    /// How many are admitted now.
    pub(crate) admitted: Gauge,
    /// How many were ever admitted.
    pub(crate) admitted_total: Gauge,
    pub(crate) holding: Gauge,
    pub(crate) seats_held: Gauge,
    pub(crate) seats_sold: Gauge,
    /// How often a buyer reached for seats that were gone.
    pub(crate) lost_races: Gauge,
    /// How many requests had a response.
    pub(crate) requests: Gauge,
    /// How often a connection broke or a response did not come in time.
    pub(crate) broken: Gauge,
    shared: Mutex<Shared>,
}

/// What takes a lock.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) phase: &'static str,
    pub(crate) began: Option<Instant>,
    pub(crate) latencies: BTreeMap<&'static str, Latencies>,
    /// Those since [`Tally::take_recent`].
    recent: Latencies,
    pub(crate) connection_waits: Latencies,
    pub(crate) map_waits: Latencies,
    pub(crate) line_waits: Latencies,
    pub(crate) refusals: BTreeMap<String, u64>,
    /// Responses with 5xx other than 503, by status.
    pub(crate) failures: BTreeMap<u16, u64>,
    pub(crate) outcomes: BTreeMap<Outcome, u64>,
    /// The time of each purchase since the rush began.
    pub(crate) purchases: Vec<Duration>,
    pub(crate) samples: Vec<Sample>,
    pub(crate) troubles: Vec<String>,
    pub(crate) troubles_count: u64,
}

impl Tally {
    pub(crate) fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin_phase(&self, phase: &'static str) {
        self.phase_done.take(self.phase_done.get());
        self.shared().phase = phase;
    }

    pub(crate) fn answered(&self, step: Step, waited: Duration, took: Duration) {
        self.requests.add(1);
        let mut shared = self.shared();
        shared.latencies.entry(step.name()).or_default().record(took);
        shared.recent.record(took);
        shared.connection_waits.record(waited);
    }

    pub(crate) fn refused(&self, code: Option<String>, status: u16) {
        let code = code.unwrap_or_else(|| format!("status_{status}"));
        *self.shared().refusals.entry(code).or_default() += 1;
    }

    pub(crate) fn failed(&self, status: u16) {
        *self.shared().failures.entry(status).or_default() += 1;
    }

    pub(crate) fn trouble(&self, what: String) {
        let mut shared = self.shared();
        shared.troubles_count += 1;
        if shared.troubles.len() < TROUBLES_MAX {
            shared.troubles.push(what);
        }
    }

    pub(crate) fn purchased(&self) {
        let mut shared = self.shared();
        let since = shared.began.map_or(Duration::ZERO, |began| began.elapsed());
        shared.purchases.push(since);
    }

    /// Takes a sample, if the rush has begun.
    pub(crate) fn sample(&self) {
        let mut shared = self.shared();
        let Some(began) = shared.began.filter(|_| shared.samples.len() < SAMPLES_MAX) else { return };
        shared.samples.push(Sample {
            seconds: began.elapsed().as_secs_f64(),
            in_line: self.in_line.get(),
            admitted: self.admitted.get(),
            holding: self.holding.get(),
            seats_held: self.seats_held.get(),
            seats_sold: self.seats_sold.get(),
        });
    }

    /// The latencies since the last call.
    pub(crate) fn take_recent(&self) -> Latencies {
        std::mem::take(&mut self.shared().recent)
    }
}
