//! Peers over Redis, and the connection to it.
//!
//! Announcements go over the channel `PREFIX:peers`. Quotas are kept under `PREFIX:quota:`, each for a minute at most, and
//! attempts under `PREFIX:attempts:`, each for a quarter of an hour after the last one.

mod announcer;
mod link;

use std::{
    fmt,
    num::NonZeroU32,
    sync::{Arc, LazyLock},
    time::Duration,
};

use async_trait::async_trait;
use boxoffice_domain::{
    Clock, StorageError,
    accounts::{ATTEMPTS_REMEMBERED_SECONDS, GuessingRule},
};
use chrono::TimeDelta;
use tokio::task::JoinSet;

use self::announcer::{Announcer, channel};
pub use self::link::{
    Argument, FromReply, Kind, Link, Listener, MICROS_MAX, RedisInspection, RedisSettings, RedisUrl, Reply, Script,
    damaged, micros,
};
use crate::{Peers, Quota, Subscription, Topic, arguments};

arguments! {
    TakeQuota {
        per_minute: u32,
    }
    CountAttempt {
        free: u32,
        wait_seconds_max: u32,
        remembered_seconds: u32,
    }
}

static TAKE_QUOTA: LazyLock<Script<TakeQuota>> =
    LazyLock::new(|| Script::new(&["quota"], include_str!("redis/quota.lua")));
static COUNT_ATTEMPT: LazyLock<Script<CountAttempt>> =
    LazyLock::new(|| Script::new(&["attempts"], include_str!("redis/attempts.lua")));

/// The processes that use the same Redis with the same prefix.
pub struct RedisPeers {
    link: Arc<Link>,
    announcer: Arc<Announcer>,
    /// They end when this is dropped.
    _tasks: JoinSet<()>,
}

impl fmt::Debug for RedisPeers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisPeers").field("link", &self.link).finish_non_exhaustive()
    }
}

impl RedisPeers {
    /// Peers over this connection.
    pub fn new(link: Arc<Link>, clock: Arc<dyn Clock>) -> Self {
        let (announcer, outgoing) = Announcer::new(clock);
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&link).keep_listening(vec![channel(&link)], Arc::clone(&announcer)));
        tasks.spawn(Arc::clone(&announcer).send(Arc::clone(&link), outgoing, true));
        Self { link, announcer, _tasks: tasks }
    }

    /// The peers of a process that only publishes and then [leaves](Peers::leave). It shows no signs of life, so that
    /// its peers do not wait for it if it is killed before that.
    pub fn publish_only(link: Arc<Link>, clock: Arc<dyn Clock>) -> Self {
        let (announcer, outgoing) = Announcer::new(clock);
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&announcer).send(Arc::clone(&link), outgoing, false));
        Self { link, announcer, _tasks: tasks }
    }

    /// What the peers publish from now on.
    pub fn subscribe(&self) -> Subscription {
        self.announcer.subscribe()
    }

    async fn try_take_quota(&self, what: &str, client: &str, per_minute: NonZeroU32) -> Result<Quota, StorageError> {
        let key = format!("{}:quota:{what}:{client}", self.link.prefix());
        let arguments = TakeQuota { per_minute: per_minute.get() };
        let mut reply = self.link.run(&TAKE_QUOTA, &[key], &arguments).await?.ok_or_else(damaged)?;
        Ok(Quota {
            taken: reply.take("taken")?,
            remaining: u32::try_from(reply.take::<u64>("remaining")?).unwrap_or(u32::MAX),
            until: Duration::from_micros(reply.take("micros")?),
        })
    }

    fn attempts_key(&self, what: &str, who: &str) -> String {
        format!("{}:attempts:{what}:{who}", self.link.prefix())
    }

    async fn try_count_attempt(
        &self,
        what: &str,
        who: &str,
        rule: GuessingRule,
    ) -> Result<Result<(), u64>, StorageError> {
        let arguments = CountAttempt {
            free: rule.free,
            wait_seconds_max: rule.wait_seconds_max,
            remembered_seconds: ATTEMPTS_REMEMBERED_SECONDS,
        };
        let keys = [self.attempts_key(what, who)];
        let mut reply = self.link.run(&COUNT_ATTEMPT, &keys, &arguments).await?.ok_or_else(damaged)?;
        let seconds_left = reply.take::<u64>("micros")?.div_ceil(1_000_000);
        Ok(if reply.take("counted")? { Ok(()) } else { Err(seconds_left) })
    }
}

#[async_trait]
impl Peers for RedisPeers {
    fn publish(&self, topic: Topic, text: String) {
        self.announcer.publish(topic, text);
    }

    fn are_reachable(&self) -> bool {
        true
    }

    fn all_received(&self) -> bool {
        self.announcer.all_received()
    }

    fn busy_with(&self, topic: Topic) -> u32 {
        self.announcer.busy_with(topic)
    }

    fn clock_difference(&self) -> Option<TimeDelta> {
        self.announcer.clock_difference()
    }

    /// All of a quota may be taken at once; it comes back evenly.
    async fn take_quota(&self, what: &str, client: &str, per_minute: NonZeroU32) -> Option<Quota> {
        let taken = self.try_take_quota(what, client, per_minute).await;
        if let Err(error) = &taken {
            tracing::debug!(error = error as &dyn std::error::Error, "a quota cannot be shared at the moment");
        }
        taken.ok()
    }

    async fn count_attempt(&self, what: &str, who: &str, rule: GuessingRule) -> Option<Result<(), u64>> {
        let counted = self.try_count_attempt(what, who, rule).await;
        if let Err(error) = &counted {
            tracing::debug!(error = error as &dyn std::error::Error, "attempts cannot be shared at the moment");
        }
        counted.ok()
    }

    async fn forget_attempts(&self, what: &str, who: &str) {
        let forgotten = self.link.query(redis::cmd("DEL").arg(self.attempts_key(what, who))).await;
        if let Err(error) = forgotten {
            tracing::debug!(error = &error as &dyn std::error::Error, "attempts cannot be forgotten at the moment");
        }
    }

    async fn leave(&self) {
        self.announcer.leave().await;
    }
}
