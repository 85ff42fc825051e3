//! The stampede as a demonstration: a crowd of buyers against a running server, watched, summed up and checked.

mod buyer;
mod check;
mod client;
mod hall;
mod options;
mod progress;
mod stage;
mod summary;
mod tally;
mod target;

use std::{
    io::IsTerminal,
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::{Context, bail};
use boxoffice_domain::EntropySource;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::{
    signal::ctrl_c,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

pub(crate) use options::RushOptions;

use self::{
    buyer::Buyer,
    client::Client,
    progress::{Progress, Watched},
    stage::Stage,
    summary::Summary,
    tally::{Outcome, Tally},
};
use crate::{adapters::SystemEntropy, demo::buyer_login_id, exit::Exit, output, settings::Settings};

/// How many sign in at once. A server checks few passwords at a time and refuses those who would wait too long.
const SIGN_INS_AT_ONCE: usize = 64;
/// How long after the end of the rush what is in hand may take.
const GRACE: Duration = Duration::from_mins(2);
/// How long to wait for a server that is still making its demo accounts before looking whether there are more.
const ACCOUNTS_PAUSE: Duration = Duration::from_secs(3);

/// What the whole crowd shares.
pub(crate) struct Rush {
    client: Client,
    stage: Stage,
    options: RushOptions,
    entropy: Arc<dyn EntropySource>,
    /// Tells those in line to go home.
    stop: CancellationToken,
    sold_out: OnceLock<Duration>,
}

impl Rush {
    fn tally(&self) -> &Tally {
        &self.client.tally
    }

    /// Waits, unless everybody is told to go home meanwhile. Whether it was the whole time.
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

/// Lets the crowd loose, and tells what came of it.
pub(crate) async fn run(settings: &Settings, options: RushOptions) -> anyhow::Result<Exit> {
    let url = match &options.url {
        Some(url) => url.clone(),
        None => target::url_of(settings.listen)?,
    };
    let address = target::resolve(&url, options.allow_remote).await?;
    let (tally, stop) = (Arc::new(Tally::default()), CancellationToken::new());
    let client = Client::new(address, options.connections as usize, Arc::clone(&tally));
    let watched = match (options.json, std::io::stderr().is_terminal()) {
        (true, _) => Watched::Not,
        (false, true) => Watched::OnTerminal,
        (false, false) => Watched::InLines,
    };
    let progress = Progress::start(Arc::clone(&tally), watched, u64::from(options.buyers));
    let ended = tokio::select! {
        ended = go(settings, options, client, stop.clone()) => ended,
        () = interrupted(&tally, &stop) => Err(anyhow::anyhow!("it was broken off")),
    };
    progress.end().await;
    let (summary, json) = ended.with_context(|| format!("the rush at {url}"))?;
    output::print_line(&if json { serde_json::to_string(&summary)? } else { summary.to_string() })?;
    Ok(if summary.is_well() { Exit::Success } else { Exit::Refused })
}

/// Ctrl-C sends everybody home. Before anybody has come, and the second time, it ends all at once.
async fn interrupted(tally: &Tally, stop: &CancellationToken) {
    let heard = ctrl_c().await.is_ok();
    if heard && tally.shared().began.is_some() {
        stop.cancel();
        ctrl_c().await.ok();
    }
}

/// From signing in to the last check.
async fn go(
    settings: &Settings,
    options: RushOptions,
    client: Client,
    stop: CancellationToken,
) -> anyhow::Result<(Summary, bool)> {
    client.tally.begin_phase("looking for the demo accounts");
    accounts_are_there(&client, options.buyers).await?;
    client.tally.begin_phase("signing in");
    let mut buyers = sign_in(&client, &options).await?;
    client.tally.begin_phase("choosing a concert");
    let scout = buyers.first_mut().context("there are no buyers")?;
    let stage = stage::choose(&client, scout, &options).await?;
    client.tally.begin_phase("filling the wallets");
    let entropy: Arc<dyn EntropySource> = Arc::new(SystemEntropy);
    fill_wallets(&client, &stage, &mut buyers, entropy.as_ref()).await?;

    let json = options.json;
    let rush = Arc::new(Rush { client, stage, options, entropy, stop, sold_out: OnceLock::new() });
    let requests_before = rush.tally().requests.get();
    let (mut buyers, duration) = let_loose(&rush, buyers).await?;
    let requests = rush.tally().requests.get() - requests_before;
    rush.tally().begin_phase("checking");
    let outside = check::from_outside(&rush, &mut buyers).await?;
    let audit = check::from_inside(&rush, &mut buyers, settings).await?;
    let mut summary = Summary::new(&rush, duration, requests, outside, audit);
    if !rush.options.no_svg {
        let path = &rush.options.svg;
        let written = std::fs::write(path, summary.picture(&rush)?);
        written.with_context(|| format!("cannot write {}", path.display()))?;
        summary.svg = Some(path.display().to_string());
    }
    Ok((summary, json))
}

/// Makes sure that everybody has an account. A server that has just been started for the first time is still making
/// them.
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
                    buyer_login_id(wanted)
                ),
            }
        }
        before = Some(there);
        sleep(ACCOUNTS_PAUSE).await;
    }
}

