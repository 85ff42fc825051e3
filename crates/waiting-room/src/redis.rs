//! The waiting room in Redis: for any number of server processes.
//!
//! Every step on a line is a script that Redis runs alone, and every step first settles the line: what is due ends, who
//! is next is admitted. So nothing can come between two instances, the cap holds at any instant, and whoever frees an
//! admission gives it to the next one in the same step. One step ends or admits a few hundred at most, and the next one
//! goes on. Works with Redis 6.2 and Valkey, alone, with sentinels, or as a cluster: all keys of a line are on one node.
//!
//! # What Redis holds
//!
//! For each concert, under `PREFIX:{CONCERT}:`
//!
//! | key | what |
//! | --- | --- |
//! | `line` | a hash: when the line began, the last place, the terms, counters, the rate |
//! | `waiting` | who waits, by turn: the place, or the number drawn |
//! | `drawn` | who of them stands by a number drawn, by place |
//! | `joined` | when they joined whose place says something else |
//! | `active`, `ending` | the admissions, and when each ends |
//! | `over` | the places that ended, as long as earlier ones may be restored |
//! | `minute` | how many were admitted in each of the last seconds |
//! | `gone` | who left the line of late |
//!
//! and under `PREFIX:{lines}:` since when this Redis is ours and three lists of the lines. Somebody who waits takes about
//! 130 bytes (measured: 128 MB for a million), and twice that before a draw. The place counts from the time in microseconds and says when its holder
//! joined, to the millisecond; only where that is not so (after a thousand have joined within a millisecond, or in a
//! restored line) the time of joining takes another 100 bytes.
//!
//! A line itself never goes back in time. The clocks of the instances should differ by less than a second: a ticket that
//! was given by a clock ahead just before Redis was emptied may otherwise count as one of the new line, and end. Redis
//! must not evict anything: `maxmemory-policy noeviction`.
//!
//! # What else instances share
//!
//! [Announcements](RedisWaitingRoom::announcements) go over the channel `PREFIX:announced`, and
//! [quotas](RedisWaitingRoom::quotas) are kept under `PREFIX:quota:`, each for a minute at most.
//!
//! # When Redis comes back empty
//!
//! The tokens are not lost. A line begins anew at the next request, with the present time as its first place: lower
//! places are [forgotten](Recall::Forgotten), and [restored](WaitingRoom::restore) in the old order, before everybody
//! who has joined since. A key tells since when this Redis is ours; for [`Settings::reform_seconds`] from then nobody
//! is admitted. A line that was lost alone, with one node of a cluster, re-forms as long from its own beginning once
//! somebody comes back. For what has ended, see [the waiting room in memory](crate::memory).
//!
//! # Polls
//!
//! Most polls are answered without Redis, from the place in the ticket and a snapshot of the line that is at most
//! [`RedisSettings::snapshot_age_max`] old and taken by whoever asks first. The position is then told with an error of at
//! most 1/16 of it. Redis is asked about everybody who may have been admitted since: the first 512 in line, or as many as
//! are admitted at once where that is more; so their position is exact. It is also asked about tickets that have ended or
//! were given before the line began, and about those drawn once the line has opened. Who has left over one instance may
//! be said to wait by another one for as long as its snapshot is old, and so may who was emptied away.
//!
//! # While Redis is away
//!
//! Everything fails at once with [`StorageError::Unavailable`], except for those who were admitted when the last
//! snapshot was taken: they stay so until their admission ends. That they hold seats or have paid is remembered, and
//! told to Redis when it is back; a ticket that was spent is expired at this instance from the payment on.

mod announcements;
mod answer;
mod core;
mod link;
mod list;
mod local;
mod pending;
mod quotas;
mod script;
mod snapshot;
mod url;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, Clock, ConcertId, StorageError, Timestamp,
    announcements::Announcements,
    time::seconds_after,
    waiting_room::{
        JoinRequest, Joined, LineCensus, LineStats, LineTerms, Place, QueueStatus, Recall, RestoreRequest, Standing,
        Ticket, WaitingRoom, WaitingRoomError,
    },
};
use futures::StreamExt;
use tokio::{
    task::JoinHandle,
    time::{interval, sleep, timeout},
};
use uuid::Uuid;

use self::{
    announcements::{Announcer, publish},
    answer::{damaged, micros},
    core::{ANY_PLACE, Core, Said, account, draw, is_passing, terms, ticket as fields_of},
    link::Link,
    list::Lists,
    local::{Local, Locals},
    pending::{Act, Pending},
};
use crate::{
    memory::{Settings, describe_metrics},
    rules::Rules,
};

pub use self::{
    announcements::Announced,
    quotas::{QuotaTaken, RedisQuotas},
    url::RedisUrl,
};

