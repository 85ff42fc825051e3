//! Which queues there are, and when an instance has to visit each: shared by all instances, so that one of them does each
//! piece of work.

use boxoffice_domain::{
    ConcertId, StorageError, Timestamp, seconds_after,
    waiting_room::{QueueCensus, WaitingRoomError},
};
use boxoffice_peers::redis::{Argument, FromReply, Reply, Script, damaged, micros};
use futures::{StreamExt, TryStreamExt, stream};

use super::{
    core::Core,
    known::KnownQueue,
    scripts::{self, DUE, LENGTHS, StepReply, list_key, list_keys},
};

/// How long an instance has for the queues that it has claimed before another one visits them.
const CLAIM_SECONDS: u32 = 1;
/// How many queues are claimed at once, and how often in one advance.
const CLAIMED_MAX: usize = 64;
const ROUNDS_MAX: usize = 16;
/// After how long a queue is visited at which nothing is due, and how many such queues are visited at once.
const UNVISITED_SECONDS: u32 = 5;
const UNVISITED_MAX: u64 = 32;
/// How many visits are under way at once.
const VISITS_AT_ONCE: usize = 16;
/// How many queues a census counts at most: the longest ones, as of their last visits.
const CENSUS_MAX: usize = 1_000;

impl Core {
    async fn run<A: Argument>(&self, script: &Script<A>, arguments: A) -> Result<Option<Reply>, StorageError> {
        self.run_script(script, &list_keys(self.link.prefix()), &arguments).await
    }

    /// Adds a queue to the list. Returns since when this Redis is ours, or `None` if there are too many queues and none
    /// can be dropped.
    pub(super) async fn register(&self, concert_id: ConcertId) -> Result<Option<Timestamp>, WaitingRoomError> {
        if let Some(ours_since) = self.try_register(concert_id).await? {
            return Ok(Some(ours_since));
        }
        for shortest in self.by_length("ZRANGE", CLAIMED_MAX).await? {
            self.visit(shortest, None, true).await?;
        }
        Ok(self.try_register(concert_id).await?)
    }

    async fn try_register(&self, concert_id: ConcertId) -> Result<Option<Timestamp>, StorageError> {
        let arguments = scripts::Register {
            now: self.now(),
            concert: concert_id.to_string(),
            queues_max: self.rules.settings.queues_max as u64,
        };
        let reply = self.run(&scripts::REGISTER, arguments).await?;
        reply.map(|mut reply| reply.take("ours_since")).transpose()
    }

