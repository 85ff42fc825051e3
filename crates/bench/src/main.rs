//! Measures boxoffice: starts servers, drives real HTTP, and compares within one run.

mod clock;
mod compare;
mod drive;
mod indexes;
mod machine;
mod process;
mod report;
mod results;
mod rows;
mod server;
mod targets;
mod world;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{bail, ensure};
use clap::Parser;

use crate::{
    machine::Run,
    report::Section,
    results::Results,
    rows::{growth, holds, instances, line, lone, money, purchase, reads, start},
    server::Backend,
    world::Shape,
};

/// How long a measurement of a smoke test takes.
const TIME_SMOKE: Duration = Duration::from_millis(200);
const SHAPE_SMOKE: Shape = Shape { performances: 1, seats: 400, sections_max: 1, live_holds: 0 };

/// Measures boxoffice, and writes what it finds to docs/performance.
#[derive(Debug, Parser)]
struct CommandLine {
    /// The release binary
    #[arg(long, default_value = "target/release/boxoffice")]
    binary: PathBuf,
    /// How many rounds each comparison has
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long one measurement of a round takes, in seconds
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Everything small and short: shows that it works, measures nothing, and writes nothing
    #[arg(long)]
    smoke: bool,
    /// Another release binary: holds, money and purchases of both are measured in turns, and nothing is written
    #[arg(long)]
    against: Option<PathBuf>,
    /// How many live holds each account has before holds, money and purchases are measured; several numbers are
    /// measured in turns, and nothing is written
    #[arg(long, value_delimiter = ',')]
    live_holds: Vec<usize>,
    /// Measures nothing but distinct holds over this many connections, for a profiler to watch; writes nothing
    #[arg(long)]
    steady: Option<usize>,
    /// Another option for the command line of the database server
    #[arg(long)]
    database_option: Vec<String>,
    /// Only these parts, by their keys or by the first word of them
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Lists the parts by their keys
    #[arg(long)]
    list: bool,
}

/// How it is measured.
#[derive(Clone)]
pub(crate) struct Bench {
    pub(crate) binary: PathBuf,
    pub(crate) folder: PathBuf,
    pub(crate) rounds: usize,
    pub(crate) time: Duration,
    pub(crate) smoke: bool,
    /// The binaries that are compared, by their names in the report; the first is `binary`.
    pub(crate) compared: Vec<(&'static str, PathBuf)>,
    pub(crate) live_holds: Vec<usize>,
    pub(crate) steady: Option<usize>,
    pub(crate) database_options: Vec<String>,
}

impl Bench {
    fn of(line: &CommandLine) -> anyhow::Result<Self> {
        ensure!(line.seconds > 0.0 && line.rounds > 0, "there must be something to measure");
        let binary = std::path::absolute(&line.binary)?;
        let mut compared = vec![("this", binary.clone())];
        if let Some(against) = &line.against {
            compared.push(("against", std::path::absolute(against)?));
        }
        Ok(Self {
            binary,
            folder: std::env::temp_dir().join(format!("boxoffice-bench-{}", std::process::id())),
            rounds: if line.smoke { 1 } else { line.rounds },
            time: if line.smoke { TIME_SMOKE } else { Duration::from_secs_f64(line.seconds) },
            smoke: line.smoke,
            compared,
            live_holds: line.live_holds.clone(),
            steady: line.steady,
            database_options: line.database_option.clone(),
        })
    }

    /// Whether several servers are measured in turns, instead of the parts for the report.
    fn compares(&self) -> bool {
        self.compared.len() > 1 || !self.live_holds.is_empty() || self.steady.is_some()
    }

    /// This many performances with buyers for all seats, or in a smoke test one in a small hall with a few buyers.
    pub(crate) fn shape(&self, performances: usize) -> Shape {
        if self.smoke { SHAPE_SMOKE } else { Shape::of_performances(performances) }
    }
}

/// What can be measured alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Holds(Backend),
    Lone(Backend),
    Money(Backend),
    Purchase(Backend),
    Instances(Backend),
    Reads,
    Line,
    Growth,
    Start,
    Indexes,
}

/// The outcome of a part.
enum Outcome {
    Section(Section),
    /// A separate document.
    Page(String),
}

impl Part {
    /// In the order of the report.
    const ALL: [Self; 16] = [
        Self::Holds(Backend::MariaDb),
        Self::Holds(Backend::Sqlite),
        Self::Holds(Backend::MySql),
        Self::Lone(Backend::MariaDb),
        Self::Money(Backend::MariaDb),
        Self::Money(Backend::Sqlite),
        Self::Money(Backend::MySql),
        Self::Purchase(Backend::MariaDb),
        Self::Purchase(Backend::Sqlite),
        Self::Purchase(Backend::MySql),
        Self::Instances(Backend::MariaDb),
        Self::Reads,
        Self::Line,
        Self::Growth,
        Self::Start,
        Self::Indexes,
    ];

