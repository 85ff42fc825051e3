//! The result of a rush, in numbers.

use std::{fmt, time::Duration};

use boxoffice_rush::plot::{self, Lines, grouped_count};
use serde::Serialize;

use super::{
    check::{Audit, Outside},
    rush::Rush,
    tally::{Crowd, Totals, words},
};

/// The window of the highest rate.
const PEAK_WINDOW: Duration = Duration::from_secs(1);

/// The result, as `--json` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    concert: String,
    buyers: u64,
    #[serde(flatten)]
    totals: Totals,
    seats_wanted: u64,
    seats_sold: u64,
    purchases: u64,
    /// From the first payment to the last.
    purchases_per_second_mean: f64,
    /// In the second with the most.
    purchases_per_second_peak: u64,
    /// From the first buyer until the last one is done.
    duration_seconds: f64,
    /// Until the last seat was paid; `null` if seats were left.
    sold_out_seconds: Option<f64>,
    /// Answered in that time.
    requests: u64,
    requests_per_second: f64,
    outside: Outside,
    audit: Audit,
    /// What the buyers waited for when the deadline sent them home; `null` if all were done before.
    pub(crate) cut_short: Option<String>,
    /// The path of the picture.
    pub(crate) svg: Option<String>,
}

impl Summary {
    pub(crate) fn new(rush: &Rush, duration: Duration, requests: u64, outside: Outside, audit: Audit) -> Self {
        let mut counts = rush.tally().lock();
        counts.purchases.sort_unstable();
        let (mean, peak) = rates(&counts.purchases);
        Self {
            concert: rush.stage.title.clone(),
            buyers: u64::from(rush.options.buyers),
            totals: std::mem::take(&mut counts.totals),
            seats_wanted: rush.stage.seats_wanted,
            seats_sold: counts.crowd.seats_sold,
            purchases: counts.purchases.len() as u64,
            purchases_per_second_mean: mean,
            purchases_per_second_peak: peak,
            duration_seconds: duration.as_secs_f64(),
            sold_out_seconds: rush.sold_out.get().map(Duration::as_secs_f64),
            requests,
            requests_per_second: number(requests) / duration.as_secs_f64().max(0.001),
            outside,
            audit,
            cut_short: None,
            svg: None,
        }
    }

    /// Whether everything that the server said is true, and it never failed.
    pub(crate) fn is_well(&self) -> bool {
        let audited = !matches!(self.audit, Audit::Breached { .. });
        let Totals { failures, troubles_count, .. } = &self.totals;
        audited && self.outside.untrue_count == 0 && failures.is_empty() && *troubles_count == 0
    }

    pub(crate) fn picture(&self, rush: &Rush) -> anyhow::Result<String> {
        let counts = rush.tally().lock();
        let line = |label: &str, of: fn(&Crowd) -> u64| {
            let points = counts.samples.iter().map(|(seconds, crowd)| (*seconds, number(of(crowd))));
            (label.to_owned(), points.collect())
        };
        let lines = Lines::from([
            line("waiting", |crowd| crowd.waiting),
            line("admitted", |crowd| crowd.admitted),
            line("seats held", |crowd| crowd.seats_held),
            line("seats sold", |crowd| crowd.seats_sold),
        ]);
        let title = format!("{} buyers, {} seats", grouped_count(self.buyers), grouped_count(self.seats_wanted));
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
    let texts: Vec<_> = counts.into_iter().map(|(name, count)| format!("{name} {}", grouped_count(count))).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals { arrived, admitted, outcomes, lost_races, refusals, .. } = &self.totals;
        let [buyers, arrived, admitted] = [self.buyers, *arrived, *admitted].map(grouped_count);
        let [sold, wanted, purchases] = [self.seats_sold, self.seats_wanted, self.purchases].map(grouped_count);
        writeln!(f, "{}", self.concert)?;
        writeln!(f, "{buyers} buyers, {arrived} came in time, {admitted} were admitted")?;
        writeln!(f, "{sold} of {wanted} seats sold in {purchases} purchases")?;
        match self.sold_out_seconds {
            Some(seconds) => write!(f, "sold out after {seconds:.1} s")?,
            None => write!(f, "not sold out")?,
        }
        writeln!(f, "; the last buyer was done after {:.1} s", self.duration_seconds)?;
        writeln!(
            f,
            "purchases: {:.0}/s on average, {}/s in the best second; {} requests, {:.0}/s",
            self.purchases_per_second_mean,
            self.purchases_per_second_peak,
            grouped_count(self.requests),
            self.requests_per_second
        )?;
        if let Some(waited_for) = &self.cut_short {
            writeln!(f, "the deadline came first: {waited_for}")?;
        }
        let outcomes = outcomes.iter().map(|(outcome, count)| (words(outcome), *count));
        writeln!(f, "outcomes: {}", counts(outcomes))?;
        writeln!(f, "tried seats that were gone: {} times", grouped_count(*lost_races))?;
        writeln!(f, "refusals: {}", counts(refusals.iter().map(|(code, count)| (code, *count))))?;
        self.write_latencies(f)?;
        self.write_verdict(f)
    }
}

impl Summary {
    fn write_latencies(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{:<22}{:>10}{:>10}{:>10}{:>10}{:>10}", "milliseconds", "count", "p50", "p95", "p99", "max")?;
        let Totals { latencies, connection_waits, map_waits, queue_waits, .. } = &self.totals;
        let steps = latencies.iter().map(|(step, latencies)| (words(step), latencies));
        let waits = [
            ("(for a connection)".to_owned(), connection_waits),
            ("(for one for seats)".to_owned(), map_waits),
            ("(in the queue)".to_owned(), queue_waits),
        ];
        for (name, latencies) in steps.chain(waits) {
            let [p50, p95, p99, max] = latencies.milliseconds();
            let count = grouped_count(latencies.count());
            writeln!(f, "{name:<22}{count:>10}{p50:>10.1}{p95:>10.1}{p99:>10.1}{max:>10.1}")?;
        }
        writeln!(f)
    }

    fn write_verdict(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals { failures, troubles, troubles_count, .. } = &self.totals;
        if let Some(path) = &self.svg {
            writeln!(f, "the picture is {path}")?;
        }
        if !failures.is_empty() {
            let failures = counts(failures.iter().map(|(status, count)| (status, *count)));
            writeln!(f, "FAILED: the server answered {failures}")?;
        }
        if *troubles_count > 0 {
            writeln!(f, "FAILED: {troubles_count} times something went wrong:")?;
        }
        for trouble in troubles {
            writeln!(f, "  {trouble}")?;
        }
        for untrue in &self.outside.untrue {
            writeln!(f, "UNTRUE: {untrue}")?;
        }
        let Outside { purchases_checked, wallets_checked, seats_sold_twice, untrue_count, .. } = &self.outside;
        writeln!(
            f,
            "checked again: {purchases_checked} purchases and {wallets_checked} wallets; {seats_sold_twice} seats sold \
             twice, {untrue_count} untrue statements"
        )?;
        match &self.audit {
            Audit::Clean => write!(f, "audit: no breach found"),
            Audit::Breached { breaches } => write!(f, "audit: BREACHED\n  {}", breaches.join("\n  ")),
            Audit::NotRun { reason } => write!(f, "audit: not run: {reason}"),
        }
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
    fn counts_are_written_in_one_line() {
        assert_eq!(counts([("a", 1_000), ("b", 2)]), "a 1,000, b 2");
        assert_eq!(counts::<&str>([]), "none");
    }
}
