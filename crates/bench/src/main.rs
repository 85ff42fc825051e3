//! Measures boxoffice: starts servers, sends requests over HTTP, and compares within one run.

mod clock;
mod drive;
mod machine;
mod options;
mod parts;
mod process;
mod receiver;
mod report;
mod results;
mod server;
mod targets;
mod world;

use std::path::{Path, PathBuf};

use anyhow::ensure;
use clap::Parser;

use self::{machine::Run, options::Bench, parts::Part, results::Results};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let bench = Bench::parse().shortened();
    let parts = Part::chosen(&bench)?;
    if bench.list {
        for part in parts {
            println!("{}", part.key());
        }
        return Ok(());
    }
    if bench.render {
        return results()?.write();
    }
    let folder = options::folder();
    std::fs::create_dir_all(&folder)?;
    let result = run(&bench, &parts).await;
    if let Err(error) = std::fs::remove_dir_all(&folder) {
        eprintln!("{} cannot be removed: {error}", folder.display());
    }
    result
}

/// Measures one part after the other. If a part fails, the others are measured all the same.
async fn run(bench: &Bench, parts: &[Part]) -> anyhow::Result<()> {
    let run = Run::begin(bench)?;
    println!("{}\n{}\n", run.machine_text(), run.text());
    let mut results = if bench.smoke || bench.compares() { None } else { Some(results()?) };
    let mut failed = Vec::new();
    for part in parts {
        match part.measure(bench).await {
            Ok(section) => {
                println!("{}", section.markdown());
                if let Some(results) = &mut results {
                    results.add(&run, section, &Part::ALL.map(Part::key))?;
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

fn results() -> anyhow::Result<Results> {
    Results::load(&workspace().join("docs/performance"))
}

/// The folder of the workspace in which this program was built.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