    /// Adds to the list what a step replied, as far as the list does not have it. A failure is made good by the next
    /// step, or by visits to queues that no instance has visited for long.
    pub(super) async fn note(&self, queue: &KnownQueue, reply: &StepReply) {
        if queue.begin_registration()
            && let Err(error) = self.try_register(queue.concert_id).await
        {
            tracing::debug!(error = &error as &dyn std::error::Error, "a queue cannot be registered");
        }
        if let Some(due) = reply.due
            && queue.is_due_earlier(due, reply.now)
        {
            let mut command = redis::cmd("ZADD");
            command.arg(list_key(self.link.prefix(), DUE)).arg("LT").arg(micros(due)).arg(queue.concert_id.to_string());
            match self.link.query(&command).await {
                Ok(_) => queue.set_listed_due(due),
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "what is due cannot be written down");
                }
            }
        }
    }

    /// Visits the queues at which something is due, and some that no instance has visited for long. Returns when
    /// something is due next.
    pub(super) async fn advance(&self) -> Result<Option<Timestamp>, StorageError> {
        for _ in 0..ROUNDS_MAX {
            let now = self.now();
            let claimed_until = seconds_after(now, CLAIM_SECONDS);
            let arguments = scripts::Claim {
                now,
                claimed_until,
                due_max: CLAIMED_MAX as u64,
                unvisited_since: now - chrono::TimeDelta::seconds(i64::from(UNVISITED_SECONDS)),
                unvisited_max: UNVISITED_MAX,
            };
            let mut claimed = self.run(&scripts::CLAIM, arguments).await?.ok_or_else(damaged)?;
            let due: Vec<ConcertId> = claimed.take("due")?;
            let unvisited: Vec<ConcertId> = claimed.take("unvisited")?;
            if due.is_empty() && unvisited.is_empty() {
                let Some(first) = claimed.take("first")? else { return Ok(None) };
                let first_due = claimed.take("first_due")?;
                // Nothing may be due there any more, which the list does not learn by itself.
                if self.visit(first, Some(first_due), true).await?.due == Some(first_due) {
                    return Ok(Some(first_due));
                }
                continue;
            }
            let unclaimed = unvisited.into_iter().filter(|concert_id| !due.contains(concert_id));
            let mut visits: Vec<_> = unclaimed.map(|concert_id| (concert_id, None)).collect();
            visits.extend(due.iter().map(|concert_id| (*concert_id, Some(claimed_until))));
            stream::iter(visits)
                .map(|(concert_id, claimed_until)| self.visit(concert_id, claimed_until, true))
                .buffer_unordered(VISITS_AT_ONCE)
                .try_collect::<Vec<_>>()
                .await?;
        }
        Ok(Some(self.now()))
    }

    /// Advances a queue, counts it, and writes down when something is due there. `claimed_until` is what the list says of
    /// that, unless another instance has changed it.
    async fn visit(
        &self,
        concert_id: ConcertId,
        claimed_until: Option<Timestamp>,
        may_drop: bool,
    ) -> Result<Visit, StorageError> {
        let queue = self.queue(concert_id);
        let reply = self.run_step(&queue, &scripts::VISIT, scripts::Visit { may_drop }).await?;
        let visit = match reply {
            Some(mut reply) => Visit { census: Some(census(concert_id, &mut reply.values)?), due: reply.due },
            None => Visit { census: None, due: None },
        };
        let visited = scripts::Visited {
            concert: concert_id.to_string(),
            claimed_until,
            due: visit.due,
            waiting: visit.census.map(|census| census.waiting),
        };
        self.run(&scripts::VISITED, visited).await?;
        if let Some(due) = visit.due {
            queue.set_listed_due(due);
        }
        Ok(visit)
    }

    /// Counts the queues, the longest first.
    pub(super) async fn census(&self, limit: usize) -> Result<Vec<QueueCensus>, StorageError> {
        let concerts = self.by_length("ZREVRANGE", CENSUS_MAX).await?;
        let visits: Vec<Visit> = stream::iter(concerts)
            .map(|concert_id| self.visit(concert_id, None, false))
            .buffer_unordered(VISITS_AT_ONCE)
            .try_collect()
            .await?;
        let mut queues: Vec<QueueCensus> = visits.into_iter().filter_map(|visit| visit.census).collect();
        queues.sort_unstable_by_key(|queue| (std::cmp::Reverse(queue.waiting), queue.concert_id));
        queues.truncate(limit);
        Ok(queues)
    }

    /// The first `count` queues in the order of their lengths, in the direction that the command has.
    async fn by_length(&self, command: &str, count: usize) -> Result<Vec<ConcertId>, StorageError> {
        let mut command = redis::cmd(command);
        command.arg(list_key(self.link.prefix(), LENGTHS)).arg(0).arg(count - 1);
        Vec::from_value(self.link.query(&command).await?)
    }
}

/// What a visit to a queue found.
struct Visit {
    /// `None` if there is no queue any more.
    census: Option<QueueCensus>,
    /// When something is due there.
    due: Option<Timestamp>,
}

fn census(concert_id: ConcertId, values: &mut Reply) -> Result<QueueCensus, StorageError> {
    Ok(QueueCensus {
        concert_id,
        waiting: values.take("waiting")?,
        active: values.take("active")?,
        admitted_total: values.take("admitted_total")?,
    })
}
