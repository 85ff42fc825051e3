//! `boxoffice-rush`, the stampede to watch: a crowd of buyers against a running server, shown, summed up and checked.

mod check;
mod client;
mod hall;
mod options;
mod progress;
mod shopper;
mod stage;
mod summary;
mod tally;
mod target;

use std::{
    io::IsTerminal,
    process::ExitCode,
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::{Context, bail};
use clap::Parser;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::{
    signal::ctrl_c,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use self::{
    client::Client,
    options::RushOptions,
    progress::{Progress, Watched},
    shopper::{Shopper, login_id},
    stage::Stage,
    summary::Summary,
    tally::{Outcome, Tally},
};

/// How many buyers sign in at once. A server verifies few passwords at a time, and refuses those that would wait long.
const SIGN_INS_AT_ONCE: usize = 64;
/// How long buyers may take after the end of the rush to finish what they have begun.
const GRACE: Duration = Duration::from_mins(2);
/// How long to wait for a server that still makes its demo accounts before counting them again.
const ACCOUNTS_PAUSE: Duration = Duration::from_secs(3);

/// What the whole crowd shares.
pub(crate) struct Rush {
    client: Client,
    stage: Stage,
    options: RushOptions,
    /// Sends the buyers in the queue home.
    stop: CancellationToken,
    sold_out: OnceLock<Duration>,
}

impl Rush {
    fn tally(&self) -> &Tally {
        &self.client.tally
    }

    /// Waits, unless the crowd is sent home meanwhile. Whether it was the whole time.
    async fn pause(&self, duration: Duration) -> bool {
        self.stop.run_until_cancelled(sleep(duration)).await.is_some()
    }

    fn sold(&self, seats: u64) {
        let tally = self.tally();
        tally.purchased();
        tally.seats_sold.add(seats);
        if tally.seats_sold.get() >= self.stage.seats_wanted {
            self.everything_is_sold();
        }
    }

    fn everything_is_sold(&self) {
        let began = self.tally().shared().began;
        self.sold_out.get_or_init(|| began.map_or(Duration::ZERO, |began| began.elapsed()));
        self.stop.cancel();
    }
}

/// An idempotency key that no other request has.
#[expect(clippy::disallowed_methods, reason = "a client of a real server, whose keys no test has to foresee")]
pub(crate) fn new_key() -> String {
    uuid::Uuid::new_v4().to_string()
}

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

/// Lets the crowd loose, and prints what came of it. Whether all is well.
async fn run(options: RushOptions) -> anyhow::Result<bool> {
    let address = target::resolve(&options.url, options.allow_remote).await?;
    let (url, json, tally, stop) =
        (options.url.clone(), options.json, Arc::new(Tally::default()), CancellationToken::new());
    let watched = match (json, std::io::stderr().is_terminal()) {
        (true, _) => Watched::Not,
        (false, true) => Watched::OnTerminal,
        (false, false) => Watched::InLines,
    };
    let client = Client::open(address, options.connections as usize, Arc::clone(&tally)).await;
    let client = client.with_context(|| format!("{url} cannot be reached"))?;
    let progress = Progress::start(Arc::clone(&tally), watched, u64::from(options.buyers));
    let ended = tokio::select! {
        ended = go(options, client, stop.clone()) => ended,
        () = interrupted(&tally, &stop) => Err(anyhow::anyhow!("it was broken off")),
    };
    progress.end().await;
    let summary = ended.with_context(|| format!("the rush at {url}"))?;
    println!("{}", if json { serde_json::to_string(&summary)? } else { summary.to_string() });
    Ok(summary.is_well())
}

/// Ctrl-C sends the crowd home. Before the first buyer has come, and the second time, it ends the rush at once.
async fn interrupted(tally: &Tally, stop: &CancellationToken) {
    let heard = ctrl_c().await.is_ok();
    if heard && tally.shared().began.is_some() {
        stop.cancel();
        ctrl_c().await.ok();
    }
}

/// From signing in to the last check.
async fn go(options: RushOptions, client: Client, stop: CancellationToken) -> anyhow::Result<Summary> {
    client.tally.begin_phase("looking for the demo accounts");
    accounts_are_there(&client, options.buyers).await?;
    client.tally.begin_phase("signing in");
    let mut shoppers = sign_in(&client, &options).await?;
    client.tally.begin_phase("choosing a concert");
    let scout = shoppers.first_mut().context("there are no buyers")?;
    let stage = stage::choose(&client, scout, &options).await?;
    client.tally.begin_phase("filling the wallets");
    fill_wallets(&client, &stage, &mut shoppers).await?;

    let rush = Arc::new(Rush { client, stage, options, stop, sold_out: OnceLock::new() });
    let requests_before = rush.tally().requests.get();
    let (mut shoppers, duration) = let_loose(&rush, shoppers).await;
    let requests = rush.tally().requests.get() - requests_before;
    rush.tally().begin_phase("checking");
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

/// Fails unless all buyers have an account. Waits while a server makes them after its first start.
async fn accounts_are_there(client: &Client, wanted: u32) -> anyhow::Result<()> {
    let mut before = None;
    loop {
        let there = accounts_there(client, wanted).await?;
        if there >= wanted {
            return Ok(());
        }
        client.tally.phase_done.take(client.tally.phase_done.get());
        client.tally.phase_done.add(u64::from(there));
        if before == Some(there) {
            match there {
                0 => bail!("there are no demo accounts on this server: start the server with --demo"),
                _ => bail!(
                    "the server has {there} demo accounts, and there is no `{}`: start the server with --demo \
                     --demo-buyers {wanted}, or come with --buyers {there}",
                    login_id(wanted)
                ),
            }
        }
        before = Some(there);
        sleep(ACCOUNTS_PAUSE).await;
    }
}

/// About how many of the wanted accounts there are: the server makes them one after the other.
async fn accounts_there(client: &Client, wanted: u32) -> anyhow::Result<u32> {
    let is_there = async |number| anyhow::Ok(Shopper::sign_in(client, number, 0).await?.is_some());
    if is_there(wanted).await? {
        return Ok(wanted);
    }
    // The account `there` exists, and the account `missing` does not.
    let (mut there, mut missing) = (0, wanted);
    while there + 1 < missing {
        let middle = there + (missing - there) / 2;
        if is_there(middle).await? {
            there = middle;
        } else {
            missing = middle;
        }
    }
    Ok(there)
}

async fn sign_in(client: &Client, options: &RushOptions) -> anyhow::Result<Vec<Shopper>> {
    let signing_in = stream::iter(1..=options.buyers).map(|number| async move {
        let shopper = Shopper::sign_in(client, number, options.seed).await?;
        client.tally.phase_done.add(1);
        shopper.with_context(|| format!("there is no demo account `{}`", login_id(number)))
    });
    let at_once = SIGN_INS_AT_ONCE.min(options.connections as usize);
    signing_in.buffer_unordered(at_once).try_collect().await
}

async fn fill_wallets(client: &Client, stage: &Stage, shoppers: &mut [Shopper]) -> anyhow::Result<()> {
    let filling = stream::iter(shoppers.iter_mut()).map(async |shopper: &mut Shopper| {
        shopper.fill_wallet(client, stage.points).await?;
        client.tally.phase_done.add(1);
        anyhow::Ok(())
    });
    filling.buffer_unordered(SIGN_INS_AT_ONCE).try_collect().await
}

/// Lets the crowd go, and waits until the last buyer has come home. Gives the buyers, and how long it took.
async fn let_loose(rush: &Arc<Rush>, shoppers: Vec<Shopper>) -> (Vec<Shopper>, Duration) {
    let began = Instant::now();
    rush.tally().shared().began = Some(began);
    let mut crowd = JoinSet::new();
    for mut shopper in shoppers {
        let rush = Arc::clone(rush);
        crowd.spawn(async move {
            let outcome = shopper.attend(&rush).await;
            *rush.tally().shared().outcomes.entry(outcome).or_default() += 1;
            shopper
        });
    }
    let mut home = Vec::with_capacity(crowd.len());
    if timeout(rush.options.deadline, come_home(&mut crowd, &mut home)).await.is_err() {
        rush.stop.cancel();
    }
    if timeout(GRACE, come_home(&mut crowd, &mut home)).await.is_err() {
        let left = crowd.len() as u64;
        rush.tally().trouble(format!("{left} were not done long after the deadline, and were broken off"));
        *rush.tally().shared().outcomes.entry(Outcome::Failed).or_default() += left;
        crowd.abort_all();
    }
    rush.tally().sample();
    (home, began.elapsed())
}

async fn come_home(crowd: &mut JoinSet<Shopper>, home: &mut Vec<Shopper>) {
    while let Some(shopper) = crowd.join_next().await {
        match shopper {
            Ok(shopper) => home.push(shopper),
            // A defect of this program: the buyer has panicked.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}
