//! The waiting room without the tasks that serve it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use boxoffice_domain::{
    AccountId, Clock, ConcertId, StorageError, Timestamp, seconds_after,
    waiting_room::{QueuePlace, QueueReason, QueueStatus, Recall, SaleEnd, Standing, Visit, WaitingRoomError},
};
use boxoffice_peers::redis::{Argument, Link, Reply, Script, damaged};
use tokio::time::{Instant, sleep_until};

use super::{
    known::{KnownQueue, KnownQueues},
    pending::{Act, Pending},
    scripts::{self, Context, Step, StepReply, queue_keys},
    snapshot::{Pace, Snapshot, Update},
};
use crate::rules::{Rules, expired};

/// How long watchers wait from one look at a queue to the next while it changes all the time.
const LOOK_MIN: Duration = Duration::from_millis(50);
/// How often a step is repeated because there was no queue.
const OPEN_ATTEMPTS_MAX: usize = 3;

/// The waiting room without the tasks that serve it.
pub(super) struct Core {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) rules: Rules,
    pub(super) link: Arc<Link>,
    pub(super) queues: KnownQueues,
    pub(super) pending: Pending,
    pub(super) snapshot_age_max: Duration,
    pub(super) answers: Answers,
}

/// Since when Redis has answered this instance without a break.
#[derive(Debug, Default)]
pub(super) struct Answers(Mutex<Option<Timestamp>>);

impl Answers {
    /// Since when, to a command that is sent now.
    fn since(&self, now: Timestamp) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(now)
    }

    /// Takes note of what became of a command.
    pub(super) fn note<T>(&self, outcome: Result<T, StorageError>) -> Result<T, StorageError> {
        if matches!(outcome, Err(StorageError::Unavailable(_))) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        outcome
    }
}

impl Core {
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Runs a script, unless the clock is wrong: a queue takes the latest time that an instance sends.
    pub(super) async fn run_script<A: Argument>(
        &self,
        script: &Script<A>,
        keys: &[String],
        arguments: &A,
    ) -> Result<Option<Reply>, StorageError> {
        let ran = if self.clock.is_trusted() {
            self.link.run(script, keys, arguments).await
        } else {
            Err(StorageError::wrong_clock())
        };
        self.answers.note(ran)
    }

    pub(super) fn queue(&self, concert_id: ConcertId) -> Arc<KnownQueue> {
        self.queues.of(concert_id)
    }

    /// The channel on which it is published that standings have changed.
    pub(super) fn channel(&self) -> String {
        format!("{}:changed", self.link.prefix())
    }

    /// Runs a step on a queue; `None` if there is no queue.
    pub(super) async fn run_step<A: Argument>(
        &self,
        queue: &KnownQueue,
        step: &Step<A>,
        arguments: A,
    ) -> Result<Option<StepReply>, StorageError> {
        let settings = &self.rules.settings;
        let micros = |seconds: u32| u64::from(seconds) * 1_000_000;
        let concert = queue.concert_id.to_string();
        let keys = queue_keys(self.link.prefix(), &concert);
        let now = self.now();
        let context = Context {
            now,
            answered_since: self.answers.since(now),
            capacity: settings.capacity as u64,
            admission_micros: micros(settings.admission_seconds),
            no_show_micros: micros(settings.no_show_seconds),
            idle_micros: micros(settings.idle_admission_seconds),
            joins_per_network_max: settings.joins_per_network_max,
            reform_micros: micros(settings.reform_seconds),
            restorable_micros: micros(settings.restorable_seconds),
            channel: self.channel(),
            concert,
        };
        let replied = self.run_script(step, &keys, &(context, arguments)).await?;
        let Some(values) = replied else { return Ok(None) };
        let reply = StepReply::read(values)?;
        metrics::counter!("boxoffice_queue_admitted_total").increment(reply.admitted);
        metrics::counter!("boxoffice_queue_no_shows_total").increment(reply.no_shows);
        metrics::counter!("boxoffice_queue_idle_total").increment(reply.idle);
        metrics::counter!("boxoffice_queue_expired_total").increment(reply.expired);
        queue.apply_version(reply.opened_at, reply.version);
        Ok(Some(reply))
    }

