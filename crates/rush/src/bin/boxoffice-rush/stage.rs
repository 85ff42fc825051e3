//! The seats that the crowd wants.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::bail;
use boxoffice_rush::{
    Response,
    buyer::{Concert, Performance, QueueState, QueueStatus, SeatMap},
};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    account::{Account, Wait},
    hall::{Hall, View},
    options::RushOptions,
    tally::{Step, Tally},
    waiting::{Deadline, Watch, why, why_not_joined},
};

/// How many seats the largest party wants.
const PARTY_MAX: u64 = 4;
/// How long the scout waits in the queue of a concert to see its dates. A server that has just started admits no buyer
/// for some seconds.
const SCOUT_TIME_MAX: Duration = Duration::from_mins(1);
/// The time between two rounds through the concerts, if no queue admits the scout.
const ROUND_PAUSE: Duration = Duration::from_secs(2);

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

/// How the scout looks for a concert.
pub(crate) struct Search<'r> {
    pub(crate) scout: &'r mut Account,
    pub(crate) options: &'r RushOptions,
    pub(crate) watch: &'r Watch,
    pub(crate) deadline: Deadline,
}

/// What the scout found in the queue of a concert.
enum Entry {
    Admitted,
    /// Other buyers may be admitted later; why not now.
    Later(String),
    /// There is nothing to wait for; why not.
    Never(String),
}

impl Search<'_> {
    /// Chooses the concert, and looks at its halls. Waits until the deadline if all concerts keep the scout waiting.
    pub(crate) async fn choose(mut self) -> anyhow::Result<Stage> {
        loop {
            let (mut largest, mut obstacles) = (None::<(u64, Concert, Vec<Performance>)>, Vec::new());
            for concert in self.concerts().await? {
                match self.enter(&concert).await? {
                    Entry::Admitted => {}
                    Entry::Later(why) => {
                        obstacles.push(why);
                        continue;
                    }
                    Entry::Never(why) if self.options.concert.is_some() => bail!("{why}"),
                    Entry::Never(_) => continue,
                }
                let dates = self.performances(&concert).await?;
                self.scout.leave().await?;
                let bookable = dates.iter().filter(|performance| performance.seats_available > 0);
                let most = bookable.map(|performance| performance.seats_total).max();
                if let Some(seats) = most.filter(|seats| largest.as_ref().is_none_or(|(most, ..)| seats > most)) {
                    largest = Some((seats, concert, dates));
                }
            }
            if let Some((_, concert, performances)) = largest {
                match self.enter(&concert).await? {
                    Entry::Admitted => return self.look_and_leave(concert, performances).await,
                    Entry::Later(why) | Entry::Never(why) => obstacles.push(why),
                }
            }
            if obstacles.is_empty() {
                bail!("no bookable concert has seats left");
            }
            self.tally().waits_for(Some(obstacles.join(", ")));
            sleep_until(Instant::now() + ROUND_PAUSE).await;
        }
    }

    fn tally(&self) -> &Tally {
        &self.scout.client.tally
    }

    /// All bookable concerts, or the one that the options name.
    async fn concerts(&mut self) -> anyhow::Result<Vec<Concert>> {
        match self.options.concert {
            Some(id) => {
                let path = format!("/v1/concerts/{id}");
                Ok(vec![self.scout.ask(Step::Concerts, |buyer| buyer.get(&path)).await?])
            }
            None => self.scout.ask_all(Step::Concerts, "/v1/concerts?bookable=true&limit=100").await,
        }
    }

    async fn performances(&mut self, concert: &Concert) -> anyhow::Result<Vec<Performance>> {
        let path = format!("/v1/concerts/{}/performances?limit=100", concert.id);
        self.scout.ask_all(Step::Dates, &path).await
    }

    /// Waits until the scout is admitted to a concert; if it is not in time, it has left the queue.
    async fn enter(&mut self, concert: &Concert) -> anyhow::Result<Entry> {
        let Concert { id, title, .. } = concert;
        let status = match self.scout.join(*id).await? {
            Ok(status) => status,
            Err(code) if code == "sale_not_open" => return Ok(Entry::Later(why_not_joined(&code, concert))),
            Err(code) => return Ok(Entry::Never(why_not_joined(&code, concert))),
        };
        if status.status == QueueState::Waiting {
            let stats = self.watch.stats(*id).await?;
            if stats.is_some_and(|stats| stats.paused) {
                self.scout.leave().await?;
                return Ok(Entry::Later(why(stats, title)));
            }
        }
        let client = Arc::clone(&self.scout.client);
        let seen = |status: &QueueStatus| {
            if status.status == QueueState::Waiting {
                client.tally.waits_for(Some(match status.position {
                    Some(position) => format!("position {position} in the queue of `{title}`"),
                    None => format!("the draw of `{title}` is at {}", concert.sales_open_at),
                }));
            }
        };
        let until = self.deadline.at.min(Instant::now() + SCOUT_TIME_MAX);
        let waited = timeout_at(until, self.scout.wait(status, &CancellationToken::new(), seen)).await;
        match waited.map_or(Ok(None), |waited| waited.map(Some))? {
            Some(Wait::Admitted) => Ok(Entry::Admitted),
            Some(Wait::Lost | Wait::Ended | Wait::Stopped) => {
                Ok(Entry::Never(format!("the queue of `{title}` has ended")))
            }
            None => {
                self.scout.leave().await?;
                Ok(Entry::Later(why(self.watch.stats(*id).await?, title)))
            }
        }
    }

    async fn look_and_leave(self, concert: Concert, performances: Vec<Performance>) -> anyhow::Result<Stage> {
        let stage = look(self.scout, concert, performances, self.options).await;
        self.scout.leave().await?;
        stage
    }
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
