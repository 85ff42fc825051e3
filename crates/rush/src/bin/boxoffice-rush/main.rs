//! `boxoffice-rush`: sends a crowd of buyers to a running server, shows what happens, sums it up and checks it.

mod account;
mod check;
mod client;
mod crowd;
mod hall;
mod options;
mod progress;
mod rush;
mod shopper;
mod stage;
mod summary;
mod tally;
mod target;
mod waiting;

use std::{
    process::ExitCode,
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::{Context, anyhow};
use clap::Parser;
use tokio::signal::ctrl_c;
use tokio_util::sync::CancellationToken;

use self::{
    client::Client,
    crowd::Visit,
    options::RushOptions,
    rush::Rush,
    stage::Search,
    summary::Summary,
    tally::Tally,
    waiting::{Deadline, DeadlinePassed, Watch},
};

/// How long after the deadline a rush may take for its end: buyers leave, and what was sold is checked.
const GRACE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let options = RushOptions::parse();
    let ended = tokio::runtime::Runtime::new().map_err(Into::into).and_then(|runtime| {
        let ended = runtime.block_on(run(options));
        // The system may still be looking up the name of the server, which cannot be stopped.
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("boxoffice-rush: {error:#}");
            ExitCode::from(if error.is::<DeadlinePassed>() { 3 } else { 2 })
        }
    }
}

/// Runs the rush, prints its summary, and gives whether all is well.
async fn run(options: RushOptions) -> anyhow::Result<bool> {
    let (url, json, deadline) = (options.url.clone(), options.json, Deadline::from_now(options.deadline));
    let (tally, stop) = (Arc::new(Tally::default()), CancellationToken::new());
    let client = deadline.bound(&tally, connect(&options, &tally)).await;
    let client = Arc::new(client.with_context(|| format!("{url} cannot be reached"))?);
    let progress = progress::start(Arc::clone(&tally), !json, options.buyers);
    let ended = tokio::select! {
        ended = deadline.bound_after(GRACE, &tally, go(options, client, stop.clone(), deadline)) => ended,
        () = interrupted(&tally, &stop) => Err(anyhow!("it was interrupted")),
    };
    progress.abort();
    let mut summary = ended.with_context(|| format!("the rush at {url}"))?;
    println!("{}", if json { serde_json::to_string(&summary)? } else { summary.to_string() });
    match summary.cut_short.take() {
        Some(waited_for) if summary.is_well() => Err(deadline.passed(Some(waited_for)).into()),
        _ => Ok(summary.is_well()),
    }
}

async fn connect(options: &RushOptions, tally: &Arc<Tally>) -> anyhow::Result<Client> {
    tally.begin_phase("looking up its address");
    let address = target::resolve(&options.url, options.allow_remote).await?;
    tally.begin_phase("connecting");
    Client::open(address, options.connections as usize, Arc::clone(tally)).await
}

/// Ctrl-C sends the crowd home. Before the first buyer has come, and the second time, it ends the rush at once.
async fn interrupted(tally: &Tally, stop: &CancellationToken) {
    let pressed = ctrl_c().await.is_ok();
    if pressed && tally.lock().began.is_some() {
        stop.cancel();
        ctrl_c().await.ok();
    }
}

/// From signing in to the last check.
async fn go(
    options: RushOptions,
    client: Arc<Client>,
    stop: CancellationToken,
    deadline: Deadline,
) -> anyhow::Result<Summary> {
    client.tally.begin_phase("signing in");
    let mut accounts = deadline.bound(&client.tally, crowd::sign_in(&client, &options)).await?;
    client.tally.begin_phase("choosing a concert");
    let watch = deadline.bound(&client.tally, Watch::begin(&client)).await?;
    let scout = accounts.first_mut().context("there are no buyers")?;
    let search = Search { scout, options: &options, watch: &watch, deadline };
    let stage = deadline.bound(&client.tally, search.choose()).await?;
    let rush = Arc::new(Rush { client, stage, options, deadline, watch, stop, sold_out: OnceLock::new() });
    rush.tally().begin_phase("filling the wallets");
    let shoppers = deadline.bound(rush.tally(), crowd::fill_wallets(accounts, &rush)).await?;

    let requests_before = rush.tally().lock().requests;
    let Visit { mut shoppers, duration, cut_short } = crowd::come(&rush, shoppers).await?;
    let requests = rush.tally().lock().requests - requests_before;
    rush.tally().begin_phase("checking what was sold");
    let outside = check::from_outside(&rush, &mut shoppers).await?;
    let audit = check::from_inside(&rush, &mut shoppers).await?;
    let mut summary = Summary::new(&rush, duration, requests, outside, audit);
    summary.cut_short = cut_short;
    if !rush.options.no_svg {
        let path = &rush.options.svg;
        let written = std::fs::write(path, summary.picture(&rush)?);
        written.with_context(|| format!("cannot write {}", path.display()))?;
        summary.svg = Some(path.display().to_string());
    }
    Ok(summary)
}