    /// As [`Self::run_step`], and keeps the list of queues up to date.
    pub(super) async fn step<A: Argument>(
        &self,
        queue: &KnownQueue,
        step: &Step<A>,
        arguments: A,
    ) -> Result<Option<StepReply>, StorageError> {
        let reply = self.run_step(queue, step, arguments).await?;
        if let Some(reply) = &reply {
            self.note(queue, reply).await;
        }
        Ok(reply)
    }

    /// Runs a step on a queue, and opens the queue if there is none.
    pub(super) async fn step_opening<A: Argument + Clone>(
        &self,
        queue: &KnownQueue,
        step: &Step<A>,
        arguments: A,
    ) -> Result<StepReply, WaitingRoomError> {
        for _ in 0..OPEN_ATTEMPTS_MAX {
            if let Some(reply) = self.step(queue, step, arguments.clone()).await? {
                return Ok(reply);
            }
            let Some(ours_since) = self.register(queue.concert_id).await? else {
                tracing::warn!("no further queue can be opened");
                return Err(WaitingRoomError::Full);
            };
            self.run_step(queue, &scripts::OPEN, scripts::Open { ours_since }).await?;
        }
        Err(StorageError::Unavailable("the queue was lost again and again".into()).into())
    }

    /// Reads the status of a place whose account joins, asks or comes back; `None` if the place is forgotten. `place` takes
    /// it from the reply if there is one.
    pub(super) fn status(
        &self,
        reply: &mut StepReply,
        place: impl FnOnce(&mut Reply) -> Result<QueuePlace, StorageError>,
    ) -> Result<Option<QueueStatus>, WaitingRoomError> {
        let values = &mut reply.values;
        let standing = values.take::<String>("standing")?;
        let end: Option<SaleEnd> = values.take("reason")?;
        match standing.as_str() {
            "forgotten" => return Ok(None),
            "full" => return Err(WaitingRoomError::Full),
            "network_full" => return Err(WaitingRoomError::NetworkFull { until: values.take("again_at")? }),
            "ended" => return Err(WaitingRoomError::Ended(end.ok_or_else(damaged)?)),
            _ => {}
        }
        let place = place(values)?;
        let standing = match standing.as_str() {
            "active" => Standing::Active {
                admitted_until: values.take("admitted_until")?,
                active_until: values.take("active_until")?,
            },
            "waiting" => {
                let before = values.take("before")?;
                return Ok(Some(Pace::read(values)?.status(place, before, reply.now, &self.rules)));
            }
            "expired" => Standing::Expired,
            _ => return Err(damaged().into()),
        };
        let passed_over: Option<bool> = values.take("passed_over")?;
        let passed_over = passed_over.unwrap_or_default().then_some(QueueReason::PassedOver);
        Ok(Some(QueueStatus { place, standing, reason: end.map(QueueReason::Ended).or(passed_over) }))
    }

    /// Asks Redis about a place.
    pub(super) async fn ask(
        &self,
        queue: &KnownQueue,
        place: &QueuePlace,
        visit: Visit,
    ) -> Result<Recall, WaitingRoomError> {
        let now = self.now();
        let arguments = scripts::Status { place: *place, uses: visit == Visit::Use };
        let Some(mut reply) = self.step(queue, &scripts::STATUS, arguments).await? else {
            return Ok(if self.is_restorable(place, now) { Recall::Forgotten } else { expired(place) });
        };
        let Some(status) = self.status(&mut reply, |_| Ok(*place))? else { return Ok(Recall::Forgotten) };
        queue.apply_standing(place, status.standing);
        Ok(Recall::Known(status))
    }

    /// Whether a place can be restored in a queue that is lost.
    pub(super) fn is_restorable(&self, place: &QueuePlace, now: Timestamp) -> bool {
        now < seconds_after(place.joined_at, self.rules.settings.restorable_seconds)
    }

    /// Where a place stood when Redis last replied, if it was admitted.
    pub(super) fn last_standing(&self, queue: &KnownQueue, place: &QueuePlace) -> Option<Standing> {
        let admitted = queue.admitted(place.account_id, self.now())?;
        let standing = Standing::Active { admitted_until: admitted.until, active_until: admitted.active_until };
        (admitted.number == place.number).then_some(standing)
    }