/// How many of the wanted accounts there are, about: they are made one after the other.
async fn accounts_there(client: &Client, wanted: u32) -> anyhow::Result<u32> {
    let is_there = async |number| anyhow::Ok(Buyer::sign_in(client, number, 0).await?.is_some());
    if is_there(wanted).await? {
        return Ok(wanted);
    }
    // The first `there` are there, and the one of the number `missing` is not.
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

async fn sign_in(client: &Client, options: &RushOptions) -> anyhow::Result<Vec<Buyer>> {
    let signing_in = stream::iter(1..=options.buyers).map(|number| async move {
        let buyer = Buyer::sign_in(client, number, options.seed).await?;
        client.tally.phase_done.add(1);
        buyer.with_context(|| format!("there is no demo account `{}`", buyer_login_id(number)))
    });
    let at_once = SIGN_INS_AT_ONCE.min(options.connections as usize);
    signing_in.buffer_unordered(at_once).try_collect().await
}

async fn fill_wallets(
    client: &Client,
    stage: &Stage,
    buyers: &mut [Buyer],
    entropy: &dyn EntropySource,
) -> anyhow::Result<()> {
    let filling = stream::iter(buyers.iter_mut()).map(async |buyer: &mut Buyer| {
        buyer.see_to_points(client, stage.points, entropy.uuid()).await?;
        client.tally.phase_done.add(1);
        anyhow::Ok(())
    });
    filling.buffer_unordered(SIGN_INS_AT_ONCE).try_collect().await
}

/// Lets everybody go, and waits until the last has come home. Gives the buyers, and how long it took.
async fn let_loose(rush: &Arc<Rush>, buyers: Vec<Buyer>) -> anyhow::Result<(Vec<Buyer>, Duration)> {
    let began = Instant::now();
    rush.tally().shared().began = Some(began);
    let mut crowd = JoinSet::new();
    for mut buyer in buyers {
        let rush = Arc::clone(rush);
        crowd.spawn(async move {
            let outcome = buyer.attend(&rush).await;
            *rush.tally().shared().outcomes.entry(outcome).or_default() += 1;
            buyer
        });
    }
    let mut home = Vec::with_capacity(crowd.len());
    let deadline = rush.options.deadline;
    if timeout(deadline, come_home(&mut crowd, &mut home)).await.is_err() {
        rush.stop.cancel();
    }
    if timeout(GRACE, come_home(&mut crowd, &mut home)).await.is_err() {
        let left = crowd.len() as u64;
        rush.tally().trouble(format!("{left} were not done long after the deadline, and were broken off"));
        *rush.tally().shared().outcomes.entry(Outcome::Failed).or_default() += left;
        crowd.abort_all();
    }
    rush.tally().sample();
    Ok((home, began.elapsed()))
}

async fn come_home(crowd: &mut JoinSet<Buyer>, home: &mut Vec<Buyer>) {
    while let Some(buyer) = crowd.join_next().await {
        match buyer {
            Ok(buyer) => home.push(buyer),
            // A defect in here; the buyers are not at fault.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}
