//! The waiting room in Redis: for any number of server processes.
//!
//! Every step on a queue is a script that Redis runs alone, and every step first advances the queue to now: what is due
//! ends, the next are admitted. So nothing can come between two instances, the cap holds at any instant, and the step
//! that frees an admission gives it to the next in the queue. One step ends or admits a few hundred at most, and the next
//! one goes on. Works with Redis 6.2 and Valkey, alone, with sentinels, or as a cluster: all keys of a queue are on one
//! node.
//!
//! # What Redis holds
//!
//! For each concert, under `PREFIX:{CONCERT}:`
//!
//! | key | what |
//! | --- | --- |
//! | `queue` | a hash: when the queue was opened, the last place, the terms, counters, the rate |
//! | `waiting` | the accounts that wait, by sort key: the number of the place, or the number drawn |
//! | `drawn` | those of them that are sorted by a number drawn, by the number of the place |
//! | `joined` | when an account joined, if the number of its place says something else |
//! | `active`, `ending` | the admissions, and when each ends |
//! | `ended` | the places that ended, as long as earlier ones may be restored |
//! | `minute` | how many were admitted in each of the last seconds |
//! | `left` | the latest who left while they waited |
//!
//! and under `PREFIX:{queues}:` since when this Redis is ours and three lists of the queues. An account that waits takes
//! about 130 bytes (measured: 128 MB for a million), and twice that before a draw. The number of a place counts from the
//! time in microseconds and says when the account joined, to the millisecond; only if that is not so (after a thousand
//! have joined within a millisecond, or in a restored queue) the time of joining takes another 100 bytes.
//!
//! A queue itself never goes back in time. The clocks of the instances should differ by less than a second: a place that
//! was given by a clock ahead just before Redis was emptied may otherwise count as one of the new queue, and end. Redis
//! must not evict anything: `maxmemory-policy noeviction`.
//!
//! # What else instances share
//!
//! [Announcements](RedisWaitingRoom::announcements) go over the channel `PREFIX:announced`, and
//! [quotas](RedisWaitingRoom::quotas) are kept under `PREFIX:quota:`, each for a minute at most.
//!
//! # When Redis comes back empty
//!
//! The tokens are not lost. The next request opens the queue again, with the present time as its first place: lower
//! places are [forgotten](Recall::Forgotten), and [restored](WaitingRoom::restore) in the old order, before all accounts
//! that have joined since. A key says since when this Redis is ours; for [`Settings::reform_seconds`] from then nobody
//! is admitted. A queue that was lost alone, with one node of a cluster, re-forms as long from its own opening once an
//! account comes back. For what has ended, see [the waiting room in memory](crate::memory).
//!
//! # Polls
//!
//! Most polls are answered without Redis, from the place in the token and a snapshot of the queue that is at most
//! [`RedisSettings::snapshot_age_max`] old and taken by the request that asks first. The position then has an error of at
//! most 1/16 of it. Redis is asked about all that may have been admitted since: the first 512 in the queue, or as many as
//! are admitted at once if that is more; so their position is exact. It is also asked about places that have ended or
//! were given before the queue was opened, and about those drawn once the queue has opened. A place that was left or
//! emptied away at one instance may be said to wait by another one for as long as its snapshot is old.
//!
//! # While Redis is away
//!
//! Everything fails at once with [`StorageError::Unavailable`](boxoffice_domain::StorageError::Unavailable), except for those who were admitted when the last
//! snapshot was taken: they stay so until their admission ends. That they hold seats or have paid is remembered, and
//! done in Redis when it is back; a place that was spent is expired at this instance from the payment on.

mod announcements;
mod core;
mod known;
mod pending;
mod queue_list;
mod quotas;
mod scripts;
mod snapshot;
mod steps;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, Clock, ConcertId, Timestamp,
    announcements::Announcements,
    waiting_room::{
        JoinRequest, Joined, PlaceNumber, QueueCensus, QueuePlace, QueueStats, QueueStatus, QueueTerms, Recall,
        RestoreRequest, WaitingRoom, WaitingRoomError,
    },
};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};
use uuid::Uuid;

