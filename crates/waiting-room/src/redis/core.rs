//! The steps on a line as this side of the connection sees them.

use std::{sync::Arc, time::Duration};

use boxoffice_domain::{
    AccountId, Clock, ConcertId, StorageError, Timestamp,
    waiting_room::{DrawNumber, LineTerms, Standing, Ticket, WaitingRoomError},
};
use tokio::time::{Instant, sleep_until};

use super::{
    RedisSettings,
    answer::{Answer, Fields, MICROS_MAX, damaged, micros},
    link::Link,
    list::Lists,
    local::{Local, Locals},
    pending::{Act, Pending},
    script::{self, Script},
    snapshot::{News, Pace, Snapshot},
};
use crate::rules::Rules;

/// How long those who watch a line wait from one look at it to the next while it changes all the time.
const LOOK_MIN: Duration = Duration::from_millis(50);
/// How often a step is repeated because the line that it was to be done on was not there.
const OPEN_ATTEMPTS_MAX: usize = 3;

/// The waiting room without the tasks that serve it.
pub(super) struct Core {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) rules: Rules,
    pub(super) settings: RedisSettings,
    pub(super) link: Arc<Link>,
    pub(super) lists: Lists,
    pub(super) locals: Locals,
    pub(super) pending: Pending,
}

/// What the word after a step says where it is not what was hoped for.
pub(super) enum Said {
    Stands(Standing),
    Forgotten,
    Full,
}

impl Core {
    /// The channel on which it is told that a line has changed.
    pub(super) fn channel(&self) -> String {
        format!("{}:changed", self.settings.prefix)
    }

    /// The keys of a line. What is in braces decides on which node of a cluster they are: all on the same one.
    fn keys(&self, concert_id: ConcertId) -> Vec<String> {
        let parts = ["line", "waiting", "drawn", "joined", "active", "ending", "over", "minute", "gone"];
        parts.iter().map(|part| format!("{}:{{{concert_id}}}:{part}", self.settings.prefix)).collect()
    }

    /// Does a step on a line; nothing where there is no line.
    pub(super) async fn step(
        &self,
        local: &Local,
        script: &Script,
        args: Vec<Vec<u8>>,
    ) -> Result<Option<Answer>, StorageError> {
        let answer = self.unheeded_step(local, script, args).await?;
        if let Some(answer) = &answer {
            self.lists.heed(self, local, answer).await;
        }
        Ok(answer)
    }

    /// As [`Self::step`], for a caller who tells the list of lines what is due.
    pub(super) async fn unheeded_step(
        &self,
        local: &Local,
        script: &Script,
        args: Vec<Vec<u8>>,
    ) -> Result<Option<Answer>, StorageError> {
        let rules = &self.rules.settings;
        let seconds = |seconds: u32| number(u64::from(seconds) * 1_000_000);
        let mut all = vec![
            number(micros(self.clock.now())),
            number(rules.capacity as u64),
            seconds(rules.admission_seconds),
            seconds(rules.no_show_seconds),
            seconds(rules.reform_seconds),
            seconds(rules.restorable_seconds),
            self.channel().into_bytes(),
            local.concert_id.to_string().into_bytes(),
        ];
        all.extend(args);
        let value = self.link.run(script, &self.keys(local.concert_id), &all).await?;
        let answer = Answer::read(value)?;
        if let Some(answer) = &answer {
            metrics::counter!("boxoffice_queue_admitted_total").increment(answer.admitted);
            metrics::counter!("boxoffice_queue_no_shows_total").increment(answer.no_shows);
            metrics::counter!("boxoffice_queue_expired_total").increment(answer.expired);
            local.hear(answer.opened, answer.version);
        }
        Ok(answer)
    }

    /// Does a step on a line, which is opened where there is none.
    pub(super) async fn step_opening(
        &self,
        local: &Local,
        script: &Script,
        args: Vec<Vec<u8>>,
    ) -> Result<Answer, WaitingRoomError> {
        for _ in 0..OPEN_ATTEMPTS_MAX {
            if let Some(answer) = self.step(local, script, args.clone()).await? {
                return Ok(answer);
            }
            let Some(ours_since) = self.lists.register(self, local.concert_id).await? else {
                tracing::warn!("no further line can be opened");
                return Err(WaitingRoomError::Full);
            };
            self.unheeded_step(local, &script::OPEN, vec![number(ours_since)]).await?;
        }
        Err(StorageError::Unavailable("the line was lost again and again".into()).into())
    }

    /// Reads where an account stands, as a step says it.
    pub(super) fn said(&self, fields: &mut Fields, now: Timestamp) -> Result<Said, StorageError> {
        match fields.text()?.as_str() {
            "active" => {
                let (admitted_until, active_until) = (fields.time()?, fields.time()?);
                Ok(Said::Stands(Standing::Active { admitted_until, active_until }))
            }
            "waiting" => {
                let before = fields.number()?;
                Ok(Said::Stands(Pace::read(fields)?.standing(before, now, &self.rules)))
            }
            "expired" => Ok(Said::Stands(Standing::Expired)),
            "forgotten" => Ok(Said::Forgotten),
            "full" => Ok(Said::Full),
            _ => Err(damaged()),
        }
    }

