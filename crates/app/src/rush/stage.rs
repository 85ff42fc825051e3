//! Which seats the crowd is after.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, bail};
use boxoffice_load::Request;
use serde::Deserialize;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    buyer::{Buyer, PARTY_MAX, Place, Wait, read},
    client::Client,
    hall::{Hall, View},
    options::RushOptions,
    tally::Step,
};

/// How long the first of the crowd waits in front of a concert to see its dates. After a start of the server nobody
/// is admitted for some seconds.
const SCOUT_TIME_MAX: Duration = Duration::from_mins(1);

/// The concert, and those of its performances whose seats are wanted.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) concert_id: Uuid,
    pub(crate) title: String,
    /// How many seats one account may have.
    pub(crate) party_max: usize,
    pub(crate) performances: Vec<Performance>,
    pub(crate) seats_wanted: u64,
    /// The points with which anybody can pay anything.
    pub(crate) points: u64,
}

/// One evening of it.
#[derive(Debug)]
pub(crate) struct Performance {
    pub(crate) id: Uuid,
    pub(crate) hall: Hall,
    /// The last view that was read, with its tag: the same map that many ask for at once is parsed once.
    latest: Mutex<Option<(String, Arc<View>)>>,
}

impl Performance {
    /// What a seat map with this tag shows.
    pub(crate) fn view(&self, tag: &str, body: &[u8]) -> anyhow::Result<Arc<View>> {
        let latest = || self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, view)) = latest().as_ref().filter(|(of, _)| of == tag) {
            return Ok(Arc::clone(view));
        }
        let view = Arc::new(self.hall.view(body)?);
        *latest() = Some((tag.to_owned(), Arc::clone(&view)));
        Ok(view)
    }
}

#[derive(Deserialize)]
struct List<T> {
    items: Vec<T>,
}

#[derive(Clone, Deserialize)]
struct Concert {
    id: Uuid,
    title: String,
    max_seats_per_account: u64,
}

#[derive(Deserialize)]
struct Date {
    id: Uuid,
    seats_total: u64,
    seats_available: u64,
    price_max: u64,
}

/// Chooses the concert, and looks at its halls.
pub(crate) async fn choose(client: &Client, scout: &mut Buyer, options: &RushOptions) -> anyhow::Result<Stage> {
    let (mut found, mut busy) = (None, 0);
    for concert in concerts(client, scout, options.concert).await? {
        let Some(place) = admitted(client, scout, &concert).await? else {
            busy += 1;
            continue;
        };
        let dates = dates(client, scout, &place, &concert).await?;
        scout.leave(client, &place).await?;
        let largest = dates.iter().filter(|date| date.seats_available > 0).map(|date| date.seats_total).max();
        if let Some(seats) = largest.filter(|seats| found.as_ref().is_none_or(|(most, _)| seats > most)) {
            found = Some((seats, concert));
        }
    }
    let Some((_, concert)) = found else {
        bail!("there is no concert with seats to be had ({busy} had a line too long to look behind it)");
    };
    let place = admitted(client, scout, &concert).await?.context("the line has become too long to look behind it")?;
    let stage = look(client, scout, &place, concert, options).await;
    scout.leave(client, &place).await?;
    stage
}

/// Those that can be booked, or the one that was asked for.
async fn concerts(client: &Client, scout: &mut Buyer, only: Option<Uuid>) -> anyhow::Result<Vec<Concert>> {
    if let Some(id) = only {
        return Ok(vec![scout.get(client, Step::Concerts, &format!("/v1/concerts/{id}")).await?]);
    }
    let answer = client.send(Step::Concerts, &Request::get("/v1/concerts?bookable=true").empty()).await?;
    Ok(read::<List<Concert>>(&answer, "listing the concerts")?.items)
}

/// An admission, where there is one in time.
async fn admitted(client: &Client, scout: &mut Buyer, concert: &Concert) -> anyhow::Result<Option<Place>> {
    let mut place = scout.join(client, concert.id).await?;
    let stop = CancellationToken::new();
    let waited = {
        let waiting = scout.wait(client, &mut place, &stop);
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
        scout.leave(client, &place).await?;
    }
    Ok((waited == Wait::Admitted).then_some(place))
}

/// The performances by their start.
async fn dates(client: &Client, scout: &mut Buyer, place: &Place, concert: &Concert) -> anyhow::Result<Vec<Date>> {
    let path = format!("/v1/concerts/{}/performances?limit=100", concert.id);
    let answer = scout.look(client, Step::Dates, place, &path).await?;
    Ok(read::<List<Date>>(&answer, "looking at the dates")?.items)
}

/// Takes performances by their start until they have as many seats as are wanted.
async fn look(
    client: &Client,
    scout: &mut Buyer,
    place: &Place,
    concert: Concert,
    options: &RushOptions,
) -> anyhow::Result<Stage> {
    let (mut performances, mut seats_wanted, mut price_max) = (Vec::new(), 0, 0);
    for date in dates(client, scout, place, &concert).await? {
        let missing = u64::from(options.seats) - seats_wanted;
        if missing == 0 {
            break;
        }
        let answer = scout.look(client, Step::Seats, place, &format!("/v1/performances/{}/seats", date.id)).await?;
        let hall = Hall::new(read(&answer, "looking at the seats")?, usize::try_from(missing)?);
        if hall.wanted() > 0 {
            seats_wanted += hall.wanted() as u64;
            price_max = price_max.max(date.price_max);
            performances.push(Performance { id: date.id, hall, latest: Mutex::default() });
        }
    }
    if performances.is_empty() {
        bail!("`{}` has no seats left", concert.title);
    }
    let party_max = PARTY_MAX.min(concert.max_seats_per_account);
    Ok(Stage {
        concert_id: concert.id,
        title: concert.title,
        party_max: usize::try_from(party_max)?,
        performances,
        seats_wanted,
        points: price_max * party_max,
    })
}