/// How long those who watch a line wait for word of a change before they look themselves.
const LOOK_AFTER: Duration = Duration::from_millis(400);
/// How often it is seen to that Redis learns what it has missed.
const TELL_INTERVAL: Duration = Duration::from_millis(200);
/// How often the connection that is listened on is tested.
const LISTEN_TEST: Duration = Duration::from_secs(5);
/// How long to wait before listening is tried again.
const LISTEN_PAUSE: Duration = Duration::from_millis(250);

/// How Redis is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSettings {
    /// What all keys begin with: installations that share a Redis differ in this.
    pub prefix: String,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long a command may take.
    pub command_timeout: Duration,
    /// How old the snapshot of a line may be that polls are answered from. With zero every poll asks Redis.
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
    /// What ends with the waiting room.
    tasks: Vec<JoinHandle<()>>,
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
    /// A waiting room over this Redis. Waits for the first connection as long as connecting may take; where Redis is
    /// away then, everything fails until it is there. Settings out of their bounds are moved into them.
    pub async fn connect(url: RedisUrl, clock: Arc<dyn Clock>, rules: Settings, settings: RedisSettings) -> Self {
        describe_metrics();
        metrics::describe_gauge!("boxoffice_redis_connected", "Whether there is a connection to Redis: 1 or 0.");
        metrics::describe_counter!(
            "boxoffice_redis_failures_total",
            "Commands that Redis did not carry out, by reason."
        );
        let link = Arc::new(Link::new(url, settings.connect_timeout, settings.command_timeout));
        let (announcer, announced) = Announcer::new();
        let core = Arc::new(Core {
            rules: Rules::new(rules.bounded(), clock.now()),
            clock,
            lists: Lists::new(&settings.prefix),
            settings,
            link: Arc::clone(&link),
            locals: Locals::default(),
            pending: Pending::default(),
            announcer: Arc::new(announcer),
        });
        let connecting = tokio::spawn(Arc::clone(&link).keep_connected());
        let listening = tokio::spawn(listen(Arc::clone(&core)));
        let telling = tokio::spawn(tell(Arc::clone(&core)));
        let publishing = tokio::spawn(publish(Arc::clone(&core), announced));
        let room = Self { core, tasks: vec![connecting, listening, telling, publishing] };
        // Since when this Redis is ours is written down as early as may be.
        let _ = timeout(link.connect_timeout(), async {
            link.up().await;
            let _ = room.core.lists.tidy(&room.core).await;
        })
        .await;
        room
    }

    /// Whether there is a connection at the moment.
    pub fn is_connected(&self) -> bool {
        self.core.link.is_up()
    }

    /// Tells the other instances over this Redis.
    pub fn announcements(&self) -> Arc<dyn Announcements> {
        Arc::clone(&self.core.announcer) as Arc<dyn Announcements>
    }

    /// Listens to what the other instances announce.
    pub fn listen(&self) -> Announced {
        self.core.announcer.listen()
    }

    /// The quotas that all instances share.
    pub fn quotas(&self) -> RedisQuotas {
        RedisQuotas::new(Arc::clone(&self.core))
    }

    fn local(&self, concert_id: ConcertId) -> Arc<Local> {
        self.core.locals.of(concert_id)
    }

    /// What Redis knows of a ticket.
    async fn ask(&self, local: &Local, ticket: &Ticket) -> Result<Recall, StorageError> {
        let now = self.core.clock.now();
        let answer = self.core.step(local, &script::STATUS, fields_of(ticket)).await?;
        let Some(mut answer) = answer else {
            return Ok(if self.is_restorable(ticket, now) {
                Recall::Forgotten
            } else {
                known(ticket, Standing::Expired)
            });
        };
        match self.core.said(&mut answer.said, answer.now)? {
            Said::Stands(standing) => {
                local.learn(ticket, standing);
                Ok(known(ticket, standing))
            }
            Said::Forgotten => Ok(Recall::Forgotten),
            Said::Full => Err(damaged()),
        }
    }

    /// Whether a ticket can have its place back where there is no line.
    fn is_restorable(&self, ticket: &Ticket, now: Timestamp) -> bool {
        now < seconds_after(ticket.joined_at, self.core.rules.settings.restorable_seconds)
    }

    /// Where a ticket stood when Redis was last heard of, if it was admitted.
    fn stood(&self, local: &Local, ticket: &Ticket) -> Option<Standing> {
        let admitted = local.admitted(ticket.account_id, self.core.clock.now())?;
        let standing = Standing::Active { admitted_until: admitted.until, active_until: admitted.active_until };
        (admitted.place == ticket.place).then_some(standing)
    }
}