use self::{
    announcements::{Announcer, publish},
    core::{Core, Outcome, is_passing},
    known::KnownQueues,
    pending::{Act, Pending},
    queue_list::QueueList,
    steps::Steps,
};
use crate::{
    link::{Link, Listener, MICROS_MAX, damaged, micros},
    rules::{Rules, expired, known},
    settings::{Settings, describe_metrics},
};

pub use self::{
    announcements::Announced,
    quotas::{QuotaTaken, RedisQuotas},
};
pub use crate::link::RedisUrl;

/// How long watchers of a queue wait for a message about a change before they look themselves.
const LOOK_AFTER: Duration = Duration::from_millis(400);
/// How often it is tried to do in Redis what could not be done while it was away.
const PENDING_INTERVAL: Duration = Duration::from_millis(200);

/// How Redis is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSettings {
    /// What all keys begin with: installations that share a Redis differ in this.
    pub prefix: String,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long a command may take.
    pub command_timeout: Duration,
    /// How old the snapshot of a queue may be that polls are answered from. With zero every poll asks Redis.
    pub snapshot_age_max: Duration,
}

impl Default for RedisSettings {
    fn default() -> Self {
        Self {
            prefix: "boxoffice".to_owned(),
            connect_timeout: Duration::from_secs(1),
            command_timeout: Duration::from_millis(500),
            snapshot_age_max: Duration::from_millis(250),
        }
    }
}

/// The waiting room in Redis. See the [module](self).
pub struct RedisWaitingRoom {
    core: Arc<Core>,
    announcer: Arc<Announcer>,
    /// What ends with the waiting room.
    tasks: Vec<JoinHandle<()>>,
}

impl fmt::Debug for RedisWaitingRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisWaitingRoom").field("link", &self.core.steps.link).finish_non_exhaustive()
    }
}

impl Drop for RedisWaitingRoom {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl RedisWaitingRoom {
    /// A waiting room over this Redis. Waits for the first connection as long as connecting may take; if Redis is away
    /// then, everything fails until it is there. Settings out of their bounds are moved into them.
    pub async fn connect(url: RedisUrl, clock: Arc<dyn Clock>, rules: Settings, settings: RedisSettings) -> Self {
        describe_metrics();
        metrics::describe_gauge!("boxoffice_redis_connected", "Whether there is a connection to Redis: 1 or 0.");
        metrics::describe_counter!(
            "boxoffice_redis_failures_total",
            "Commands that Redis did not carry out, by reason."
        );
        let link = Arc::new(Link::new(url, settings.connect_timeout, settings.command_timeout));
        let (announcer, announced) = Announcer::new();
        let announcer = Arc::new(announcer);
        let steps = Arc::new(Steps {
            rules: Rules::new(rules.bounded(), clock.now()),
            clock,
            prefix: settings.prefix,
            link: Arc::clone(&link),
            queues: KnownQueues::default(),
        });
        let list = QueueList::new(Arc::clone(&steps));
        let core = Core { steps, list, pending: Pending::default(), snapshot_age_max: settings.snapshot_age_max };
        let core = Arc::new(core);
        let channels = Channels {
            announced: format!("{}:announced", core.steps.prefix),
            core: Arc::clone(&core),
            announcer: Arc::clone(&announcer),
        };
        let publishing = publish(Arc::clone(&announcer), Arc::clone(&link), channels.announced.clone(), announced);
        let names = vec![core.steps.channel(), channels.announced.clone()];
        let tasks = vec![
            tokio::spawn(Arc::clone(&link).keep_connected()),
            tokio::spawn(Arc::clone(&link).keep_listening(names, channels)),
            tokio::spawn(do_pending(Arc::clone(&core))),
            tokio::spawn(publishing),
        ];
        let waiting_room = Self { core, announcer, tasks };
        // The first advance writes down since when this Redis is ours, which should be as early as may be.
        let _ = timeout(link.connect_timeout(), async {
            link.up().await;
            let _ = waiting_room.core.list.advance().await;
        })
        .await;
        waiting_room
    }

    /// Whether there is a connection at the moment.
    pub fn is_connected(&self) -> bool {
        self.core.steps.link.is_up()
    }

    /// Publishes to the other instances over this Redis.
    pub fn announcements(&self) -> Arc<dyn Announcements> {
        Arc::clone(&self.announcer) as Arc<dyn Announcements>
    }

