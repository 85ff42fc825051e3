//! Showing what the crowd is doing.

use std::{fmt::Write, sync::Arc, time::Duration};

use boxoffice_rush::{Latencies, plot::grouped};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::tally::Tally;

const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// After so many looks the rates are measured again.
const LOOKS_OF_A_SECOND: u32 = 4;
/// After so many looks a line is written if there is no terminal.
const LOOKS_OF_A_LINE: u32 = 20;
const REFUSALS_SHOWN_MAX: usize = 3;

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    OnTerminal,
    InLines,
    Not,
}

/// Takes samples, and shows them.
pub(crate) struct Progress {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Progress {
    pub(crate) fn start(tally: Arc<Tally>, watched: Watched, buyers: u64) -> Self {
        let stop = CancellationToken::new();
        let bar = if watched == Watched::OnTerminal { ProgressBar::no_length() } else { ProgressBar::hidden() };
        bar.set_style(ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()));
        let watching = watch(tally, watched, buyers, bar.clone());
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            stopped.run_until_cancelled(watching).await;
            bar.finish_and_clear();
        });
        Self { stop, task }
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.task.await.ok();
    }
}

/// The rates of the last second.
struct Rates {
    since: Instant,
    requests_before: u64,
    requests_per_second: f64,
    latencies: Latencies,
}

impl Rates {
    fn measure(&mut self, tally: &Tally) {
        let requests = tally.requests.get();
        #[expect(clippy::cast_precision_loss, reason = "fewer requests than 2^53 are sent in a second")]
        let answered = (requests - self.requests_before) as f64;
        self.requests_per_second = answered / self.since.elapsed().as_secs_f64().max(0.001);
        self.latencies = tally.take_recent();
        (self.since, self.requests_before) = (Instant::now(), requests);
    }
}

async fn watch(tally: Arc<Tally>, watched: Watched, buyers: u64, bar: ProgressBar) {
    let mut rates =
        Rates { since: Instant::now(), requests_before: 0, requests_per_second: 0.0, latencies: Latencies::default() };
    let mut ticks = interval(LOOK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for look in 1_u32.. {
        ticks.tick().await;
        tally.sample();
        if look % LOOKS_OF_A_SECOND == 0 {
            rates.measure(&tally);
        }
        match watched {
            Watched::OnTerminal => bar.set_message(line(&tally, buyers, &rates, "\n  ")),
            Watched::InLines if look % LOOKS_OF_A_LINE == 0 => eprintln!("{}", line(&tally, buyers, &rates, "; ")),
            Watched::InLines | Watched::Not => {}
        }
    }
}

fn line(tally: &Tally, buyers: u64, rates: &Rates, between: &str) -> String {
    let shared = tally.shared();
    let Some(began) = shared.began else {
        return format!("{}: {} of {}", shared.phase, count(tally.phase_done.get()), count(buyers));
    };
    let seconds = began.elapsed().as_secs();
    let mut line = format!("{}:{:02}", seconds / 60, seconds % 60);
    for (name, gauge) in [
        ("in line", &tally.in_line),
        ("admitted", &tally.admitted),
        ("holding", &tally.holding),
        ("seats sold", &tally.seats_sold),
    ] {
        let _ = write!(line, "  {name} {}", count(gauge.get()));
    }
    let _ = write!(
        line,
        "{between}{} requests/s, p99 {} ms",
        grouped(rates.requests_per_second.round()),
        rates.latencies.quantile(0.99).as_millis()
    );
    let mut refusals: Vec<_> = shared.refusals.iter().collect();
    refusals.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    for (index, (code, refused)) in refusals.into_iter().take(REFUSALS_SHOWN_MAX).enumerate() {
        let separator = if index == 0 { between } else { ", " };
        let told = if index == 0 { "refused: " } else { "" };
        let _ = write!(line, "{separator}{told}{code} {}", count(*refused));
    }
    line
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests are far from 2^53")]
fn count(count: u64) -> String {
    grouped(count as f64)
}