fn known(ticket: &Ticket, standing: Standing) -> Recall {
    Recall::Known(QueueStatus { ticket: *ticket, standing })
}

#[async_trait]
impl WaitingRoom for RedisWaitingRoom {
    async fn join(&self, request: JoinRequest) -> Result<Joined, WaitingRoomError> {
        let JoinRequest { concert_id, account_id, .. } = request;
        let local = self.local(concert_id);
        let mut args = vec![account(account_id), draw(request.draw)];
        args.extend(terms(&request.terms));
        let mut answer = self.core.step_opening(&local, &script::JOIN, args).await?;
        let said = &mut answer.said;
        if said.text()? == "full" {
            return Err(WaitingRoomError::Full);
        }
        let newly = said.number()? == 1;
        let ticket = Ticket { concert_id, account_id, place: Place(said.number()?), joined_at: said.time()? };
        let Said::Stands(standing) = self.core.said(&mut said.list()?, answer.now)? else {
            return Err(damaged().into());
        };
        if newly {
            metrics::counter!("boxoffice_queue_joined_total").increment(1);
        }
        local.learn(&ticket, standing);
        Ok(Joined { status: QueueStatus { ticket, standing }, newly })
    }

    async fn status(&self, ticket: &Ticket) -> Result<Recall, WaitingRoomError> {
        let local = self.local(ticket.concert_id);
        if self.core.pending.has_spent(ticket) {
            return Ok(known(ticket, Standing::Expired));
        }
        let asked = match self.core.recent_standing(&local, ticket).await {
            Ok(Some(standing)) => return Ok(known(ticket, standing)),
            Ok(None) => self.ask(&local, ticket).await,
            Err(error) => Err(error),
        };
        match asked {
            Err(error) if is_passing(&error) => match self.stood(&local, ticket) {
                Some(standing) => Ok(known(ticket, standing)),
                None => Err(error.into()),
            },
            asked => Ok(asked?),
        }
    }

    async fn restore(&self, request: RestoreRequest) -> Result<QueueStatus, WaitingRoomError> {
        let ticket = request.ticket;
        let local = self.local(ticket.concert_id);
        let mut args = fields_of(&ticket);
        args.push(draw(request.draw));
        args.extend(terms(&request.terms));
        let mut answer = self.core.step_opening(&local, &script::RESTORE, args).await?;
        match self.core.said(&mut answer.said, answer.now)? {
            Said::Stands(standing) => {
                local.learn(&ticket, standing);
                Ok(QueueStatus { ticket, standing })
            }
            Said::Full => Err(WaitingRoomError::Full),
            Said::Forgotten => Err(damaged().into()),
        }
    }

    async fn leave(&self, ticket: &Ticket) -> Result<(), WaitingRoomError> {
        let local = self.local(ticket.concert_id);
        if self.is_restorable(ticket, self.core.clock.now()) {
            // Where there is no line, one has to remember that this ticket is not to be restored.
            self.core.step_opening(&local, &script::LEAVE, fields_of(ticket)).await?;
        } else {
            self.core.step(&local, &script::LEAVE, fields_of(ticket)).await?;
        }
        local.depart(ticket.account_id, ticket.place);
        Ok(())
    }

    async fn keep_until(
        &self,
        concert_id: ConcertId,
        account_id: AccountId,
        held_until: Option<Timestamp>,
    ) -> Result<(), WaitingRoomError> {
        let local = self.local(concert_id);
        match self.core.keep_until(&local, account_id, held_until).await {
            Err(error) if is_passing(&error) && local.admitted(account_id, self.core.clock.now()).is_some() => {
                local.keep_until(account_id, held_until);
                let remembered = self.core.pending.remember(concert_id, account_id, Act::Keep(held_until));
                if remembered { Ok(()) } else { Err(error.into()) }
            }
            kept => Ok(kept?),
        }
    }

    async fn spend(&self, concert_id: ConcertId, account_id: AccountId) -> Result<(), WaitingRoomError> {
        let local = self.local(concert_id);
        match self.core.spend(&local, account_id, ANY_PLACE).await {
            Err(WaitingRoomError::Storage(error)) if is_passing(&error) => {
                let now = self.core.clock.now();
                let admitted = local.admitted(account_id, now);
                // Whatever place is given from now on is not the one that has paid.
                let place_max = admitted.map_or_else(|| micros(now), |admitted| admitted.place.0);
                let act = Act::Spend { place_max };
                if !self.core.pending.remember(concert_id, account_id, act) {
                    return Err(error.into());
                }
                local.end_admission(account_id);
                Ok(())
            }
            spent => spent,
        }
    }

