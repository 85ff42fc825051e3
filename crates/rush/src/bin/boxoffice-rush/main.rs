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

use std::{
    process::ExitCode,
    sync::{Arc, OnceLock},
};

use anyhow::{Context, anyhow};
use clap::Parser;
use tokio::signal::ctrl_c;
use tokio_util::sync::CancellationToken;

use self::{client::Client, options::RushOptions, rush::Rush, summary::Summary, tally::Tally};

#[tokio::main]
async fn main() -> ExitCode {
    match run(RushOptions::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("boxoffice-rush: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Runs the rush, prints its summary, and gives whether all is well.
async fn run(options: RushOptions) -> anyhow::Result<bool> {
    let address = target::resolve(&options.url, options.allow_remote).await?;
    let (url, json) = (options.url.clone(), options.json);
    let (tally, stop) = (Arc::new(Tally::default()), CancellationToken::new());
    let client = Client::open(address, options.connections as usize, Arc::clone(&tally)).await;
    let client = client.with_context(|| format!("{url} cannot be reached"))?;
    let progress = progress::start(Arc::clone(&tally), !json, options.buyers);
    let ended = tokio::select! {
        ended = go(options, Arc::new(client), stop.clone()) => ended,
        () = interrupted(&tally, &stop) => Err(anyhow!("it was interrupted")),
    };
    progress.abort();
    let summary = ended.with_context(|| format!("the rush at {url}"))?;
    println!("{}", if json { serde_json::to_string(&summary)? } else { summary.to_string() });
    Ok(summary.is_well())
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
async fn go(options: RushOptions, client: Arc<Client>, stop: CancellationToken) -> anyhow::Result<Summary> {
    client.tally.begin_phase("signing in");
    let mut accounts = crowd::sign_in(&client, &options).await?;
    client.tally.begin_phase("choosing a concert");
    let stage = stage::choose(accounts.first_mut().context("there are no buyers")?, &options).await?;
    let rush = Arc::new(Rush { client, stage, options, stop, sold_out: OnceLock::new() });
    rush.tally().begin_phase("filling the wallets");
    let shoppers = crowd::fill_wallets(accounts, &rush).await?;

    let requests_before = rush.tally().lock().requests;
    let (mut shoppers, duration) = crowd::come(&rush, shoppers).await;
    let requests = rush.tally().lock().requests - requests_before;
    let outside = check::from_outside(&rush, &mut shoppers).await?;
    let audit = check::from_inside(&rush, &mut shoppers).await?;
    let mut summary = Summary::new(&rush, duration, requests, outside, audit);
    if !rush.options.no_svg {
        let path = &rush.options.svg;
        let written = std::fs::write(path, summary.picture(&rush)?);
        written.with_context(|| format!("cannot write {}", path.display()))?;
        summary.svg = Some(path.display().to_string());
    }
    Ok(summary)
}
