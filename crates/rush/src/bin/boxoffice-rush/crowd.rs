//! The crowd: its accounts are signed in, its wallets are filled, and its buyers come.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, bail};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{
    account::{Account, login_id},
    client::Client,
    options::RushOptions,
    rush::Rush,
    shopper::Shopper,
    tally::Outcome,
};

/// How many buyers sign in at once. A server verifies few passwords at a time, and refuses those that would wait long.
const SIGN_INS_AT_ONCE: usize = 64;
/// How long buyers may take after the end of the rush to finish what they have begun.
const GRACE: Duration = Duration::from_mins(2);
/// How long to wait for a server that still makes its demo accounts before counting them again.
const ACCOUNTS_PAUSE: Duration = Duration::from_secs(3);

/// Fails unless all buyers have an account. Waits while a server makes them after its first start.
pub(crate) async fn ensure_accounts(client: &Arc<Client>, wanted: u32) -> anyhow::Result<()> {
    let mut before = None;
    loop {
        let there = count_accounts(client, wanted).await?;
        if there >= wanted {
            return Ok(());
        }
        client.tally.lock().phase_done = u64::from(there);
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
async fn count_accounts(client: &Arc<Client>, wanted: u32) -> anyhow::Result<u32> {
    let exists = async |number| anyhow::Ok(Account::sign_in(client, number).await?.is_some());
    if exists(wanted).await? {
        return Ok(wanted);
    }
    // The account `there` exists, and the account `missing` does not.
    let (mut there, mut missing) = (0, wanted);
    while there + 1 < missing {
        let middle = there + (missing - there) / 2;
        if exists(middle).await? {
            there = middle;
        } else {
            missing = middle;
        }
    }
    Ok(there)
}

pub(crate) async fn sign_in(client: &Arc<Client>, options: &RushOptions) -> anyhow::Result<Vec<Account>> {
    let signing_in = stream::iter(1..=options.buyers).map(|number| async move {
        let account = Account::sign_in(client, number).await?;
        client.tally.lock().phase_done += 1;
        account.with_context(|| format!("there is no demo account `{}`", login_id(number)))
    });
    let at_once = SIGN_INS_AT_ONCE.min(options.connections as usize);
    signing_in.buffer_unordered(at_once).try_collect().await
}

/// Fills the wallets, and makes the buyers.
pub(crate) async fn fill_wallets(accounts: Vec<Account>, rush: &Rush) -> anyhow::Result<Vec<Shopper>> {
    let filling = stream::iter(accounts).map(async |mut account: Account| {
        let points = account.fill_wallet(rush.stage.points).await?;
        rush.tally().lock().phase_done += 1;
        anyhow::Ok(Shopper::new(account, rush.options.seed, points))
    });
    filling.buffer_unordered(SIGN_INS_AT_ONCE).try_collect().await
}

/// Lets the buyers come, and waits until the last is done. Gives the buyers, and how long it took.
pub(crate) async fn come(rush: &Arc<Rush>, shoppers: Vec<Shopper>) -> (Vec<Shopper>, Duration) {
    let began = Instant::now();
    rush.tally().lock().began = Some(began);
    let mut crowd = JoinSet::new();
    for mut shopper in shoppers {
        let rush = Arc::clone(rush);
        crowd.spawn(async move {
            let outcome = shopper.attend(&rush).await;
            rush.tally().lock().ended(outcome, 1);
            shopper
        });
    }
    let mut done = Vec::with_capacity(crowd.len());
    if timeout(rush.options.deadline, collect(&mut crowd, &mut done)).await.is_err() {
        rush.stop.cancel();
    }
    let is_late = timeout(GRACE, collect(&mut crowd, &mut done)).await.is_err();
    let mut counts = rush.tally().lock();
    if is_late {
        let left = crowd.len() as u64;
        counts.trouble(format!("{left} buyers were not done long after the deadline, and were stopped"));
        counts.ended(Outcome::Failed, left);
        crowd.abort_all();
    }
    counts.sample();
    (done, began.elapsed())
}

async fn collect(crowd: &mut JoinSet<Shopper>, done: &mut Vec<Shopper>) {
    while let Some(shopper) = crowd.join_next().await {
        match shopper {
            Ok(shopper) => done.push(shopper),
            // A defect of this program: the buyer has panicked.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}
