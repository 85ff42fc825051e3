//! The waiting room in Redis: for any number of server processes.
//!
//! Every step on a queue is a script that Redis runs alone, and every step first advances the queue to now: what is due
//! ends, the next are admitted. So nothing can come between two instances, the limit holds at any instant, and the step
//! that frees an admission gives it to the next in the queue. One step ends or admits a few hundred at most, and the next
//! one goes on. It works with Redis 6.2 and Valkey, alone, with sentinels, or as a cluster: all keys of a queue are on
//! one node.
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
//! | `idle` | when an admission ends unless it is used before |
//! | `networks` | from which network how many have joined within this hour |
//! | `ended` | the places that ended, as long as earlier ones may be restored |
//! | `minute` | how many were admitted in each of the last seconds |
//! | `left` | the latest who left while they waited |
//!
//! and under `PREFIX:{queues}:` since when this Redis is ours and three lists of the queues. An account that waits takes
//! about 130 bytes, and twice that before a draw. The number of a place counts microseconds since 1970 and says when the
//! account joined, to the millisecond. Only if it does not (after a thousand have joined within a millisecond, or in a
//! restored queue), the time of joining takes another 100 bytes.
//!
//! A queue itself never goes back in time. The places of a new queue begin two seconds ahead of the clock that opens it, so
//! that those which an instance gave before Redis was emptied are below, also if its clock was ahead by as much; instances
//! that are further off do nothing. Redis must not evict anything: `maxmemory-policy noeviction`.
//!
//! # When Redis comes back empty
//!
//! The tokens are not lost. The next request opens the queue again, with a little more than the present time as its first
//! place: lower places are [forgotten](Recall::Forgotten), and [restored](WaitingRoom::restore) in the old order, before all accounts
//! that have joined since. A key says since when this Redis is ours; for [`Settings::reform_seconds`] from then none is
//! admitted. A queue that was lost alone, with one node of a cluster, re-forms for as long from its opening once an
//! account comes back. For what has ended, see [the waiting room in memory](crate::memory).
//!
//! # Polls
//!
//! Most polls are answered without Redis, from the place in the token and a snapshot of the queue that is at most
//! `snapshot_age_max` old and taken by the request that asks first. The position then has an error of at most 1/16 of it.
//! Redis is asked about all that may have been admitted since: the first 512 in the queue, or as many as are admitted at
//! once if that is more; so their position is exact. It is also asked about places that have ended or were given before
//! the queue was opened, and about those drawn once the queue has opened. A place that was left or emptied away at one
//! instance may still wait for another one while the snapshot there is old.
//!
//! # While Redis is away
//!
//! Everything fails at once with [`StorageError::Unavailable`](boxoffice_domain::StorageError::Unavailable), except for
//! the accounts that were admitted when the last snapshot was taken: they stay so until their admission ends. That they
//! hold seats or have paid is remembered, and done in Redis when it is back. A place that was spent is expired at this
//! instance from the payment on. That they asked meanwhile is not written down, so an instance judges the absence of an
//! account only from when Redis answers it again.

mod core;
mod known;
mod pending;
mod queue_list;
mod scripts;
mod snapshot;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, Clock, ConcertId, Timestamp,
    waiting_room::{
        JoinRequest, Joined, QueueCensus, QueuePlace, QueueStats, QueueStatus, QueueTerms, Recall, RestoreRequest,
        Visit, WaitingRoom, WaitingRoomError,
    },
};
use boxoffice_peers::redis::{Link, Listener, MICROS_MAX, Reply, damaged, micros};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use self::{
    core::{Answers, Core, is_passing},
    known::KnownQueues,
    pending::{Act, Pending},
};
use crate::{
    rules::{Rules, expired, known},
    settings::{Settings, describe_metrics},
};

/// How long watchers of a queue wait for a message about a change before they look themselves.
const LOOK_AFTER: Duration = Duration::from_millis(400);
/// How far the places of a new queue are ahead of the clock that opens it. The clocks of two instances that serve differ by
/// less.
const OPENED_AHEAD_MICROS: u64 = 2_000_000;
/// How often it is tried to do in Redis what could not be done while it was away.
const PENDING_INTERVAL: Duration = Duration::from_millis(200);

/// The waiting room in Redis. See the [module](self).
pub struct RedisWaitingRoom {
    core: Arc<Core>,
    /// End with the waiting room.
    tasks: [JoinHandle<()>; 2],
}

impl fmt::Debug for RedisWaitingRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisWaitingRoom").field("link", &self.core.link).finish_non_exhaustive()
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
    /// A waiting room over this connection. Waits until it is there as long as connecting may take; if Redis is away then,
    /// everything fails until it is there. With a `snapshot_age_max` of zero every poll asks Redis. Settings out of their
    /// bounds are moved into them.
    pub async fn open(link: Arc<Link>, clock: Arc<dyn Clock>, rules: Settings, snapshot_age_max: Duration) -> Self {
        describe_metrics();
        let core = Arc::new(Core {
            rules: Rules::new(rules.bounded(), clock.now()),
            clock,
            link: Arc::clone(&link),
            queues: KnownQueues::default(),
            pending: Pending::default(),
            snapshot_age_max,
            answers: Answers::default(),
        });
        let changes = Changes(Arc::clone(&core));
        let tasks = [
            tokio::spawn(Arc::clone(&link).keep_listening(vec![core.channel()], changes)),
            tokio::spawn(do_pending(Arc::clone(&core))),
        ];
        // The first advance writes down since when this Redis is ours, which should be as early as may be.
        let _ = timeout(link.connect_timeout(), async {
            link.up().await;
            let _ = core.advance().await;
        })
        .await;
        Self { core, tasks }
    }

    /// Whether there is a connection at the moment.
    pub fn is_connected(&self) -> bool {
        self.core.link.is_up()
    }
}

