//! One of the crowd: joins, waits, looks, reaches for seats, pays or walks away.

use std::{ops::Range, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use boxoffice_load::{Answer, Request};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Rush,
    client::Client,
    hall::View,
    stage::Performance,
    tally::{Outcome, Step},
};
use crate::demo::{BUYER_PASSWORD, buyer_login_id};

/// How often somebody reaches for other seats before giving up.
const LOST_MAX: u32 = 10;
/// How often somebody looks again while all that is left is held by others.
const LOOKS_MAX: u32 = 10;
/// How long between two such looks.
const LOOK_AGAIN_MILLISECONDS: Range<u64> = 1_000..3_000;
/// Of ten people, how many are alone, two, three and four.
const PARTIES: [usize; 10] = [1, 1, 2, 2, 2, 2, 2, 3, 4, 4];
/// The most people who come together.
pub(crate) const PARTY_MAX: u64 = 4;

/// Somebody with an account.
#[derive(Debug)]
pub(crate) struct Buyer {
    pub(crate) number: u32,
    access_token: String,
    numbers: StdRng,
    /// The points before the first purchase.
    pub(crate) points: u64,
    /// What was held last.
    pub(crate) held: Option<Uuid>,
    /// What the server said is this buyer's.
    pub(crate) bought: Option<Purchase>,
}

/// Seats that were paid.
#[derive(Clone, Debug)]
pub(crate) struct Purchase {
    pub(crate) reservation_id: Uuid,
    pub(crate) performance_id: Uuid,
    pub(crate) seats: Vec<String>,
    pub(crate) amount: u64,
}

/// A place in line, as the server tells of it.
#[derive(Deserialize)]
pub(crate) struct Place {
    pub(crate) token: String,
    status: Standing,
    poll_after_seconds: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Standing {
    Waiting,
    Active,
    Expired,
}

/// How waiting in line ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    Admitted,
    /// The place is no longer good.
    Lost,
    /// It was broken off.
    Stopped,
}

#[derive(Deserialize)]
struct Session {
    access_token: String,
}

#[derive(Deserialize)]
struct Wallet {
    balance: u64,
}

#[derive(Deserialize)]
struct Reservation {
    id: Uuid,
    total_amount: u64,
    seats: Vec<ReservedSeat>,
}

#[derive(Deserialize)]
struct ReservedSeat {
    label: String,
}

#[derive(Deserialize)]
struct Payment {
    amount: u64,
    reservation: Reservation,
}

/// What came of reaching for seats.
enum Reached {
    Held(Reservation),
    Gone,
    TooMany,
    TooLate,
}

/// What somebody knows of a performance's seats.
struct Look {
    tag: String,
    view: Arc<View>,
}

