//! One of the crowd: joins the queue, waits, looks, reaches for seats, pays or walks away.

use std::{ops::Range, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use boxoffice_rush::{
    Buyer, Request, Response,
    buyer::{self, Payment, QueueState, QueueStatus, Reservation, ReservedSeat, Session, Wallet},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde::de::{DeserializeOwned, IgnoredAny};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Rush,
    client::Client,
    hall::View,
    new_key,
    stage::Stage,
    stage::StagePerformance,
    tally::{Outcome, Step},
};

/// The password of the buyers that `boxoffice serve --demo` makes.
const PASSWORD: &str = "buyer-password";
/// How often a buyer reaches for other seats before giving up.
const LOST_MAX: u32 = 10;
/// How often a buyer looks again while others hold all that is left.
const LOOKS_MAX: u32 = 10;
/// The time between two such looks.
const LOOK_AGAIN_MILLISECONDS: Range<u64> = 1_000..3_000;
/// Of ten parties, how many people each has.
const PARTIES: [usize; 10] = [1, 1, 2, 2, 2, 2, 2, 3, 4, 4];
pub(crate) const PARTY_MAX: u64 = 4;

/// A buyer of the demonstration, with an intention.
#[derive(Debug)]
pub(crate) struct Shopper {
    pub(crate) number: u32,
    account: Buyer,
    numbers: StdRng,
    /// The points before the first purchase.
    pub(crate) points: u64,
    /// The latest hold.
    pub(crate) held: Option<Uuid>,
    /// What the server confirmed as bought.
    pub(crate) bought: Option<Payment>,
}

/// How waiting in the queue ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    Admitted,
    /// The place is no longer valid.
    Lost,
    Stopped,
}

/// What came of reaching for seats.
enum Reached {
    Held(Reservation),
    Gone,
    TooMany,
    TooLate,
}

/// What came of trying one performance.
enum Tried {
    Done(Outcome),
    AllSold,
    /// Others held all that was left for as long as a buyer waits.
    AllHeld,
}

/// A seat map that the buyer knows.
struct Look {
    tag: String,
    view: Arc<View>,
}

/// The login id of this buyer of the demonstration. The first has the number 1.
pub(crate) fn login_id(number: u32) -> String {
    format!("buyer-{number:05}")
}

