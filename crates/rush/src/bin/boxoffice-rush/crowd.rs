//! The crowd: its accounts are signed in, its wallets are filled, and its buyers come.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
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
/// How long to wait for an account: after its first start, a server makes them one after the other.
const ACCOUNTS_PAUSE: Duration = Duration::from_secs(3);

/// Signs in all buyers. Fails with the first one that has no account.
pub(crate) async fn sign_in(client: &Arc<Client>, options: &RushOptions) -> anyhow::Result<Vec<Account>> {
    let signing_in = stream::iter(1..=options.buyers).map(|number| sign_in_one(client, number, options.buyers));
    let at_once = SIGN_INS_AT_ONCE.min(options.connections as usize);
    signing_in.buffered(at_once).try_collect().await
}

async fn sign_in_one(client: &Arc<Client>, number: u32, wanted: u32) -> anyhow::Result<Account> {
    let mut account = Account::sign_in(client, number).await?;
    if account.is_none() {
        sleep(ACCOUNTS_PAUSE).await;
        account = Account::sign_in(client, number).await?;
    }
    client.tally.lock().phase_done += 1;
    account.with_context(|| match number - 1 {
        0 => "there are no demo accounts on this server: start the server with --demo".to_owned(),
        there => format!(
            "the server has {there} demo accounts, and there is no `{}`: start the server with --demo --demo-buyers \
             {wanted}, or come with --buyers {there}",
            login_id(number)
        ),
    })
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
