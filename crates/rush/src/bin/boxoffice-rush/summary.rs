//! The result of a rush, in numbers.

use std::{collections::BTreeMap, fmt, time::Duration};

use boxoffice_rush::{
    Latencies,
    plot::{self, Line, PlotError, grouped},
};
use serde::Serialize;

use super::{
    Rush,
    check::{Audit, Outside},
    tally::{Outcome, Sample, Step},
};

/// The window of the highest rate.
const PEAK_WINDOW: Duration = Duration::from_secs(1);

/// The result, as `--json` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    /// The title.
    pub(crate) concert: String,
    pub(crate) buyers: u64,
    /// How many of them joined the queue before the end.
    pub(crate) arrived: u64,
    pub(crate) admitted: u64,
    /// How many evenings ended in each way.
    pub(crate) outcomes: BTreeMap<Outcome, u64>,
    pub(crate) seats_wanted: u64,
    /// How many were paid.
    pub(crate) seats_sold: u64,
    /// How many payments the sold seats took.
    pub(crate) purchases: u64,
    /// From the first payment to the last.
    pub(crate) purchases_per_second_mean: f64,
    /// In the second with the most.
    pub(crate) purchases_per_second_peak: u64,
    /// How often a buyer reached for seats that were gone.
    pub(crate) lost_races: u64,
    /// Responses with 4xx and 503 by their code, from signing in to the last check.
    pub(crate) refusals: BTreeMap<String, u64>,
    /// Responses with 5xx other than 503 by their status: there should be none.
    pub(crate) failures: BTreeMap<u16, u64>,
    /// How often a connection broke or a response did not come in time. The request was sent again.
    pub(crate) connections_broken: u64,
    /// From letting the crowd loose until the last buyer was home.
    pub(crate) duration_seconds: f64,
    /// Until the last seat was paid; `null` if seats were left.
    pub(crate) sold_out_seconds: Option<f64>,
    /// How many requests were answered in that time.
    pub(crate) requests: u64,
    pub(crate) requests_per_second: f64,
    /// From sending a request to its whole response, by the kind of request.
    pub(crate) latencies: BTreeMap<&'static str, Quantiles>,
    /// How long requests waited in this program for a connection. The latencies do not contain it.
    pub(crate) connection_waits: Quantiles,
    /// How long buyers waited in this program for one of the connections that are for seat maps.
    pub(crate) map_waits: Quantiles,
    /// From joining to being admitted, of the buyers who were.
    pub(crate) line_waits: Quantiles,
    /// What went wrong for buyers, in words, and how often something did.
    pub(crate) troubles: Vec<String>,
    pub(crate) troubles_count: u64,
    pub(crate) outside: Outside,
    pub(crate) audit: Audit,
    /// The path of the picture.
    pub(crate) svg: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Quantiles {
    pub(crate) count: u64,
    pub(crate) p50_milliseconds: f64,
    pub(crate) p95_milliseconds: f64,
    pub(crate) p99_milliseconds: f64,
    pub(crate) max_milliseconds: f64,
}

impl From<&Latencies> for Quantiles {
    fn from(latencies: &Latencies) -> Self {
        let milliseconds = |duration: Duration| duration.as_secs_f64() * 1_000.0;
        Self {
            count: latencies.count(),
            p50_milliseconds: milliseconds(latencies.quantile(0.5)),
            p95_milliseconds: milliseconds(latencies.quantile(0.95)),
            p99_milliseconds: milliseconds(latencies.quantile(0.99)),
            max_milliseconds: milliseconds(latencies.max()),
        }
    }
}