    /// Listens to what the other instances announce.
    pub fn listen(&self) -> Announced {
        self.announcer.listen()
    }

    /// The quotas that all instances share.
    pub fn quotas(&self) -> RedisQuotas {
        RedisQuotas::new(Arc::clone(&self.core.steps.link), &self.core.steps.prefix)
    }
}

#[async_trait]
impl WaitingRoom for RedisWaitingRoom {
    async fn join(&self, request: JoinRequest) -> Result<Joined, WaitingRoomError> {
        let JoinRequest { concert_id, account_id, .. } = request;
        let queue = self.core.queue(concert_id);
        let mut reply = self.core.step_opening(&queue, &scripts::JOIN, request).await?;
        let standing = match self.core.outcome(&mut reply)? {
            Outcome::Stands(standing) => standing,
            Outcome::Full => return Err(WaitingRoomError::Full),
            Outcome::Forgotten => return Err(damaged().into()),
        };
        let values = &mut reply.values;
        let (number, joined_at) = (PlaceNumber(values.number("number")?), values.time("joined_at")?);
        let place = QueuePlace { concert_id, account_id, number, joined_at };
        let newly = values.flag("newly")?;
        if newly {
            metrics::counter!("boxoffice_queue_joined_total").increment(1);
        }
        queue.apply_standing(&place, standing);
        Ok(Joined { status: QueueStatus { place, standing }, newly })
    }

    async fn status(&self, place: &QueuePlace) -> Result<Recall, WaitingRoomError> {
        let queue = self.core.queue(place.concert_id);
        if self.core.pending.has_spent(place) {
            return Ok(expired(place));
        }
        let asked = match self.core.recent_standing(&queue, place).await {
            Ok(Some(standing)) => return Ok(known(place, standing)),
            Ok(None) => self.core.ask(&queue, place).await,
            Err(error) => Err(error),
        };
        match asked {
            Err(error) if is_passing(&error) => match self.core.last_standing(&queue, place) {
                Some(standing) => Ok(known(place, standing)),
                None => Err(error.into()),
            },
            asked => Ok(asked?),
        }
    }

    async fn restore(&self, request: RestoreRequest) -> Result<QueueStatus, WaitingRoomError> {
        let place = request.place;
        let queue = self.core.queue(place.concert_id);
        let mut reply = self.core.step_opening(&queue, &scripts::RESTORE, request).await?;
        match self.core.outcome(&mut reply)? {
            Outcome::Stands(standing) => {
                queue.apply_standing(&place, standing);
                Ok(QueueStatus { place, standing })
            }
            Outcome::Full => Err(WaitingRoomError::Full),
            Outcome::Forgotten => Err(damaged().into()),
        }
    }

    async fn leave(&self, place: &QueuePlace) -> Result<(), WaitingRoomError> {
        let queue = self.core.queue(place.concert_id);
        if self.core.is_restorable(place, self.core.now()) {
            // A queue has to remember that this place is not to be restored.
            self.core.step_opening(&queue, &scripts::LEAVE, *place).await?;
        } else {
            self.core.step(&queue, &scripts::LEAVE, *place).await?;
        }
        queue.leave(place);
        Ok(())
    }

    async fn keep_until(
        &self,
        concert_id: ConcertId,
        account_id: AccountId,
        held_until: Option<Timestamp>,
    ) -> Result<(), WaitingRoomError> {
        let queue = self.core.queue(concert_id);
        match self.core.keep_until(&queue, account_id, held_until).await {
            Err(error) if is_passing(&error) && queue.admitted(account_id, self.core.now()).is_some() => {
                queue.keep_until(account_id, held_until);
                let remembered = self.core.pending.remember(concert_id, account_id, Act::Keep(held_until));
                if remembered { Ok(()) } else { Err(error.into()) }
            }
            kept => Ok(kept?),
        }
    }

