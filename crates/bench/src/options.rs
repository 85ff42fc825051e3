//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, value_parser};

/// How long a measurement of a smoke test takes.
const TIME_SMOKE: Duration = Duration::from_millis(200);

/// Measures boxoffice, and writes the results to docs/performance.
#[derive(Clone, Debug, Parser)]
pub(crate) struct Bench {
    /// The release binary
    #[arg(long, default_value = "target/release/boxoffice")]
    pub(crate) binary: PathBuf,
    /// Number of rounds of each measurement
    #[arg(long, default_value_t = 3, value_parser = value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Time that one measurement of a round takes, in seconds
    #[arg(long = "seconds", default_value = "3", value_parser = seconds)]
    pub(crate) time: Duration,
    /// Checks that the benchmark works, with small and short measurements; writes nothing
    #[arg(long)]
    pub(crate) smoke: bool,
    /// Another release binary: measures holds, money and purchases of both in turns; writes nothing
    #[arg(long)]
    pub(crate) against: Option<PathBuf>,
    /// Numbers of live holds that each account has before holds, money and purchases are measured, in turns; writes
    /// nothing
    #[arg(long, value_delimiter = ',')]
    pub(crate) live_holds: Vec<usize>,
    /// Measures only holds, over this many connections, so that a profiler can watch; writes nothing
    #[arg(long)]
    pub(crate) steady: Option<usize>,
    /// Another option for the command line of the database server
    #[arg(long)]
    pub(crate) database_option: Vec<String>,
    /// Only these parts, by their keys or by the first word of them
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Lists the parts by their keys
    #[arg(long)]
    pub(crate) list: bool,
    /// Measures nothing: writes the pages again from results.json
    #[arg(long)]
    pub(crate) render: bool,
}

impl Bench {
    /// Shortens the measurements of a smoke test.
    pub(crate) fn shortened(self) -> Self {
        if self.smoke { Self { rounds: 1, time: TIME_SMOKE, ..self } } else { self }
    }

    /// Whether servers are compared in turns, instead of measured for the report.
    pub(crate) fn compares(&self) -> bool {
        self.against.is_some() || !self.live_holds.is_empty() || self.steady.is_some()
    }
}

/// The folder for what is only needed during this run.
pub(crate) fn folder() -> PathBuf {
    std::env::temp_dir().join(format!("boxoffice-bench-{}", std::process::id()))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let duration = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.filter(|duration| !duration.is_zero()).ok_or_else(|| "a number of seconds above zero".to_owned())
}