impl Buyer {
    /// Signs in. `None` where there is no such account.
    pub(crate) async fn sign_in(client: &Client, number: u32, seed: u64) -> anyhow::Result<Option<Self>> {
        let body = json!({"login_id": buyer_login_id(number), "password": BUYER_PASSWORD});
        let answer = client.send(Step::SignIn, &Request::post("/v1/sessions").json(&body)).await?;
        match answer.status {
            401 => return Ok(None),
            429 => bail!(
                "the server limits how often one address may sign in: start it with --demo, or set \
                 BOXOFFICE_ACCOUNT_REQUESTS_PER_MINUTE to 0"
            ),
            _ => {}
        }
        let Session { access_token } = read(&answer, "signing in")?;
        let numbers = StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(u64::from(number)));
        Ok(Some(Self { number, access_token, numbers, points: 0, held: None, bought: None }))
    }

    /// Asks something as this account, and signs in again where that has lapsed.
    pub(crate) async fn ask(
        &mut self,
        client: &Client,
        step: Step,
        request: impl Fn(Request) -> Request,
        (method, path): (&str, &str),
    ) -> anyhow::Result<Answer> {
        let ask = |token: &str| request(Request::new(method, path).bearer(token));
        let answer = client.send(step, &ask(&self.access_token)).await?;
        if answer.status != 401 || answer.code().as_deref() != Some("access_token_expired") {
            return Ok(answer);
        }
        let again = Self::sign_in(client, self.number, 0).await?.context("a demo account has vanished")?;
        self.access_token = again.access_token;
        client.send(step, &ask(&self.access_token)).await
    }

    /// Asks for something that only needs the account.
    pub(crate) async fn get<T: DeserializeOwned>(
        &mut self,
        client: &Client,
        step: Step,
        path: &str,
    ) -> anyhow::Result<T> {
        let answer = self.ask(client, step, Request::empty, ("GET", path)).await?;
        read(&answer, path)
    }

    pub(crate) async fn balance(&mut self, client: &Client) -> anyhow::Result<u64> {
        Ok(self.get::<Wallet>(client, Step::Wallet, "/v1/wallet").await?.balance)
    }

    /// Charges the wallet where less than this is in it.
    pub(crate) async fn see_to_points(&mut self, client: &Client, points: u64, key: Uuid) -> anyhow::Result<()> {
        self.points = self.balance(client).await?;
        let missing = points.saturating_sub(self.points);
        if missing > 0 {
            let key = key.to_string();
            let charge = |request: Request| request.header("Idempotency-Key", &key).json(&json!({"amount": missing}));
            let answer = self.ask(client, Step::Charge, charge, ("POST", "/v1/wallet/charges")).await?;
            read::<serde_json::Value>(&answer, "charging a wallet")?;
            self.points += missing;
        }
        Ok(())
    }

    pub(crate) async fn join(&mut self, client: &Client, concert_id: Uuid) -> anyhow::Result<Place> {
        let path = format!("/v1/concerts/{concert_id}/queue");
        let answer = self.ask(client, Step::Join, Request::empty, ("POST", &path)).await?;
        read(&answer, "joining the line")
    }

    /// Asks as often as told until it is this buyer's turn.
    pub(crate) async fn wait(
        &mut self,
        client: &Client,
        place: &mut Place,
        stop: &CancellationToken,
    ) -> anyhow::Result<Wait> {
        loop {
            match place.status {
                Standing::Active => return Ok(Wait::Admitted),
                Standing::Expired => return Ok(Wait::Lost),
                Standing::Waiting => {}
            }
            let pause = Duration::from_secs(place.poll_after_seconds.unwrap_or(1));
            if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                return Ok(Wait::Stopped);
            }
            let token = place.token.clone();
            let in_line = |request: Request| request.header("Queue-Token", &token).empty();
            let answer = self.ask(client, Step::Poll, in_line, ("GET", "/v1/queue")).await?;
            *place = read(&answer, "asking for the place in line")?;
        }
    }

    /// Leaves the line, or makes room for the next.
    pub(crate) async fn leave(&mut self, client: &Client, place: &Place) -> anyhow::Result<()> {
        let leaving = |request: Request| request.header("Queue-Token", &place.token).empty();
        self.ask(client, Step::Leave, leaving, ("DELETE", "/v1/queue")).await?;
        Ok(())
    }

    /// Asks for something behind the line.
    pub(crate) async fn look(
        &mut self,
        client: &Client,
        step: Step,
        place: &Place,
        path: &str,
    ) -> anyhow::Result<Answer> {
        let admitted = |request: Request| request.header("Queue-Token", &place.token).empty();
        self.ask(client, step, admitted, ("GET", path)).await
    }

    /// The whole evening, from coming to going.
    pub(crate) async fn attend(&mut self, rush: &Rush) -> Outcome {
        match self.come(rush).await {
            Ok(outcome) => outcome,
            Err(error) => {
                rush.tally().trouble(format!("{}: {error:#}", buyer_login_id(self.number)));
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
        let mut place = self.join(client, rush.stage.concert_id).await?;
        let joined = Instant::now();
        tally.arrived.add(1);
        tally.in_line.add(1);
        let waited = self.wait(client, &mut place, &rush.stop).await;
        tally.in_line.take(1);
        let outcome = match waited? {
            Wait::Lost => return Ok(Outcome::TooLate),
            Wait::Stopped => Ok(Outcome::WentHome),
            Wait::Admitted => {
                tally.shared().line_waits.record(joined.elapsed());
                tally.admitted_total.add(1);
                tally.admitted.add(1);
                let outcome = self.shop(rush, &place).await;
                tally.admitted.take(1);
                outcome
            }
        };
        // Whoever has paid is out already; everybody else makes room, or nobody would come in for minutes.
        if !matches!(outcome, Ok(Outcome::Bought)) {
            self.leave(client, &place).await?;
        }
        outcome
    }

    /// Looks at the dates, and tries one after the other until something came of it.
    async fn shop(&mut self, rush: &Rush, place: &Place) -> anyhow::Result<Outcome> {
        let path = format!("/v1/concerts/{}/performances?limit=100", rush.stage.concert_id);
        let dates = self.look(&rush.client, Step::Dates, place, &path).await?;
        if too_late(&dates) {
            return Ok(Outcome::TooLate);
        }
        read::<serde_json::Value>(&dates, "looking at the dates")?;
        let performances = &rush.stage.performances;
        let first = self.numbers.random_range(0..performances.len());
        let mut all_sold = true;
        for performance in performances[first..].iter().chain(&performances[..first]) {
            match self.try_date(rush, place, performance).await? {
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
    async fn try_date(&mut self, rush: &Rush, place: &Place, performance: &Performance) -> anyhow::Result<Tried> {
        let mut party = PARTIES[self.numbers.random_range(0..PARTIES.len())].min(rush.stage.party_max);
        let (mut lost, mut looks, mut known) = (0, 0, None);
        let mut stale = true;
        while !rush.stop.is_cancelled() {
            if stale {
                let Some(turn) = rush.stop.run_until_cancelled(rush.client.map_place()).await else { break };
                let look = self.look_at_seats(rush, place, performance, known.take()).await?;
                drop(turn?);
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
                let pause = Duration::from_millis(self.numbers.random_range(LOOK_AGAIN_MILLISECONDS));
                rush.pause(pause).await;
                stale = true;
                continue;
            };
            let seats = performance.hall.labels(&seats);
            self.think(rush).await;
            match self.reach(rush, place, performance.id, &seats).await? {
                Reached::Held(reservation) => {
                    let outcome = self.decide(rush, place, performance.id, reservation).await?;
                    return Ok(Tried::Done(outcome));
                }
                Reached::Gone if lost == LOST_MAX => return Ok(Tried::Done(Outcome::GaveUp)),
                Reached::Gone => (lost, stale) = (lost + 1, true),
                Reached::TooMany if party == 1 => return Ok(Tried::Done(Outcome::HasEnough)),
                Reached::TooMany => (party, stale) = (party - 1, false),
                Reached::TooLate => return Ok(Tried::Done(Outcome::TooLate)),
            }
        }
        Ok(Tried::Done(Outcome::WentHome))
    }

    /// How the seats stand; `None` where the admission is over.
    async fn look_at_seats(
        &mut self,
        rush: &Rush,
        place: &Place,
        performance: &Performance,
        known: Option<Look>,
    ) -> anyhow::Result<Option<Look>> {
        let path = format!("/v1/performances/{}/seats", performance.id);
        let ask = |request: Request| {
            let request = request.header("Queue-Token", &place.token);
            match &known {
                Some(look) => request.header("If-None-Match", &look.tag).empty(),
                None => request.empty(),
            }
        };
        let answer = self.ask(&rush.client, Step::Seats, ask, ("GET", &path)).await?;
        if too_late(&answer) {
            return Ok(None);
        }
        if answer.status == 304 {
            return Ok(known);
        }
        if answer.status != 200 {
            bail!("looking at the seats: {}", told(&answer));
        }
        let tag = answer.header("etag").context("a seat map without an ETag")?.to_owned();
        let view = performance.view(&tag, &answer.body)?;
        Ok(Some(Look { tag, view }))
    }

    async fn think(&mut self, rush: &Rush) {
        let thought = rush.options.think.mul_f64(self.numbers.random());
        if !thought.is_zero() {
            sleep(thought).await;
        }
    }

    async fn reach(
        &mut self,
        rush: &Rush,
        place: &Place,
        performance_id: Uuid,
        seats: &[String],
    ) -> anyhow::Result<Reached> {
        let key = rush.entropy.uuid().to_string();
        let body = json!({"performance_id": performance_id, "seats": seats});
        let hold =
            |request: Request| request.header("Queue-Token", &place.token).header("Idempotency-Key", &key).json(&body);
        let answer = self.ask(&rush.client, Step::Hold, hold, ("POST", "/v1/reservations")).await?;
        if too_late(&answer) {
            return Ok(Reached::TooLate);
        }
        match answer.code().as_deref() {
            Some("seat_unavailable") => {
                rush.tally().lost_races.add(1);
                Ok(Reached::Gone)
            }
            Some("seat_limit_reached" | "too_many_seats") => Ok(Reached::TooMany),
            _ => {
                let reservation: Reservation = read(&answer, "holding seats")?;
                self.held = Some(reservation.id);
                Ok(Reached::Held(reservation))
            }
        }
    }

    /// Pays, or walks away, and is counted among the holders meanwhile.
    async fn decide(
        &mut self,
        rush: &Rush,
        place: &Place,
        performance_id: Uuid,
        held: Reservation,
    ) -> anyhow::Result<Outcome> {
        let (tally, seats) = (rush.tally(), held.seats.len() as u64);
        tally.holding.add(1);
        tally.seats_held.add(seats);
        self.think(rush).await;
        let decided = if self.numbers.random_range(0..100) < rush.options.walk_away {
            self.give_back(rush, held.id).await
        } else {
            self.pay(rush, place, performance_id, &held).await
        };
        tally.holding.take(1);
        tally.seats_held.take(seats);
        decided
    }

    async fn give_back(&mut self, rush: &Rush, reservation_id: Uuid) -> anyhow::Result<Outcome> {
        let path = format!("/v1/reservations/{reservation_id}/cancel");
        let key = rush.entropy.uuid().to_string();
        let cancel = |request: Request| request.header("Idempotency-Key", &key).empty();
        let answer = self.ask(&rush.client, Step::Cancel, cancel, ("POST", &path)).await?;
        if answer.code().as_deref() == Some("hold_expired") {
            return Ok(Outcome::TooLate);
        }
        read::<serde_json::Value>(&answer, "giving seats back")?;
        Ok(Outcome::WalkedAway)
    }

    async fn pay(
        &mut self,
        rush: &Rush,
        place: &Place,
        performance_id: Uuid,
        held: &Reservation,
    ) -> anyhow::Result<Outcome> {
        let key = rush.entropy.uuid().to_string();
        let body = json!({"reservation_id": held.id});
        let pay =
            |request: Request| request.header("Queue-Token", &place.token).header("Idempotency-Key", &key).json(&body);
        let answer = self.ask(&rush.client, Step::Pay, pay, ("POST", "/v1/payments")).await?;
        if too_late(&answer) || answer.code().as_deref() == Some("hold_expired") {
            return Ok(Outcome::TooLate);
        }
        let paid: Payment = read(&answer, "paying")?;
        if paid.amount != held.total_amount {
            bail!("a reservation of {} points was paid with {}", held.total_amount, paid.amount);
        }
        let seats: Vec<_> = paid.reservation.seats.into_iter().map(|seat| seat.label).collect();
        rush.sold(seats.len() as u64);
        self.bought = Some(Purchase { reservation_id: held.id, performance_id, seats, amount: paid.amount });
        Ok(Outcome::Bought)
    }
}

/// What came of trying one date.
enum Tried {
    Done(Outcome),
    /// Nothing can be had any more.
    AllSold,
    /// Nothing could be had as long as one would wait.
    AllHeld,
}

/// Whether the admission is over.
fn too_late(answer: &Answer) -> bool {
    let over = |code: &str| matches!(code, "queue_token_expired" | "queue_token_not_active" | "queue_token_invalid");
    matches!(answer.status, 401 | 403) && answer.code().is_some_and(|code| over(&code))
}

/// The body of an answer of success.
pub(crate) fn read<T: DeserializeOwned>(answer: &Answer, act: &str) -> anyhow::Result<T> {
    if !(200..300).contains(&answer.status) {
        bail!("{act}: {}", told(answer));
    }
    answer.json().with_context(|| act.to_owned())
}

/// An answer in a few words. Its text is left out: there may be a token in it.
fn told(answer: &Answer) -> String {
    format!("the server answered {} {}", answer.status, answer.code().unwrap_or_default())
}