    /// A snapshot taken since then, by the request that asks first; `None` if there is no queue.
    async fn snapshot(&self, queue: &KnownQueue, since: Instant) -> Result<Option<Arc<Snapshot>>, StorageError> {
        let read = async {
            let taken = Instant::now();
            let reply = self.step(queue, &scripts::SNAPSHOT, queue.known_so_far()).await?;
            let update = reply.map(|reply| Update::read(reply, taken)).transpose()?;
            Ok(update.map(|update| queue.apply_snapshot(update)))
        };
        Ok(queue.snapshots.get(|| queue.snapshot_since(since).map(Some), read).await?)
    }

    /// The status of a place, if that is sure without asking Redis about it.
    pub(super) async fn recent_status(
        &self,
        queue: &KnownQueue,
        place: &QueuePlace,
    ) -> Result<Option<QueueStatus>, StorageError> {
        if self.snapshot_age_max.is_zero() {
            return Ok(None);
        }
        let snapshot = self.snapshot(queue, before_now(self.snapshot_age_max)).await?;
        let status = snapshot.and_then(|snapshot| snapshot.status(place, self.now(), &self.rules));
        Ok(status.filter(|_| !queue.has_left(place)))
    }

    /// Makes sure that a watcher that has seen a change finds it in the next status.
    pub(super) async fn catch_up(&self, queue: &KnownQueue) {
        if self.snapshot_age_max.is_zero() {
            return;
        }
        // Older than every snapshot.
        let known = queue.snapshot_since(before_now(self.snapshot_age_max * 2));
        let since = match known {
            Some(snapshot) if snapshot.version >= queue.version() => return,
            Some(snapshot) => snapshot.taken + LOOK_MIN,
            None => Instant::now(),
        };
        sleep_until(since).await;
        // While Redis is away, no status is newer.
        let _ = self.snapshot(queue, since).await;
    }

    /// Looks whether the queue has changed, because a message may have been lost.
    pub(super) async fn look(&self, queue: &KnownQueue) {
        let looked = if self.snapshot_age_max.is_zero() {
            self.step(queue, &scripts::VISIT, scripts::Visit { may_drop: false }).await.map(drop)
        } else {
            self.snapshot(queue, before_now(self.snapshot_age_max)).await.map(drop)
        };
        if let Err(error) = looked {
            tracing::debug!(error = &error as &dyn std::error::Error, "a queue that is watched cannot be looked at");
        }
    }

    /// Spends the place that an account has, up to this number.
    pub(super) async fn spend(
        &self,
        queue: &KnownQueue,
        account_id: AccountId,
        number_max: u64,
    ) -> Result<(), WaitingRoomError> {
        self.step_opening(queue, &scripts::SPEND, scripts::Spend { account_id, number_max }).await?;
        queue.end_admission(account_id);
        Ok(())
    }

    /// Notes until when an account holds seats.
    pub(super) async fn keep_until(
        &self,
        queue: &KnownQueue,
        account_id: AccountId,
        held_until: Option<Timestamp>,
    ) -> Result<(), StorageError> {
        self.step(queue, &scripts::KEEP_UNTIL, scripts::KeepUntil { account_id, held_until }).await?;
        queue.keep_until(account_id, held_until);
        Ok(())
    }

    /// Does in Redis what could not be done while it was away. Gives up if it is away again.
    pub(super) async fn do_pending(&self) {
        for (concert_id, account_id, act) in self.pending.all() {
            let queue = self.queue(concert_id);
            let done = match act {
                Act::Keep(held_until) => {
                    self.keep_until(&queue, account_id, held_until).await.map_err(WaitingRoomError::from)
                }
                Act::Spend { number_max } => self.spend(&queue, account_id, number_max).await,
            };
            match done {
                Ok(()) => {}
                Err(WaitingRoomError::Storage(error)) if is_passing(&error) => return,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "what happened while Redis was away cannot be done there");
                }
            }
            self.pending.forget(concert_id, account_id, act);
        }
    }
}

/// Whether Redis is only away.
pub(super) fn is_passing(error: &StorageError) -> bool {
    matches!(error, StorageError::Busy | StorageError::Unavailable(_))
}

fn before_now(duration: Duration) -> Instant {
    let now = Instant::now();
    now.checked_sub(duration).unwrap_or(now)
}
