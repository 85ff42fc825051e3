//! `boxoffice reconcile`: whether the books of the payment gateway say the same as ours.

use anyhow::{Context, ensure};
use boxoffice_domain::Timestamp;
use chrono::TimeDelta;
use clap::Args;

use crate::{
    exit::Exit,
    output,
    settings::{Gateway, Settings},
    wiring::Adapters,
};

/// How far apart the gateway and we may write down the beginning of one charge: it is written here first, and may be begun at
/// the gateway as long as it is pending.
const MARGIN: TimeDelta = TimeDelta::hours(25);
/// The most payments of the gateway that are compared at once.
const RECORDS_MAX: usize = 1_000_000;

/// Which charges are compared.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ReconcileOptions {
    /// From when on, as in 2026-11-28T00:00:00Z
    #[arg(long, value_name = "TIME")]
    from: Timestamp,
    /// Until when; until now, if it is left out
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
}

pub(crate) async fn run(adapters: &Adapters, settings: &Settings, options: &ReconcileOptions) -> anyhow::Result<Exit> {
    ensure!(settings.gateway != Gateway::Simulator, "the simulator keeps no books");
    let until = options.to.unwrap_or_else(|| adapters.clock.now());
    ensure!(options.from < until, "--from has to be before --to");
    let wallet = adapters.wallet(settings)?;
    let found = wallet.reconcile(options.from, until, MARGIN, RECORDS_MAX).await;
    let found = found.context("the books cannot be compared")?;
    for difference in &found.differences {
        output::print_line(&difference.to_string())?;
    }
    tracing::info!(
        charges = found.charges,
        payments = found.records,
        foreign = found.foreign,
        differences = found.differences.len(),
        "the books were compared"
    );
    Ok(if found.differences.is_empty() { Exit::Success } else { Exit::Refused })
}
