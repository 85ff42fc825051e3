//! The seats that the crowd is after.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::bail;
use boxoffice_rush::{
    Buyer, Response,
    buyer::{Concert, List, Performance, SeatMap},
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    client::Client,
    hall::{Hall, View},
    options::RushOptions,
    shopper::{PARTY_MAX, Shopper, Wait},
    tally::Step,
};

/// How long the scout waits in the queue of a concert to see its dates. A server that has just started admits no buyer
/// for some seconds.
const SCOUT_TIME_MAX: Duration = Duration::from_mins(1);

/// The concert, and those of its performances whose seats are wanted.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) concert_id: Uuid,
    pub(crate) title: String,
    /// How many seats one account may have, at most those of the largest party.
    pub(crate) party_max: usize,
    pub(crate) performances: Vec<StagePerformance>,
    pub(crate) seats_wanted: u64,
    /// The points with which any party can pay any seats.
    pub(crate) points: u64,
}

#[derive(Debug)]
pub(crate) struct StagePerformance {
    pub(crate) id: Uuid,
    pub(crate) hall: Hall,
    /// The latest view with its tag, so that a map that many buyers get is parsed once.
    latest: Mutex<Option<(String, Arc<View>)>>,
}

impl StagePerformance {
    /// What the seat map with this tag shows.
    pub(crate) fn view(&self, tag: &str, response: &Response) -> anyhow::Result<Arc<View>> {
        let latest = || self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, view)) = latest().as_ref().filter(|(of, _)| of == tag) {
            return Ok(Arc::clone(view));
        }
        let view = Arc::new(self.hall.view(response.read()?)?);
        *latest() = Some((tag.to_owned(), Arc::clone(&view)));
        Ok(view)
    }
}

/// Chooses the concert, and looks at its halls.
pub(crate) async fn choose(client: &Client, scout: &mut Shopper, options: &RushOptions) -> anyhow::Result<Stage> {
    let (mut found, mut busy) = (None, 0);
    for concert in concerts(client, scout, options.concert).await? {
        if !is_admitted(client, scout, &concert).await? {
            busy += 1;
            continue;
        }
        let performances = performances(client, scout, &concert).await?;
        scout.leave(client).await?;
        let bookable = performances.iter().filter(|performance| performance.seats_available > 0);
        let largest = bookable.map(|performance| performance.seats_total).max();
        if let Some(seats) = largest.filter(|seats| found.as_ref().is_none_or(|(most, _)| seats > most)) {
            found = Some((seats, concert));
        }
    }
    let Some((_, concert)) = found else {
        bail!("there is no concert with seats to be had ({busy} had a line too long to look behind it)");
    };
    if !is_admitted(client, scout, &concert).await? {
        bail!("the line has become too long to look behind it");
    }
    let stage = look(client, scout, concert, options).await;
    scout.leave(client).await?;
    stage
}

/// The concerts that can be booked, or the one that the options name.
async fn concerts(client: &Client, scout: &mut Shopper, only: Option<Uuid>) -> anyhow::Result<Vec<Concert>> {
    if let Some(id) = only {
        let path = format!("/v1/concerts/{id}");
        return Ok(vec![scout.ask(client, Step::Concerts, |buyer| buyer.get(&path)).await?]);
    }
    let list = |buyer: &Buyer| buyer.get("/v1/concerts?bookable=true");
    Ok(scout.ask::<List<Concert>>(client, Step::Concerts, list).await?.items)
}

/// Whether the scout was admitted in time. If it was not, it has left the queue.
async fn is_admitted(client: &Client, scout: &mut Shopper, concert: &Concert) -> anyhow::Result<bool> {
    let status = scout.join(client, concert.id).await?;
    let stop = CancellationToken::new();
    let waited = {
        let waiting = scout.wait(client, status, &stop);
        tokio::pin!(waiting);
        tokio::select! {
            waited = &mut waiting => waited?,
            () = sleep(SCOUT_TIME_MAX) => {
                stop.cancel();
                waiting.await?
            }
        }
    };
    if waited == Wait::Stopped {
        scout.leave(client).await?;
    }
    Ok(waited == Wait::Admitted)
}

/// The performances by their start.
async fn performances(client: &Client, scout: &mut Shopper, concert: &Concert) -> anyhow::Result<Vec<Performance>> {
    Ok(scout.ask::<List<_>>(client, Step::Dates, |buyer| buyer.performances(concert.id)).await?.items)
}

/// Takes performances by their start until they have as many seats as are wanted.
async fn look(client: &Client, scout: &mut Shopper, concert: Concert, options: &RushOptions) -> anyhow::Result<Stage> {
    let (mut chosen, mut seats_wanted, mut price_max) = (Vec::new(), 0, 0);
    for performance in performances(client, scout, &concert).await? {
        let missing = u64::from(options.seats) - seats_wanted;
        if missing == 0 {
            break;
        }
        let map: SeatMap = scout.ask(client, Step::Seats, |buyer| buyer.seats(performance.id)).await?;
        let hall = Hall::new(map, usize::try_from(missing)?);
        if hall.wanted() > 0 {
            seats_wanted += hall.wanted() as u64;
            price_max = price_max.max(performance.price_max);
            chosen.push(StagePerformance { id: performance.id, hall, latest: Mutex::default() });
        }
    }
    if chosen.is_empty() {
        bail!("`{}` has no seats left", concert.title);
    }
    let party_max = PARTY_MAX.min(concert.max_seats_per_account);
    Ok(Stage {
        concert_id: concert.id,
        title: concert.title,
        party_max: usize::try_from(party_max)?,
        performances: chosen,
        seats_wanted,
        points: price_max * party_max,
    })
}