impl Shopper {
    /// Signs in. `None` if there is no such account.
    pub(crate) async fn sign_in(client: &Client, number: u32, seed: u64) -> anyhow::Result<Option<Self>> {
        let response = client.send(Step::SignIn, &buyer::sign_in(&login_id(number), PASSWORD)).await?;
        match response.status {
            401 => return Ok(None),
            429 => bail!(
                "the server limits how often one address may sign in: start it with --demo, or set \
                 BOXOFFICE_ACCOUNT_REQUESTS_PER_MINUTE to 0"
            ),
            _ => {}
        }
        let session: Session = response.read().context("signing in")?;
        let numbers = StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(u64::from(number)));
        let account = Buyer::new(session.access_token);
        Ok(Some(Self { number, account, numbers, points: 0, held: None, bought: None }))
    }

    /// Sends a request of this account, and signs in again if the access token has expired.
    async fn send(
        &mut self,
        client: &Client,
        step: Step,
        request: impl Fn(&Buyer) -> Request,
    ) -> anyhow::Result<Response> {
        let response = client.send(step, &request(&self.account)).await?;
        if response.status != 401 || response.code().as_deref() != Some("access_token_expired") {
            return Ok(response);
        }
        let again = Self::sign_in(client, self.number, 0).await?.context("a demo account has vanished")?;
        self.account.access_token = again.account.access_token;
        client.send(step, &request(&self.account)).await
    }

    /// Sends a request that has to succeed.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &mut self,
        client: &Client,
        step: Step,
        request: impl Fn(&Buyer) -> Request,
    ) -> anyhow::Result<T> {
        let response = self.send(client, step, request).await?;
        response.read().with_context(|| format!("`{}`", step.name()))
    }

    pub(crate) async fn balance(&mut self, client: &Client) -> anyhow::Result<u64> {
        Ok(self.ask::<Wallet>(client, Step::Wallet, Buyer::wallet).await?.balance)
    }

    /// Tops the wallet up to these points.
    pub(crate) async fn fill_wallet(&mut self, client: &Client, points: u64) -> anyhow::Result<()> {
        self.points = self.balance(client).await?;
        if let Some(missing) = points.checked_sub(self.points).filter(|missing| *missing > 0) {
            let (amount, key) = (i64::try_from(missing)?, new_key());
            self.ask::<IgnoredAny>(client, Step::Charge, |buyer| buyer.charge(amount).key(&key)).await?;
            self.points += missing;
        }
        Ok(())
    }

    /// Joins the queue of a concert.
    pub(crate) async fn join(&mut self, client: &Client, concert_id: Uuid) -> anyhow::Result<QueueStatus> {
        let status: QueueStatus = self.ask(client, Step::Join, |buyer| buyer.join(concert_id)).await?;
        self.account.queue_token.clone_from(&status.token);
        Ok(status)
    }

    /// Polls as often as the server says until the buyer is admitted.
    pub(crate) async fn wait(
        &mut self,
        client: &Client,
        mut status: QueueStatus,
        stop: &CancellationToken,
    ) -> anyhow::Result<Wait> {
        loop {
            match status.status {
                QueueState::Active => return Ok(Wait::Admitted),
                QueueState::Expired => return Ok(Wait::Lost),
                QueueState::Waiting => {}
            }
            let pause = Duration::from_secs(status.poll_after_seconds.unwrap_or(1));
            if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                return Ok(Wait::Stopped);
            }
            status = self.ask(client, Step::Poll, Buyer::poll).await?;
            self.account.queue_token.clone_from(&status.token);
        }
    }

    /// Leaves the queue, or makes room for the next.
    pub(crate) async fn leave(&mut self, client: &Client) -> anyhow::Result<()> {
        self.send(client, Step::Leave, Buyer::leave).await?;
        self.account.queue_token.clear();
        Ok(())
    }

    /// The whole evening, from coming to going.
    pub(crate) async fn attend(&mut self, rush: &Rush) -> Outcome {
        match self.come(rush).await {
            Ok(outcome) => outcome,
            Err(error) => {
                rush.tally().trouble(format!("{}: {error:#}", login_id(self.number)));
                Outcome::Failed
            }
        }
    }

    async fn come(&mut self, rush: &Rush) -> anyhow::Result<Outcome> {
        let (client, tally) = (&rush.client, rush.tally());
        // Squared, so that more come at the beginning.
        let arrival = rush.options.arrive.mul_f64(self.numbers.random::<f64>().powi(2));
        if !rush.pause(arrival).await {
            return Ok(Outcome::WentHome);
        }
        let status = self.join(client, rush.stage.concert_id).await?;
        let joined = Instant::now();
        tally.arrived.add(1);
        tally.in_line.add(1);
        let waited = self.wait(client, status, &rush.stop).await;
        tally.in_line.take(1);
        let outcome = match waited? {
            Wait::Lost => return Ok(Outcome::TooLate),
            Wait::Stopped => Ok(Outcome::WentHome),
            Wait::Admitted => {
                tally.shared().line_waits.record(joined.elapsed());
                tally.admitted_total.add(1);
                tally.admitted.add(1);
                let outcome = self.shop(rush).await;
                tally.admitted.take(1);
                outcome
            }
        };
        // A payment ends the admission. Every other buyer leaves, or no other would be admitted for minutes.
        if !matches!(outcome, Ok(Outcome::Bought)) {
            self.leave(client).await?;
        }
        outcome
    }

    /// Looks at the dates, and tries one after the other until something came of it.
    async fn shop(&mut self, rush: &Rush) -> anyhow::Result<Outcome> {
        let Stage { concert_id, performances, .. } = &rush.stage;
        let dates = self.send(&rush.client, Step::Dates, |buyer| buyer.performances(concert_id)).await?;
        if is_too_late(&dates) {
            return Ok(Outcome::TooLate);
        }
        dates.read::<IgnoredAny>().context("looking at the dates")?;
        let first = self.numbers.random_range(0..performances.len());
        let mut all_sold = true;
        for performance in performances[first..].iter().chain(&performances[..first]) {
            match self.try_performance(rush, performance).await? {
                Tried::Done(outcome) => return Ok(outcome),
                Tried::AllSold => {}
                Tried::AllHeld => all_sold = false,
            }
        }
        if all_sold {
            rush.everything_is_sold();
        }
        Ok(Outcome::NothingLeft)
    }

    /// Reaches for seats of one performance until they are held or there are none.
    async fn try_performance(&mut self, rush: &Rush, performance: &StagePerformance) -> anyhow::Result<Tried> {
        let mut party = PARTIES[self.numbers.random_range(0..PARTIES.len())].min(rush.stage.party_max);
        let (mut lost, mut looks, mut known) = (0, 0, None);
        let mut stale = true;
        while !rush.stop.is_cancelled() {
            if stale {
                let Some(permit) = rush.stop.run_until_cancelled(rush.client.map_permit()).await else { break };
                let look = self.look_at_seats(rush, performance, known.take()).await?;
                drop(permit?);
                let Some(look) = look else {
                    return Ok(Tried::Done(Outcome::TooLate));
                };
                known = Some(look);
            }
            let Some(Look { view, .. }) = &known else { bail!("nothing was looked at") };
            let Some(seats) = performance.hall.choose(view, party, lost, &mut self.numbers) else {
                if !performance.hall.any_held(view) {
                    return Ok(Tried::AllSold);
                }
                looks += 1;
                if looks > LOOKS_MAX {
                    return Ok(Tried::AllHeld);
                }
                rush.pause(Duration::from_millis(self.numbers.random_range(LOOK_AGAIN_MILLISECONDS))).await;
                stale = true;
                continue;
            };
            let seats = performance.hall.labels(&seats);
            self.think(rush).await;
            match self.hold(rush, performance.id, &seats).await? {
                Reached::Held(reservation) => return Ok(Tried::Done(self.decide(rush, reservation).await?)),
                Reached::Gone if lost == LOST_MAX => return Ok(Tried::Done(Outcome::GaveUp)),
                Reached::Gone => (lost, stale) = (lost + 1, true),
                Reached::TooMany if party == 1 => return Ok(Tried::Done(Outcome::HasEnough)),
                Reached::TooMany => (party, stale) = (party - 1, false),
                Reached::TooLate => return Ok(Tried::Done(Outcome::TooLate)),
            }
        }
        Ok(Tried::Done(Outcome::WentHome))
    }

    /// The seats as they are now; `None` if the admission is over.
    async fn look_at_seats(
        &mut self,
        rush: &Rush,
        performance: &StagePerformance,
        known: Option<Look>,
    ) -> anyhow::Result<Option<Look>> {
        let request = |buyer: &Buyer| {
            let request = buyer.seats(performance.id);
            match &known {
                Some(look) => request.header("if-none-match", &look.tag),
                None => request,
            }
        };
        let response = self.send(&rush.client, Step::Seats, request).await?;
        if is_too_late(&response) {
            return Ok(None);
        }
        if response.status == 304 {
            return Ok(known);
        }
        let tag = response.header("etag").unwrap_or_default().to_owned();
        let view = performance.view(&tag, &response).context("looking at the seats")?;
        Ok(Some(Look { tag, view }))
    }

    async fn think(&mut self, rush: &Rush) {
        let thought = rush.options.think.mul_f64(self.numbers.random());
        if !thought.is_zero() {
            sleep(thought).await;
        }
    }

    async fn hold(&mut self, rush: &Rush, performance_id: Uuid, seats: &[String]) -> anyhow::Result<Reached> {
        let key = new_key();
        let hold = |buyer: &Buyer| buyer.hold(performance_id, seats).key(&key);
        let response = self.send(&rush.client, Step::Hold, hold).await?;
        if is_too_late(&response) {
            return Ok(Reached::TooLate);
        }
        match response.code().as_deref() {
            Some("seat_unavailable") => {
                rush.tally().lost_races.add(1);
                Ok(Reached::Gone)
            }
            Some("seat_limit_reached" | "too_many_seats") => Ok(Reached::TooMany),
            _ => {
                let reservation: Reservation = response.read().context("holding seats")?;
                self.held = Some(reservation.id);
                Ok(Reached::Held(reservation))
            }
        }
    }

    /// Pays, or walks away, and counts as a holder meanwhile.
    async fn decide(&mut self, rush: &Rush, held: Reservation) -> anyhow::Result<Outcome> {
        let (tally, seats) = (rush.tally(), held.seats.len() as u64);
        tally.holding.add(1);
        tally.seats_held.add(seats);
        self.think(rush).await;
        let decided = if self.numbers.random_range(0..100) < rush.options.walk_away {
            self.cancel(rush, held.id).await
        } else {
            self.pay(rush, &held).await
        };
        tally.holding.take(1);
        tally.seats_held.take(seats);
        decided
    }

    async fn cancel(&mut self, rush: &Rush, reservation_id: Uuid) -> anyhow::Result<Outcome> {
        let key = new_key();
        let cancel = |buyer: &Buyer| buyer.cancel(reservation_id).key(&key);
        let response = self.send(&rush.client, Step::Cancel, cancel).await?;
        if response.code().as_deref() == Some("hold_expired") {
            return Ok(Outcome::TooLate);
        }
        response.read::<IgnoredAny>().context("giving seats back")?;
        Ok(Outcome::WalkedAway)
    }

    async fn pay(&mut self, rush: &Rush, held: &Reservation) -> anyhow::Result<Outcome> {
        let key = new_key();
        let response = self.send(&rush.client, Step::Pay, |buyer| buyer.pay(held.id).key(&key)).await?;
        if is_too_late(&response) || response.code().as_deref() == Some("hold_expired") {
            return Ok(Outcome::TooLate);
        }
        let payment: Payment = response.read().context("paying")?;
        if payment.amount != held.total_amount {
            bail!("a reservation of {} points was paid with {}", held.total_amount, payment.amount);
        }
        rush.sold(payment.reservation.seats.len() as u64);
        self.bought = Some(payment);
        Ok(Outcome::Bought)
    }

    /// The seats that the buyer was told to own, with their performance.
    pub(crate) fn owned_seats(&self) -> impl Iterator<Item = (Uuid, &ReservedSeat)> {
        let reservation = self.bought.as_ref().map(|payment| &payment.reservation);
        reservation.into_iter().flat_map(|bought| bought.seats.iter().map(|seat| (bought.performance.id, seat)))
    }
}

/// Whether the admission is over.
fn is_too_late(response: &Response) -> bool {
    let over = |code: &str| matches!(code, "queue_token_expired" | "queue_token_not_active" | "queue_token_invalid");
    matches!(response.status, 401 | 403) && response.code().is_some_and(|code| over(&code))
}