    async fn spend(&self, concert_id: ConcertId, account_id: AccountId) -> Result<(), WaitingRoomError> {
        let queue = self.core.queue(concert_id);
        // Any place has at most this number.
        match self.core.spend(&queue, account_id, MICROS_MAX).await {
            Err(WaitingRoomError::Storage(error)) if is_passing(&error) => {
                let now = self.core.now();
                let admitted = queue.admitted(account_id, now);
                // A place that is given from now on is not the one that has paid.
                let number_max = admitted.map_or_else(|| micros(now), |admitted| admitted.number.0);
                if !self.core.pending.remember(concert_id, account_id, Act::Spend { number_max }) {
                    return Err(error.into());
                }
                queue.end_admission(account_id);
                Ok(())
            }
            spent => spent,
        }
    }

    async fn set_terms(&self, concert_id: ConcertId, terms: QueueTerms) -> Result<(), WaitingRoomError> {
        let queue = self.core.queue(concert_id);
        // If there is no queue, the request that opens it brings the terms.
        self.core.step(&queue, &scripts::SET_TERMS, terms).await?;
        queue.drop_snapshot();
        Ok(())
    }

    async fn empty(&self, concert_id: ConcertId) -> Result<u64, WaitingRoomError> {
        let queue = self.core.queue(concert_id);
        // A queue has to remember that no earlier place is to be restored.
        let mut reply = self.core.step_opening(&queue, &scripts::EMPTY, ()).await?;
        queue.drop_snapshot();
        Ok(reply.values.number("ended")?)
    }

    async fn stats(&self, concert_id: ConcertId) -> Result<Option<QueueStats>, WaitingRoomError> {
        let queue = self.core.queue(concert_id);
        let Some(mut reply) = self.core.step(&queue, &scripts::STATS, ()).await? else { return Ok(None) };
        let values = &mut reply.values;
        Ok(Some(QueueStats {
            waiting: values.number("waiting")?,
            active: values.number("active")?,
            admitted_total: values.number("admitted_total")?,
            admitted_last_minute: values.number("admitted_last_minute")?,
            no_shows_total: values.number("no_shows_total")?,
            oldest_joined_at: values.time_if_any("oldest_joined_at")?,
        }))
    }

    async fn changed(&self, concert_id: ConcertId, seen: u64) -> Result<u64, WaitingRoomError> {
        let queue = self.core.queue(concert_id);
        let mut watched = queue.watch();
        loop {
            let version = *watched.borrow_and_update();
            if version != seen {
                self.core.catch_up(&queue).await;
                return Ok(version);
            }
            if timeout(LOOK_AFTER, watched.changed()).await.is_err() {
                self.core.look(&queue).await;
            }
        }
    }

    async fn advance(&self) -> Result<Option<Timestamp>, WaitingRoomError> {
        Ok(self.core.list.advance().await?)
    }

    async fn census(&self, limit: usize) -> Result<Vec<QueueCensus>, WaitingRoomError> {
        Ok(self.core.list.census(limit).await?)
    }
}

/// What this instance listens to: changes of queues, and announcements.
struct Channels {
    core: Arc<Core>,
    announcer: Arc<Announcer>,
    announced: String,
}

impl Listener for Channels {
    fn begins(&self) {
        self.core.steps.queues.wake_all();
        self.announcer.begins_to_listen();
    }

    fn hears(&self, channel: &str, message: &[u8]) {
        if channel == self.announced {
            self.announcer.hear(message);
        } else if let Some(change) = Change::read(message)
            && let Some(queue) = self.core.steps.queues.known(change.concert_id)
        {
            queue.apply_version(change.opened_at, change.version);
        }
    }

    fn ends(&self) {
        self.announcer.listens_no_more();
    }
}

/// That standings in a queue have changed, as a step publishes it.
struct Change {
    concert_id: ConcertId,
    opened_at: u64,
    version: u64,
}

impl Change {
    /// Reads a message; `None` if it is not ours.
    fn read(message: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(message).ok()?;
        let value = |name: &str| text.split(' ').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        Some(Self {
            concert_id: ConcertId::new(Uuid::parse_str(value("concert")?).ok()?),
            opened_at: value("opened_at")?.parse().ok()?,
            version: value("version")?.parse().ok()?,
        })
    }
}

/// Does in Redis what could not be done while it was away, as soon as it is back. Never ends.
async fn do_pending(core: Arc<Core>) {
    loop {
        sleep(PENDING_INTERVAL).await;
        if !core.pending.is_empty() && core.steps.link.is_up() {
            core.do_pending().await;
        }
    }
}