impl Summary {
    pub(crate) fn new(rush: &Rush, duration: Duration, requests: u64, outside: Outside, audit: Audit) -> Self {
        let tally = rush.tally();
        let mut shared = tally.shared();
        shared.purchases.sort_unstable();
        let (mean, peak) = rates(&shared.purchases);
        Self {
            concert: rush.stage.title.clone(),
            buyers: u64::from(rush.options.buyers),
            arrived: tally.arrived.get(),
            admitted: tally.admitted_total.get(),
            outcomes: shared.outcomes.clone(),
            seats_wanted: rush.stage.seats_wanted,
            seats_sold: tally.seats_sold.get(),
            purchases: shared.purchases.len() as u64,
            purchases_per_second_mean: mean,
            purchases_per_second_peak: peak,
            lost_races: tally.lost_races.get(),
            refusals: shared.refusals.clone(),
            failures: shared.failures.clone(),
            connections_broken: tally.broken.get(),
            duration_seconds: duration.as_secs_f64(),
            sold_out_seconds: rush.sold_out.get().map(Duration::as_secs_f64),
            requests,
            requests_per_second: number(requests) / duration.as_secs_f64().max(0.001),
            latencies: shared.latencies.iter().map(|(step, latencies)| (*step, latencies.into())).collect(),
            connection_waits: (&shared.connection_waits).into(),
            map_waits: (&shared.map_waits).into(),
            line_waits: (&shared.line_waits).into(),
            troubles: shared.troubles.clone(),
            troubles_count: shared.troubles_count,
            outside,
            audit,
            svg: None,
        }
    }

    /// Whether everything that the server told is true, and it never failed.
    pub(crate) fn is_well(&self) -> bool {
        let audited = !matches!(self.audit, Audit::Breached { .. });
        audited && self.outside.untrue_count == 0 && self.failures.is_empty() && self.troubles_count == 0
    }

    /// Lines over time.
    pub(crate) fn picture(&self, rush: &Rush) -> Result<String, PlotError> {
        let shared = rush.tally().shared();
        let line = |label: &str, of: fn(&Sample) -> u64| Line {
            label: label.to_owned(),
            points: shared.samples.iter().map(|sample| (sample.seconds, number(of(sample)))).collect(),
        };
        let lines = [
            line("in line", |sample| sample.in_line),
            line("admitted", |sample| sample.admitted),
            line("seats held", |sample| sample.seats_held),
            line("seats sold", |sample| sample.seats_sold),
        ];
        let title = format!("{} buyers, {} seats", grouped(number(self.buyers)), grouped(number(self.seats_wanted)));
        plot::lines(&title, ("seconds", "people, seats"), &lines)
    }
}

/// Purchases per second: the mean from the first to the last, and the most in any window of a second.
fn rates(purchases: &[Duration]) -> (f64, u64) {
    let (Some(first), Some(last)) = (purchases.first(), purchases.last()) else { return (0.0, 0) };
    let span = last.saturating_sub(*first).max(PEAK_WINDOW).as_secs_f64();
    let (mut start, mut peak) = (0, 0);
    for (end, instant) in purchases.iter().enumerate() {
        while instant.saturating_sub(purchases[start]) >= PEAK_WINDOW {
            start += 1;
        }
        peak = peak.max(end + 1 - start);
    }
    (number(purchases.len() as u64) / span, peak as u64)
}

#[expect(clippy::cast_precision_loss, reason = "what is counted here is far from 2^53")]
fn number(count: u64) -> f64 {
    count as f64
}

fn counts<K: fmt::Display>(counts: impl IntoIterator<Item = (K, u64)>) -> String {
    let texts: Vec<_> = counts.into_iter().map(|(name, count)| format!("{name} {}", grouped(number(count)))).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |count: u64| grouped(number(count));
        writeln!(f, "{}", self.concert)?;
        writeln!(
            f,
            "{} buyers, {} came in time, {} were admitted",
            told(self.buyers),
            told(self.arrived),
            told(self.admitted)
        )?;
        writeln!(
            f,
            "{} of {} seats sold in {} purchases",
            told(self.seats_sold),
            told(self.seats_wanted),
            told(self.purchases)
        )?;
        match self.sold_out_seconds {
            Some(seconds) => {
                writeln!(f, "sold out after {seconds:.1} s, everybody home after {:.1} s", self.duration_seconds)?;
            }
            None => writeln!(f, "not sold out; everybody home after {:.1} s", self.duration_seconds)?,
        }
        writeln!(
            f,
            "purchases: {:.0}/s on average, {}/s in the best second; {} requests, {:.0}/s",
            self.purchases_per_second_mean,
            self.purchases_per_second_peak,
            told(self.requests),
            self.requests_per_second
        )?;
        writeln!(
            f,
            "how it ended: {}",
            counts(self.outcomes.iter().map(|(outcome, count)| (words(*outcome), *count)))
        )?;
        writeln!(f, "reached for seats that were gone: {} times", told(self.lost_races))?;
        writeln!(f, "refusals: {}", counts(self.refusals.iter().map(|(code, count)| (code, *count))))?;
        self.write_latencies(f)?;
        self.write_verdict(f)
    }
}

