//! The machine, and the version that is measured on it.

use std::{fs, path::Path, process::Command};

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
    pub(crate) fn begin(bench: &Bench) -> Self {
        let memory_kib: u64 = field(Path::new("/proc/meminfo"), "MemTotal")
            .and_then(|text| text.split_whitespace().next()?.parse().ok())
            .unwrap_or_default();
        Self {
            date: clock::now().format("%Y-%m-%d").to_string(),
            commit: commit(),
            compiler: output("rustc", &["--version"]).unwrap_or_else(unknown),
            processor: field(Path::new("/proc/cpuinfo"), "model name").unwrap_or_else(unknown),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory_gib: memory_kib.div_ceil(1_048_576),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .map_or_else(|_| unknown(), |text| text.trim().to_owned()),
            rounds: bench.rounds,
            seconds: bench.time.as_secs_f64(),
        }
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

/// The first field of this name in a file of `/proc`.
fn field(file: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(field, _)| field.trim() == name).map(|(_, value)| value.trim().to_owned())
}
