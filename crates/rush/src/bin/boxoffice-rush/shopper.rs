//! One of the crowd: joins the queue, waits, chooses seats, and pays or walks away.

use std::{ops::Range, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use boxoffice_rush::{
    Buyer, Request, Response,
    buyer::{Payment, Reservation},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde::de::IgnoredAny;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    account::{Account, Wait, login_id, new_key},
    hall::View,
    rush::Rush,
    stage::{Stage, StagePerformance},
    tally::{Outcome, Step},
};

/// How often a buyer tries other seats before giving up.
const LOST_MAX: u32 = 10;
/// How often a buyer looks again while others hold all that is left.
const LOOKS_MAX: u32 = 10;
/// The time between two such looks.
const LOOK_AGAIN_MILLISECONDS: Range<u64> = 1_000..3_000;
/// The codes of refusals once the admission is over.
const ADMISSION_IS_OVER: [&str; 3] = ["queue_token_expired", "queue_token_not_active", "queue_token_invalid"];
/// Of ten parties, how many seats each wants.
const PARTIES: [usize; 10] = [1, 1, 2, 2, 2, 2, 2, 3, 4, 4];

pub(crate) struct Shopper {
    pub(crate) account: Account,
    numbers: StdRng,
    /// The points before the first purchase.
    pub(crate) points: u64,
    /// The latest hold.
    pub(crate) held: Option<Uuid>,
    /// What the server confirmed as bought.
    pub(crate) bought: Option<Payment>,
}

/// The result of trying to hold seats.
enum Hold {
    Held(Reservation),
    Gone,
    TooMany,
    TooLate,
}

/// The result of trying one performance.
enum Tried {
    Done(Outcome),
    AllSold,
    /// Others held all that was left for as long as a buyer waits.
    AllHeld,
}

impl Shopper {
    /// A buyer whose wishes follow from the seed and its number.
    pub(crate) fn new(account: Account, seed: u64, points: u64) -> Self {
        let numbers = StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(u64::from(account.number)));
        Self { account, numbers, points, held: None, bought: None }
    }

    /// The whole visit.
    pub(crate) async fn attend(&mut self, rush: &Rush) -> Outcome {
        self.come(rush).await.unwrap_or_else(|error| {
            rush.tally().lock().trouble(format!("{}: {error:#}", login_id(self.account.number)));
            Outcome::Failed
        })
    }

    async fn come(&mut self, rush: &Rush) -> anyhow::Result<Outcome> {
        // Squared, so that more come at the beginning.
        let arrival = rush.options.arrive.mul_f64(self.numbers.random::<f64>().powi(2));
        if !rush.pause(arrival).await {
            return Ok(Outcome::WentHome);
        }
        let status = match self.account.join(rush.stage.concert_id).await? {
            Ok(status) => status,
            Err(code) if code == "sold_out" => {
                rush.everything_is_sold();
                return Ok(Outcome::NothingLeft);
            }
            // The sale has ended while the buyer was on its way.
            Err(_) => return Ok(Outcome::TooLate),
        };
        let joined = Instant::now();
        rush.tally().lock().totals.arrived += 1;
        rush.tally().lock().crowd.waiting += 1;
        let waited = self.account.wait(status, &rush.stop, |_| ()).await;
        rush.tally().lock().crowd.waiting -= 1;
        let outcome = match waited? {
            Wait::Lost => return Ok(Outcome::TooLate),
            Wait::Ended => {
                rush.everything_is_sold();
                return Ok(Outcome::NothingLeft);
            }
            Wait::Stopped => Ok(Outcome::WentHome),
            Wait::Admitted => {
                rush.tally().lock().totals.queue_waits.record(joined.elapsed());
                rush.tally().lock().totals.admitted += 1;
                rush.tally().lock().crowd.admitted += 1;
                let outcome = self.shop(rush).await;
                rush.tally().lock().crowd.admitted -= 1;
                outcome
            }
        };
        // A payment ends the admission. Every other buyer leaves, or no other would be admitted for minutes.
        if !matches!(outcome, Ok(Outcome::Bought)) {
            self.account.leave().await?;
        }
        outcome
    }

    /// Sends a request; `None` if the admission is over.
    async fn send(&mut self, step: Step, request: impl Fn(&Buyer) -> Request) -> anyhow::Result<Option<Response>> {
        let response = self.account.send(step, request).await?;
        let is_over = matches!(response.status, 401 | 403)
            && response.code().is_some_and(|code| ADMISSION_IS_OVER.contains(&code.as_str()));
        Ok(if is_over { None } else { Some(response) })
    }

    /// Looks at the dates, and tries one after the other.
    async fn shop(&mut self, rush: &Rush) -> anyhow::Result<Outcome> {
        let Stage { concert_id, performances, .. } = &rush.stage;
        let Some(dates) = self.send(Step::Dates, |buyer| buyer.performances(concert_id)).await? else {
            return Ok(Outcome::TooLate);
        };
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

    /// Tries seats of one performance until they are held or there are none.
    async fn try_performance(&mut self, rush: &Rush, performance: &StagePerformance) -> anyhow::Result<Tried> {
        let StagePerformance { id, hall, .. } = performance;
        let mut party = PARTIES[self.numbers.random_range(0..PARTIES.len())].min(rush.stage.party_max);
        let (mut lost, mut looks, mut known) = (0, 0, None);
        while !rush.stop.is_cancelled() {
            let Some(permit) = rush.stop.run_until_cancelled(rush.client.map_permit()).await else { break };
            let look = self.look_at_seats(performance, known).await?;
            drop(permit?);
            let Some(view) = look else { return Ok(Tried::Done(Outcome::TooLate)) };
            if let Some(seats) = hall.choose(&view, party, lost, &mut self.numbers) {
                self.think(rush).await;
                match self.hold(rush, *id, &hall.labels(&seats)).await? {
                    Hold::Held(reservation) => return Ok(Tried::Done(self.decide(rush, reservation).await?)),
                    Hold::Gone if lost == LOST_MAX => return Ok(Tried::Done(Outcome::GaveUp)),
                    Hold::Gone => lost += 1,
                    Hold::TooMany if party == 1 => return Ok(Tried::Done(Outcome::HasEnough)),
                    Hold::TooMany => party -= 1,
                    Hold::TooLate => return Ok(Tried::Done(Outcome::TooLate)),
                }
            } else if !hall.any_held(&view) {
                return Ok(Tried::AllSold);
            } else if looks == LOOKS_MAX {
                return Ok(Tried::AllHeld);
            } else {
                looks += 1;
                rush.pause(Duration::from_millis(self.numbers.random_range(LOOK_AGAIN_MILLISECONDS))).await;
            }
            known = Some(view);
        }
        Ok(Tried::Done(Outcome::WentHome))
    }

    /// The seats as they are now; `None` if the admission is over.
    async fn look_at_seats(
        &mut self,
        performance: &StagePerformance,
        known: Option<Arc<View>>,
    ) -> anyhow::Result<Option<Arc<View>>> {
        let request = |buyer: &Buyer| {
            let request = buyer.seats(performance.id);
            match &known {
                Some(view) => request.header("if-none-match", &view.tag),
                None => request,
            }
        };
        match self.send(Step::Seats, request).await? {
            Some(response) if response.status == 304 => Ok(known),
            Some(response) => performance.view(&response).context("looking at the seats").map(Some),
            None => Ok(None),
        }
    }

    async fn think(&mut self, rush: &Rush) {
        let thought = rush.options.think.mul_f64(self.numbers.random());
        if !thought.is_zero() {
            rush.pause(thought).await;
        }
    }

    async fn hold(&mut self, rush: &Rush, performance_id: Uuid, seats: &[String]) -> anyhow::Result<Hold> {
        let key = new_key();
        let hold = |buyer: &Buyer| buyer.hold(performance_id, seats).key(&key);
        let Some(response) = self.send(Step::Hold, hold).await? else { return Ok(Hold::TooLate) };
        match response.code().as_deref() {
            Some("seat_unavailable") => {
                rush.tally().lock().totals.lost_races += 1;
                Ok(Hold::Gone)
            }
            Some("seat_limit_reached" | "too_many_seats") => Ok(Hold::TooMany),
            _ => {
                let reservation: Reservation = response.read().context("holding seats")?;
                self.held = Some(reservation.id);
                Ok(Hold::Held(reservation))
            }
        }
    }

    /// Pays, or walks away.
    async fn decide(&mut self, rush: &Rush, held: Reservation) -> anyhow::Result<Outcome> {
        let seats = held.seats.len() as u64;
        rush.tally().lock().crowd.holding += 1;
        rush.tally().lock().crowd.seats_held += seats;
        self.think(rush).await;
        let decided = if self.numbers.random_range(0..100) < rush.options.walk_away {
            self.cancel(held.id).await
        } else {
            self.pay(rush, &held).await
        };
        rush.tally().lock().crowd.holding -= 1;
        rush.tally().lock().crowd.seats_held -= seats;
        decided
    }

    async fn cancel(&mut self, reservation_id: Uuid) -> anyhow::Result<Outcome> {
        let key = new_key();
        let response = self.account.send(Step::Cancel, |buyer| buyer.cancel(reservation_id).key(&key)).await?;
        if response.code().as_deref() == Some("hold_expired") {
            return Ok(Outcome::TooLate);
        }
        response.read::<IgnoredAny>().context("cancelling")?;
        Ok(Outcome::WalkedAway)
    }

    async fn pay(&mut self, rush: &Rush, held: &Reservation) -> anyhow::Result<Outcome> {
        let key = new_key();
        let response = self.send(Step::Pay, |buyer| buyer.pay(held.id).key(&key)).await?;
        let Some(response) = response.filter(|response| response.code().as_deref() != Some("hold_expired")) else {
            return Ok(Outcome::TooLate);
        };
        let payment: Payment = response.read().context("paying")?;
        if payment.amount != held.total_amount {
            bail!("a reservation of {} points was paid with {}", held.total_amount, payment.amount);
        }
        rush.sold(payment.reservation.seats.len() as u64);
        self.bought = Some(payment);
        Ok(Outcome::Bought)
    }
}
