//! The crowd: its accounts are signed in, its wallets are filled, and its buyers come.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use boxoffice_rush::plot::grouped_count;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{
    account::{Account, login_id},
    client::Client,
    options::RushOptions,
    rush::Rush,
    shopper::Shopper,
    tally::Crowd,
    waiting::why,
};

/// How many buyers sign in at once. A server verifies few passwords at a time, and refuses those that would wait long.
const SIGN_INS_AT_ONCE: usize = 64;
/// How long buyers may take after the deadline to finish what they have begun, and to leave.
const LEAVING_MAX: Duration = Duration::from_secs(10);
/// How long to wait for an account: after its first start, a server makes them one after the other.
const ACCOUNTS_PAUSE: Duration = Duration::from_secs(3);
/// How long to wait before looking again why no buyer is admitted, and the longest such look.
const WATCH_PAUSE: Duration = Duration::from_secs(2);

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

/// What became of the crowd.
pub(crate) struct Visit {
    pub(crate) shoppers: Vec<Shopper>,
    pub(crate) duration: Duration,
    /// What the buyers waited for when the deadline sent them home; `None` if all were done before.
    pub(crate) cut_short: Option<String>,
}

/// Lets the buyers come, and waits until the last is done. Fails if some do not leave after the deadline.
pub(crate) async fn come(rush: &Arc<Rush>, shoppers: Vec<Shopper>) -> anyhow::Result<Visit> {
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
    let mut cut_short = None;
    let seen = async {
        tokio::select! {
            () = collect(&mut crowd, &mut done) => (),
            () = tell_why_none_is_admitted(rush) => (),
        }
    };
    if timeout_at(rush.deadline.at, seen).await.is_err() {
        let waited_for = what_they_wait_for(rush).await;
        rush.tally().waits_for(Some("the deadline has come: the buyers leave".to_owned()));
        rush.stop.cancel();
        if timeout(LEAVING_MAX, collect(&mut crowd, &mut done)).await.is_err() {
            let (seconds, left) = (LEAVING_MAX.as_secs(), grouped_count(crowd.len() as u64));
            let waited_for = format!("{waited_for}; {seconds} s later {left} buyers still waited for the server");
            return Err(rush.deadline.passed(Some(waited_for)).into());
        }
        cut_short = Some(waited_for);
    }
    let mut counts = rush.tally().lock();
    counts.sample();
    counts.is_over = true;
    drop(counts);
    Ok(Visit { shoppers: done, duration: began.elapsed(), cut_short })
}

/// While buyers wait and none is admitted, says why. Does not end.
async fn tell_why_none_is_admitted(rush: &Rush) {
    loop {
        sleep(WATCH_PAUSE).await;
        let Crowd { waiting, admitted, .. } = rush.tally().lock().crowd;
        let why = if waiting > 0 && admitted == 0 { Some(what_they_wait_for(rush).await) } else { None };
        rush.tally().waits_for(why);
    }
}

/// Why no buyer is admitted, or how many buyers are not done.
async fn what_they_wait_for(rush: &Rush) -> String {
    let Crowd { waiting, admitted, .. } = rush.tally().lock().crowd;
    if waiting == 0 {
        return format!("{} buyers were at the seats, and the others on their way", grouped_count(admitted));
    }
    let stats = timeout(WATCH_PAUSE, rush.watch.stats(rush.stage.concert_id)).await;
    let why = why(stats.ok().and_then(Result::ok).flatten(), &rush.stage.title);
    format!("{} buyers wait, and {why}", grouped_count(waiting))
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
