//! The machine, and the version that is measured on it.

use std::{fs, process::Command};

use procfs::{CpuInfo, Current, Meminfo};
use serde::{Deserialize, Serialize};

use crate::{clock, options::Bench, workspace};

/// One run of the benchmark.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) date: String,
    /// The commit of the workspace, and whether files have changed since.
    pub(crate) commit: String,
    pub(crate) compiler: String,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
    pub(crate) rounds: u32,
    /// How long one measurement of a round takes.
    pub(crate) seconds: f64,
}

impl Run {
    /// The run that begins now.
    pub(crate) fn begin(bench: &Bench) -> anyhow::Result<Self> {
        Ok(Self {
            date: clock::now().format("%Y-%m-%d").to_string(),
            commit: commit(),
            compiler: output("rustc", &["--version"]).unwrap_or_else(unknown),
            processor: CpuInfo::current()?.model_name(0).map_or_else(unknown, str::to_owned),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory_gib: Meminfo::current()?.mem_total.div_ceil(1 << 30),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            rounds: bench.rounds,
            seconds: bench.time.as_secs_f64(),
        })
    }

    /// Date, version and length of the measurements.
    pub(crate) fn text(&self) -> String {
        let Self { date, commit, rounds, seconds, .. } = self;
        let rounds = if *rounds == 1 { "1 round".to_owned() } else { format!("{rounds} rounds") };
        format!("{date}, commit {commit}; {rounds} of {seconds} s for each measurement")
    }

    pub(crate) fn machine_text(&self) -> String {
        let Self { compiler, processor, cores, memory_gib, kernel, .. } = self;
        format!("{processor}, {cores} cores, {memory_gib} GiB of memory, Linux {kernel}; {compiler}")
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn commit() -> String {
    let Some(commit) = output("git", &["rev-parse", "--short=12", "HEAD"]) else { return unknown() };
    // What the benchmark writes does not change the program that it measures.
    let changes = output("git", &["status", "--porcelain", "--", ".", ":!docs/performance"]);
    if changes.is_some_and(|changes| !changes.is_empty()) { format!("{commit} with changes") } else { commit }
}

/// The output of a program; `None` if it is missing or fails.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).current_dir(workspace()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
