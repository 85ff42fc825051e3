//! `boxoffice copy`: a whole database into another one.

use anyhow::{Context, ensure};
use boxoffice_peers::leases::Claim;
use boxoffice_persistence::CopiedTable;
use uuid::Uuid;

use crate::{
    exit::Exit,
    output,
    settings::{DatabaseUrl, Settings},
    wiring::{self, Adapters},
};

/// Jobs that every server does or leaves to another one.
const JOBS: [&str; 3] = ["expiry", "pending_charges", "retention"];

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CopyOptions {
    /// The database to copy, which stays as it is
    #[arg(long, value_name = "URL", value_parser = DatabaseUrl::parse)]
    from: DatabaseUrl,
    /// The database to copy into: an empty one, or one with a part of the rows; the one of the settings unless it is given
    #[arg(long, value_name = "URL", value_parser = DatabaseUrl::parse)]
    to: Option<DatabaseUrl>,
}

/// Copies all rows, and audits both databases. Fails if a server works with one of them. Exits with 1 if an audit finds a
/// breach.
pub(crate) async fn run(settings: &Settings, options: CopyOptions) -> anyhow::Result<Exit> {
    let settings_of = |database: &DatabaseUrl| Settings { database: database.clone(), ..settings.clone() };
    let source = settings_of(&options.from);
    let target = settings_of(options.to.as_ref().unwrap_or(&settings.database));
    let (from, to) = (source.database_url(), target.database_url());
    output::print_error(&format!("database: {from}\ninto: {to}"));
    ensure!(from != to, "both are the same database");
    if let Some(path) = from.sqlite_path() {
        ensure!(path.exists(), "there is no database at {from}");
    }
    let found = boxoffice_persistence::inspect(from.expose()).await;
    let found = found.with_context(|| format!("cannot use the database {from}"))?;
    let what = found.schema.context("there is nothing in the database to copy")?;
    ensure!(
        what == found.needed,
        "the schema of {from} is {what}, not {}: run `boxoffice migrate` there",
        found.needed
    );
    let _source_lock = wiring::lock(&from)?;
    wiring::make_files(&target)?;
    let _target_lock = wiring::lock(&to)?;
    wiring::migrate(&to).await?;
    for settings in [&source, &target] {
        refuse_while_served(settings).await?;
    }
    let mut print = |table: &CopiedTable| {
        let CopiedTable { name, copied, total } = table;
        // If the reader has left, the copy goes on.
        output::print_line(&format!("{name}: {copied} of {total} rows copied")).ok();
    };
    boxoffice_persistence::copy(from.expose(), to.expose(), &mut print).await?;
    let mut exit = Exit::Success;
    for settings in [&source, &target] {
        let url = settings.database_url();
        let adapters = Adapters::connect(settings).await?;
        let breaches = adapters.database.audit.breaches().await;
        adapters.database.shutdown().await;
        let breaches = breaches.with_context(|| format!("the audit of {url} could not run"))?;
        for breach in &breaches {
            output::print_line(&format!("{url}: {}: {}", breach.invariant, breach.detail))?;
        }
        if breaches.is_empty() {
            output::print_line(&format!("{url}: no breach found"))?;
        } else {
            exit = Exit::Refused;
        }
    }
    Ok(exit)
}

/// A server over an embedded database is excluded by its lock; another one holds a lease.
async fn refuse_while_served(settings: &Settings) -> anyhow::Result<()> {
    let url = settings.database_url();
    if url.sqlite_path().is_some() {
        return Ok(());
    }
    let adapters = Adapters::connect(settings).await?;
    let now = adapters.clock.now();
    let mut is_served = false;
    for job in JOBS {
        is_served |= adapters.database.leases.is_held_by_other(Claim { job, holder: Uuid::nil() }, now).await?;
    }
    adapters.database.shutdown().await;
    ensure!(!is_served, "a server works with {url}, or did so within the last 10 s: stop all instances first");
    Ok(())
}