    fn key(self) -> String {
        let (word, backend) = match self {
            Self::Holds(backend) => ("holds", Some(backend)),
            Self::Lone(backend) => ("lone", Some(backend)),
            Self::Money(backend) => ("money", Some(backend)),
            Self::Purchase(backend) => ("purchase", Some(backend)),
            Self::Instances(backend) => ("instances", Some(backend)),
            Self::Reads => ("reads", None),
            Self::Line => ("line", None),
            Self::Growth => ("growth", None),
            Self::Start => ("start", None),
            Self::Indexes => ("indexes", None),
        };
        backend.map_or_else(|| word.to_owned(), |backend| format!("{word}-{}", backend.name().to_lowercase()))
    }

    /// Those that are asked for; all, where none is.
    fn asked(only: &[String]) -> anyhow::Result<Vec<Self>> {
        let is = |part: &Self, asked: &String| {
            let key = part.key();
            key == *asked || key.split('-').next() == Some(asked)
        };
        if let Some(unknown) = only.iter().find(|asked| !Self::ALL.iter().any(|part| is(part, asked))) {
            bail!("there is no part `{unknown}`; --list lists them");
        }
        let asked = Self::ALL.into_iter().filter(|part| only.is_empty() || only.iter().any(|asked| is(part, asked)));
        Ok(asked.collect())
    }

    async fn measure(self, bench: &Bench) -> anyhow::Result<Outcome> {
        if bench.compares() {
            return compare::run(bench, self).await.map(Outcome::Section);
        }
        let mut section = match self {
            Self::Holds(backend) => holds::run(bench, backend).await?,
            Self::Lone(backend) => lone::run(bench, backend).await?,
            Self::Money(backend) => money::run(bench, backend).await?,
            Self::Purchase(backend) => purchase::run(bench, backend).await?,
            Self::Instances(backend) => instances::run(bench, backend).await?,
            Self::Reads => reads::run(bench).await?,
            Self::Line => line::run(bench).await?,
            Self::Growth => growth::run(bench, Backend::MariaDb).await?,
            Self::Start => start::run(bench).await?,
            Self::Indexes => return indexes::run(bench).await.map(Outcome::Page),
        };
        section.key = self.key();
        Ok(Outcome::Section(section))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let line = CommandLine::parse();
    let mut parts = Part::asked(&line.only)?;
    if line.list {
        for part in parts {
            println!("{}", part.key());
        }
        return Ok(());
    }
    let bench = Bench::of(&line)?;
    if bench.compares() {
        parts.retain(|part| compare::can_compare(*part));
        ensure!(!parts.is_empty(), "holds, money and purchases can be compared");
    }
    std::fs::create_dir_all(&bench.folder)?;
    let result = run(&bench, &parts).await;
    remove(&bench.folder);
    result
}

/// Measures one part after the other. After one has failed, the others are measured all the same.
async fn run(bench: &Bench, parts: &[Part]) -> anyhow::Result<()> {
    let run = Run::begin(bench);
    println!("{}\n{}\n", run.machine_text(), run.text());
    let writes = !bench.smoke && !bench.compares();
    let mut results = if writes { Some(Results::of(&workspace().join("docs/performance"))?) } else { None };
    let order = Part::ALL.map(Part::key);
    let mut failed = Vec::new();
    for part in parts {
        match part.measure(bench).await {
            Ok(Outcome::Section(section)) => {
                println!("{}", section.markdown());
                if let Some(results) = &mut results {
                    results.add(&run, section, &order)?;
                }
            }
            Ok(Outcome::Page(page)) => {
                println!("{page}");
                if let Some(results) = &results {
                    results.write_page(&part.key(), &page)?;
                }
            }
            Err(error) => {
                eprintln!("{} failed: {error:?}", part.key());
                failed.push(part.key());
            }
        }
    }
    ensure!(failed.is_empty(), "these parts failed: {}", failed.join(", "));
    Ok(())
}

/// The folder of the workspace, which is where it was built.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn remove(folder: &Path) {
    if let Err(error) = std::fs::remove_dir_all(folder) {
        eprintln!("{} is left behind: {error}", folder.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_asked_for_by_their_keys_or_first_words() {
        let asked = |only: &[&str]| Part::asked(&only.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>());
        assert_eq!(asked(&[]).unwrap().len(), Part::ALL.len());
        assert_eq!(asked(&["holds"]).unwrap().len(), 3);
        assert_eq!(asked(&["start", "holds-sqlite"]).unwrap(), [Part::Holds(Backend::Sqlite), Part::Start]);
        assert!(asked(&["hold"]).is_err());
    }
}