#[async_trait]
impl WaitingRoom for RedisWaitingRoom {
    async fn join(&self, request: JoinRequest) -> Result<Joined, WaitingRoomError> {
        let JoinRequest { concert_id, account_id, .. } = request;
        let queue = self.core.queue(concert_id);
        let mut reply = self.core.step_opening(&queue, &scripts::JOIN, request).await?;
        let given = |values: &mut Reply| {
            let (number, joined_at) = (values.take("number")?, values.take("joined_at")?);
            Ok(QueuePlace { concert_id, account_id, number, joined_at })
        };
        let status = self.core.status(&mut reply, given)?.ok_or_else(damaged)?;
        let newly = reply.values.take("newly")?;
        if newly {
            metrics::counter!("boxoffice_queue_joined_total").increment(1);
        }
        queue.apply_standing(&status.place, status.standing);
        Ok(Joined { status, newly })
    }

    async fn status(&self, place: &QueuePlace, visit: Visit) -> Result<Recall, WaitingRoomError> {
        let queue = self.core.queue(place.concert_id);
        if self.core.pending.has_spent(place) {
            return Ok(expired(place));
        }
        let asked = match self.core.recent_status(&queue, place).await {
            Ok(Some(status)) => return Ok(Recall::Known(status)),
            Ok(None) => self.core.ask(&queue, place, visit).await,
            Err(error) => Err(error.into()),
        };
        match asked {
            Err(WaitingRoomError::Storage(error)) if is_passing(&error) => {
                let standing = self.core.last_standing(&queue, place).ok_or(error)?;
                Ok(known(place, standing))
            }
            asked => asked,
        }
    }

    async fn restore(&self, request: RestoreRequest) -> Result<QueueStatus, WaitingRoomError> {
        let place = request.place;
        let queue = self.core.queue(place.concert_id);
        let mut reply = self.core.step_opening(&queue, &scripts::RESTORE, request).await?;
        let status = self.core.status(&mut reply, |_| Ok(place))?.ok_or_else(damaged)?;
        queue.apply_standing(&place, status.standing);
        Ok(status)
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
                // A place that is given from then on is not the one that has paid.
                let later = || micros(now).saturating_add(OPENED_AHEAD_MICROS);
                let number_max = admitted.map_or_else(later, |admitted| admitted.number.0);
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
        Ok(reply.values.take("ended")?)
    }

    async fn is_empty(&self, concert_id: ConcertId, since: Timestamp) -> Result<bool, WaitingRoomError> {
        let reply = self.core.step(&self.core.queue(concert_id), &scripts::STATS, ()).await?;
        if let Some(scripts::StepReply { mut values, .. }) = reply {
            if values.take::<u64>("waiting")? > 0 {
                return Ok(false);
            }
            if values.take::<u64>("restores")? == 0 {
                return Ok(true);
            }
        }
        // Of a queue that was lost alone, with one node of a cluster, the emptied queue restores nothing.
        let ours_since = self.core.register(concert_id).await?;
        Ok(ours_since.is_some_and(|ours_since| ours_since <= since))
    }

    async fn stats(&self, concert_id: ConcertId) -> Result<Option<QueueStats>, WaitingRoomError> {
        let queue = self.core.queue(concert_id);
        let Some(mut reply) = self.core.step(&queue, &scripts::STATS, ()).await? else { return Ok(None) };
        let values = &mut reply.values;
        Ok(Some(QueueStats {
            waiting: values.take("waiting")?,
            active: values.take("active")?,
            admitted_total: values.take("admitted_total")?,
            admitted_last_minute: values.take("admitted_last_minute")?,
            no_shows_total: values.take("no_shows_total")?,
            oldest_joined_at: values.take("oldest_joined_at")?,
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
        Ok(self.core.advance().await?)
    }

    async fn census(&self, limit: usize) -> Result<Vec<QueueCensus>, WaitingRoomError> {
        Ok(self.core.census(limit).await?)
    }
}

/// Listens to changes of queues.
struct Changes(Arc<Core>);

impl Listener for Changes {
    fn begins(&self) {
        self.0.queues.wake_all();
    }

    fn apply(&self, _channel: &str, message: &[u8]) {
        if let Some(change) = Change::read(message)
            && let Some(queue) = self.0.queues.known(change.concert_id)
        {
            queue.apply_version(change.opened_at, change.version);
        }
    }

    fn ends(&self) {}
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
            concert_id: value("concert")?.parse().ok()?,
            opened_at: value("opened_at")?.parse().ok()?,
            version: value("version")?.parse().ok()?,
        })
    }
}

/// Does in Redis what could not be done while it was away, as soon as it is back. Never ends.
async fn do_pending(core: Arc<Core>) {
    loop {
        sleep(PENDING_INTERVAL).await;
        if core.link.is_up() {
            core.do_pending().await;
        }
    }
}