impl Summary {
    fn write_latencies(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{:<22}{:>10}{:>10}{:>10}{:>10}{:>10}", "milliseconds", "count", "p50", "p95", "p99", "max")?;
        let steps = Step::ALL.iter().filter_map(|step| Some((step.name(), self.latencies.get(step.name())?)));
        let waits = [
            ("(for a connection)", &self.connection_waits),
            ("(for one for seats)", &self.map_waits),
            ("(in line)", &self.line_waits),
        ];
        for (name, quantiles) in steps.chain(waits) {
            let times = [
                quantiles.p50_milliseconds,
                quantiles.p95_milliseconds,
                quantiles.p99_milliseconds,
                quantiles.max_milliseconds,
            ];
            write!(f, "{name:<22}{:>10}", grouped(number(quantiles.count)))?;
            for time in times {
                write!(f, "{time:>10.1}")?;
            }
            writeln!(f)?;
        }
        writeln!(f)
    }

    fn write_verdict(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.svg {
            writeln!(f, "the picture is {path}")?;
        }
        if !self.failures.is_empty() {
            writeln!(
                f,
                "FAILED: the server answered {}",
                counts(self.failures.iter().map(|(code, count)| (code, *count)))
            )?;
        }
        if self.troubles_count > 0 {
            writeln!(f, "FAILED: {} times something went wrong:", self.troubles_count)?;
        }
        for trouble in &self.troubles {
            writeln!(f, "  {trouble}")?;
        }
        for untrue in &self.outside.untrue {
            writeln!(f, "UNTRUE: {untrue}")?;
        }
        writeln!(
            f,
            "looked at again: {} purchases and {} wallets; {} seats sold twice, {} things untrue",
            self.outside.purchases_checked,
            self.outside.wallets_checked,
            self.outside.seats_sold_twice,
            self.outside.untrue_count
        )?;
        match &self.audit {
            Audit::Clean => write!(f, "audit: no breach found"),
            Audit::Breached { breaches } => write!(f, "audit: BREACHED\n  {}", breaches.join("\n  ")),
            Audit::NotRun { reason } => write!(f, "audit: not run: {reason}"),
        }
    }
}

fn words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Bought => "bought",
        Outcome::WalkedAway => "walked away",
        Outcome::NothingLeft => "found nothing left",
        Outcome::GaveUp => "gave up",
        Outcome::HasEnough => "had enough",
        Outcome::TooLate => "too late",
        Outcome::WentHome => "went home",
        Outcome::Failed => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: &[u64]) -> Vec<Duration> {
        milliseconds.iter().copied().map(Duration::from_millis).collect()
    }

    #[test]
    fn the_peak_is_the_most_in_any_second_and_the_mean_is_of_the_whole_time() {
        let (mean, peak) = rates(&at(&[0, 900, 950, 999, 1_000, 1_899, 4_000]));
        assert!((mean - 7.0 / 4.0).abs() < 1e-9, "{mean}");
        assert_eq!(peak, 5, "from 900 to 1,899");
        assert_eq!(rates(&[]), (0.0, 0));
        let (mean, peak) = rates(&at(&[5, 6, 7]));
        assert!((mean - 3.0).abs() < 1e-9, "a rate is of one second at least: {mean}");
        assert_eq!(peak, 3);
    }

    #[test]
    fn quantiles_are_in_milliseconds() {
        let mut latencies = Latencies::default();
        latencies.record(Duration::from_millis(5));
        let quantiles = Quantiles::from(&latencies);
        assert_eq!(quantiles.count, 1);
        for time in [quantiles.p50_milliseconds, quantiles.p99_milliseconds, quantiles.max_milliseconds] {
            assert!((time - 5.0).abs() < 0.01, "{time}");
        }
    }

    #[test]
    fn counts_are_told_in_one_line() {
        assert_eq!(counts([("a", 1_000), ("b", 2)]), "a 1,000, b 2");
        assert_eq!(counts::<&str>([]), "none");
    }
}
