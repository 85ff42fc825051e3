//! The seats that the crowd wants.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::bail;
use boxoffice_rush::{
    Buyer, Response,
    buyer::{Concert, List, Performance, SeatMap},
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    account::{Account, Wait},
    hall::{Hall, View},
    options::RushOptions,
    tally::Step,
};

/// How many seats the largest party wants.
const PARTY_MAX: u64 = 4;
/// How long the scout waits in the queue of a concert to see its dates. A server that has just started admits no buyer
/// for some seconds.
const SCOUT_TIME_MAX: Duration = Duration::from_mins(1);

/// The concert, and its performances whose seats are wanted.
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
    /// The latest view, so that a map that many buyers receive is parsed once.
    latest: Mutex<Option<Arc<View>>>,
}

impl StagePerformance {
    /// What a seat map shows.
    pub(crate) fn view(&self, response: &Response) -> anyhow::Result<Arc<View>> {
        let tag = response.header("etag").unwrap_or_default();
        let latest = || self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(view) = latest().as_ref().filter(|view| view.tag == tag) {
            return Ok(Arc::clone(view));
        }
        let view = Arc::new(self.hall.view(tag, response.read()?)?);
        *latest() = Some(Arc::clone(&view));
        Ok(view)
    }
}

/// Chooses the concert, and looks at its halls.
pub(crate) async fn choose(scout: &mut Account, options: &RushOptions) -> anyhow::Result<Stage> {
    let (mut found, mut busy) = (None::<(u64, Concert, Vec<Performance>)>, 0);
    for concert in concerts(scout, options.concert).await? {
        if !is_admitted(scout, &concert).await? {
            busy += 1;
            continue;
        }
        let dates: List<Performance> = scout.ask(Step::Dates, |buyer| buyer.performances(concert.id)).await?;
        scout.leave().await?;
        let bookable = dates.items.iter().filter(|performance| performance.seats_available > 0);
        let largest = bookable.map(|performance| performance.seats_total).max();
        if let Some(seats) = largest.filter(|seats| found.as_ref().is_none_or(|(most, ..)| seats > most)) {
            found = Some((seats, concert, dates.items));
        }
    }
    let Some((_, concert, performances)) = found else {
        bail!("no bookable concert has seats left ({busy} were left out because their queue is too long)");
    };
    if !is_admitted(scout, &concert).await? {
        bail!("the queue of `{}` has become too long", concert.title);
    }
    let stage = look(scout, concert, performances, options).await;
    scout.leave().await?;
    stage
}

/// The bookable concerts, or the one that the options name.
async fn concerts(scout: &mut Account, only: Option<Uuid>) -> anyhow::Result<Vec<Concert>> {
    if let Some(id) = only {
        let path = format!("/v1/concerts/{id}");
        return Ok(vec![scout.ask(Step::Concerts, |buyer| buyer.get(&path)).await?]);
    }
    let list = |buyer: &Buyer| buyer.get("/v1/concerts?bookable=true");
    Ok(scout.ask::<List<Concert>>(Step::Concerts, list).await?.items)
}

/// Whether the scout was admitted in time. If it was not, it has left the queue.
async fn is_admitted(scout: &mut Account, concert: &Concert) -> anyhow::Result<bool> {
    let status = scout.join(concert.id).await?;
    if let Ok(waited) = timeout(SCOUT_TIME_MAX, scout.wait(status, &CancellationToken::new())).await {
        return Ok(waited? == Wait::Admitted);
    }
    scout.leave().await?;
    Ok(false)
}

/// Takes performances by their start until they have as many seats as are wanted.
async fn look(
    scout: &mut Account,
    concert: Concert,
    performances: Vec<Performance>,
    options: &RushOptions,
) -> anyhow::Result<Stage> {
    let (mut chosen, mut seats_wanted, mut price_max) = (Vec::new(), 0, 0);
    for performance in performances {
        let missing = u64::from(options.seats) - seats_wanted;
        if missing == 0 {
            break;
        }
        let map: SeatMap = scout.ask(Step::Seats, |buyer| buyer.seats(performance.id)).await?;
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