    /// A snapshot taken since then, by whoever asks first; nothing where there is no line.
    async fn snapshot(&self, local: &Local, since: Instant) -> Result<Option<Arc<Snapshot>>, StorageError> {
        if let Some(snapshot) = local.snapshot_since(since) {
            return Ok(Some(snapshot));
        }
        let _turn = local.taking.lock().await;
        if let Some(snapshot) = local.snapshot_since(since) {
            return Ok(Some(snapshot));
        }
        // Those who waited behind somebody who has waited in vain do not do so again one after the other.
        if local.has_failed_since(since) {
            return Err(StorageError::Unavailable("Redis did not answer a moment ago".into()));
        }
        let taken = Instant::now();
        let (opened, admissions_version, gone) = local.known_so_far();
        let args = vec![number(opened), number(admissions_version), number(gone)];
        match self.step(local, &script::SNAPSHOT, args).await {
            Ok(Some(answer)) => News::read(answer, taken).map(|news| Some(local.learn_snapshot(news))),
            Ok(None) => Ok(None),
            Err(error) => {
                local.failed();
                Err(error)
            }
        }
    }

    /// What can be said of a ticket without asking Redis about it.
    pub(super) async fn recent_standing(
        &self,
        local: &Local,
        ticket: &Ticket,
    ) -> Result<Option<Standing>, StorageError> {
        let age_max = self.settings.snapshot_age_max;
        if age_max.is_zero() {
            return Ok(None);
        }
        let now = Instant::now();
        let snapshot = self.snapshot(local, now.checked_sub(age_max).unwrap_or(now)).await?;
        let standing = snapshot.and_then(|snapshot| snapshot.standing(ticket.place, self.clock.now(), &self.rules));
        Ok(standing.filter(|_| !local.has_departed(ticket)))
    }

    /// Sees to it that whoever was told of a change finds it in the next status.
    pub(super) async fn catch_up(&self, local: &Local) {
        if self.settings.snapshot_age_max.is_zero() {
            return;
        }
        let known = local.snapshot_since(self.started());
        let since = match known {
            Some(snapshot) if snapshot.version >= local.heard() => return,
            Some(snapshot) => snapshot.taken + LOOK_MIN,
            None => Instant::now(),
        };
        sleep_until(since).await;
        // Where Redis is away, nobody is told anything new anyway.
        let _ = self.snapshot(local, since).await;
    }

    /// Before all snapshots.
    fn started(&self) -> Instant {
        let now = Instant::now();
        now.checked_sub(self.settings.snapshot_age_max * 2).unwrap_or(now)
    }

    /// Looks whether the line is still as it was heard to be, because a message may have been lost.
    pub(super) async fn look(&self, local: &Local) {
        let age_max = self.settings.snapshot_age_max;
        let now = Instant::now();
        let looked = if age_max.is_zero() {
            self.step(local, &script::VISIT, vec![number(0)]).await.map(drop)
        } else {
            self.snapshot(local, now.checked_sub(age_max).unwrap_or(now)).await.map(drop)
        };
        if let Err(error) = looked {
            tracing::debug!(error = &error as &dyn std::error::Error, "a line that is watched cannot be looked at");
        }
    }

    /// Spends what an account has, with this place or an earlier one.
    pub(super) async fn spend(
        &self,
        local: &Local,
        account_id: AccountId,
        place_max: u64,
    ) -> Result<(), WaitingRoomError> {
        self.step_opening(local, &script::SPEND, vec![account(account_id), number(place_max)]).await?;
        local.end_admission(account_id);
        Ok(())
    }

    /// Tells until when an account holds seats.
    pub(super) async fn keep_until(
        &self,
        local: &Local,
        account_id: AccountId,
        held_until: Option<Timestamp>,
    ) -> Result<(), StorageError> {
        let held = held_until.map_or(0, micros);
        self.step(local, &script::KEEP_UNTIL, vec![account(account_id), number(held)]).await?;
        local.keep_until(account_id, held_until);
        Ok(())
    }

    /// Tells Redis what it has not been told while it was away. Gives up where it is away again.
    pub(super) async fn tell_pending(&self) {
        for (concert_id, account_id, act) in self.pending.all() {
            let local = self.locals.of(concert_id);
            let told = match act {
                Act::Keep(held_until) => {
                    self.keep_until(&local, account_id, held_until).await.map_err(WaitingRoomError::from)
                }
                Act::Spend { place_max } => self.spend(&local, account_id, place_max).await,
            };
            match told {
                Ok(()) => {}
                Err(WaitingRoomError::Storage(error)) if is_passing(&error) => return,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "what happened while Redis was away cannot be told to it");
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

/// Any place is at most this.
pub(super) const ANY_PLACE: u64 = MICROS_MAX;

pub(super) fn number(number: u64) -> Vec<u8> {
    number.to_string().into_bytes()
}

pub(super) fn account(account_id: AccountId) -> Vec<u8> {
    account_id.uuid().as_bytes().to_vec()
}

/// A lot, or a number that is none.
pub(super) fn draw(number: Option<DrawNumber>) -> Vec<u8> {
    number.map_or_else(|| "-1".to_owned(), |number| number.get().to_string()).into_bytes()
}

pub(super) fn terms(terms: &LineTerms) -> [Vec<u8>; 4] {
    let LineTerms { version, max_active, paused, opens_at } = terms;
    [
        number(u64::from(*version)),
        number(u64::from(*max_active)),
        number(u64::from(*paused)),
        number(opens_at.map_or(0, micros)),
    ]
}

/// The account, place and time of joining of a ticket.
pub(super) fn ticket(ticket: &Ticket) -> Vec<Vec<u8>> {
    vec![account(ticket.account_id), number(ticket.place.0.min(ANY_PLACE)), number(micros(ticket.joined_at))]
}