    async fn set_terms(&self, concert_id: ConcertId, line_terms: LineTerms) -> Result<(), WaitingRoomError> {
        let local = self.local(concert_id);
        // Where there is no line, whoever opens it tells the terms.
        self.core.step(&local, &script::SET_TERMS, terms(&line_terms).into()).await?;
        local.drop_snapshot();
        Ok(())
    }

    async fn empty(&self, concert_id: ConcertId) -> Result<u64, WaitingRoomError> {
        let local = self.local(concert_id);
        // Where there is no line, one has to remember that no earlier ticket is to be restored.
        let mut answer = self.core.step_opening(&local, &script::EMPTY, Vec::new()).await?;
        local.drop_snapshot();
        match answer.said.text()?.as_str() {
            "emptied" => Ok(answer.said.number()?),
            _ => Err(damaged().into()),
        }
    }

    async fn stats(&self, concert_id: ConcertId) -> Result<Option<LineStats>, WaitingRoomError> {
        let local = self.local(concert_id);
        let Some(mut answer) = self.core.step(&local, &script::STATS, Vec::new()).await? else { return Ok(None) };
        let said = &mut answer.said;
        if said.text()? != "stats" {
            return Err(damaged().into());
        }
        Ok(Some(LineStats {
            waiting: said.number()?,
            active: said.number()?,
            admitted_total: said.number()?,
            admitted_last_minute: said.number()?,
            no_shows_total: said.number()?,
            oldest_joined_at: said.time_if_any()?,
        }))
    }

    async fn changed(&self, concert_id: ConcertId, seen: u64) -> Result<u64, WaitingRoomError> {
        let local = self.local(concert_id);
        let mut told = local.watch();
        loop {
            let version = *told.borrow_and_update();
            if version != seen {
                self.core.catch_up(&local).await;
                return Ok(version);
            }
            if timeout(LOOK_AFTER, told.changed()).await.is_err() {
                self.core.look(&local).await;
            }
        }
    }

    async fn tidy(&self) -> Result<Option<Timestamp>, WaitingRoomError> {
        Ok(self.core.lists.tidy(&self.core).await?)
    }

    async fn census(&self, limit: usize) -> Result<Vec<LineCensus>, WaitingRoomError> {
        Ok(self.core.lists.census(&self.core, limit).await?)
    }
}

/// Hears of the changes that other instances make. Never ends.
async fn listen(core: Arc<Core>) {
    for attempt in 0.. {
        let listened = listen_once(&core, attempt).await;
        core.announcer.listens_no_more();
        if let Err(error) = listened {
            tracing::debug!(error, "the waiting room does not hear of changes at the moment");
        }
        sleep(LISTEN_PAUSE).await;
    }
}

async fn listen_once(core: &Core, attempt: usize) -> Result<(), String> {
    let url = core.link.url();
    let opening = async {
        let mut pubsub = url.listen(attempt).await?;
        pubsub.subscribe(&[core.channel(), core.announcements_channel()]).await?;
        redis::RedisResult::Ok(pubsub)
    };
    let opened = timeout(core.link.connect_timeout(), opening).await.map_err(|_| "no answer in time".to_owned())?;
    let (mut sink, mut messages) = opened.map_err(|error| error.to_string())?.split();
    core.locals.wake_all();
    core.announcer.begins_to_listen();
    let announcements = core.announcements_channel();
    let mut test = interval(LISTEN_TEST);
    loop {
        tokio::select! {
            message = messages.next() => {
                let Some(message) = message else { return Err("the connection was closed".to_owned()) };
                if message.get_channel_name() == announcements {
                    core.announcer.hear(message.get_payload_bytes());
                } else {
                    heed(core, message.get_payload_bytes());
                }
            }
            _ = test.tick() => {
                let answered = timeout(core.link.connect_timeout(), sink.ping::<redis::Value>()).await;
                answered.map_err(|_| "no answer in time".to_owned())?.map_err(|error| error.to_string())?;
            }
        }
    }
}

/// A message is the concert, when its line began, and the version that it has now. Others are not ours.
fn heed(core: &Core, message: &[u8]) {
    let Ok(text) = std::str::from_utf8(message) else { return };
    let mut words = text.split(' ');
    let concert_id = words.next().and_then(|word| Uuid::parse_str(word).ok()).map(ConcertId::new);
    let mut number = || words.next().and_then(|word| word.parse().ok());
    if let (Some(concert_id), Some(opened), Some(version)) = (concert_id, number(), number())
        && let Some(local) = core.locals.known(concert_id)
    {
        local.hear(opened, version);
    }
}

/// Tells Redis what it has missed, as soon as it is back. Never ends.
async fn tell(core: Arc<Core>) {
    loop {
        sleep(TELL_INTERVAL).await;
        if !core.pending.is_empty() && core.link.is_up() {
            core.tell_pending().await;
        }
    }
}
