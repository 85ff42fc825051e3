//! Which lines there are, and when somebody has to look at each: shared by all instances, so that each piece of work is
//! done by one of them.

use boxoffice_domain::{
    ConcertId, StorageError, Timestamp,
    time::seconds_after,
    waiting_room::{LineCensus, WaitingRoomError},
};
use futures::{StreamExt, TryStreamExt, stream};
use redis::Value;
use uuid::Uuid;

use super::{
    answer::{Answer, Fields, damaged, micros},
    core::{Core, number},
    local::Local,
    script::{self, Script},
};

/// How long an instance has for the lines that it has claimed before another one looks at them.
const CLAIM_SECONDS: u32 = 1;
/// How many lines are claimed at once, and how often in one turn.
const CLAIMED_MAX: usize = 64;
const ROUNDS_MAX: usize = 16;
/// How long a line is left alone at which nothing is due, and how many such lines one turn looks at.
const UNSEEN_SECONDS: u32 = 5;
const UNSEEN_MAX: usize = 32;
/// How many lines are looked at together.
const VISITS_AT_ONCE: usize = 16;
/// How many lines are counted at most: the longest ones, as they were seen last.
const CENSUS_MAX: usize = 1_000;

/// The lists of lines.
#[derive(Debug)]
pub(super) struct Lists {
    keys: Vec<String>,
}

impl Lists {
    pub(super) fn new(prefix: &str) -> Self {
        let parts = ["ours_since", "due", "checked", "lengths"];
        Self { keys: parts.iter().map(|part| format!("{prefix}:{{lines}}:{part}")).collect() }
    }

    async fn run(&self, core: &Core, script: &Script, args: Vec<Vec<u8>>) -> Result<Value, StorageError> {
        core.link.run(script, &self.keys, &args).await
    }

    /// Writes a line into the lists. Gives since when this Redis is ours, in microseconds, or nothing where there are
    /// too many lines and none can be dropped.
    pub(super) async fn register(&self, core: &Core, concert_id: ConcertId) -> Result<Option<u64>, WaitingRoomError> {
        if let Some(ours_since) = self.try_register(core, concert_id).await? {
            return Ok(Some(ours_since));
        }
        for shortest in self.range(core, "ZRANGE", CLAIMED_MAX).await? {
            self.visit(core, shortest, None, true).await?;
        }
        Ok(self.try_register(core, concert_id).await?)
    }

    async fn try_register(&self, core: &Core, concert_id: ConcertId) -> Result<Option<u64>, StorageError> {
        let lines_max = core.rules.settings.lines_max as u64;
        let args = vec![number(micros(core.clock.now())), concert_id.to_string().into_bytes(), number(lines_max)];
        let mut fields = Fields::of(self.run(core, &script::REGISTER, args).await?)?;
        if fields.is_empty() { Ok(None) } else { fields.number().map(Some) }
    }

    /// Tells the lists what a step has answered where they do not know. A failure is made good by the next step, or by
    /// those who look at lines that nobody has seen for long.
    pub(super) async fn heed(&self, core: &Core, local: &Local, answer: &Answer) {
        if local.registers()
            && let Err(error) = self.try_register(core, local.concert_id).await
        {
            tracing::debug!(error = &error as &dyn std::error::Error, "a line cannot be registered");
        }
        if let Some(due) = answer.due
            && local.is_due_earlier(due, answer.now)
        {
            let mut command = redis::cmd("ZADD");
            command.arg(&self.keys[1]).arg("LT").arg(micros(due)).arg(local.concert_id.to_string());
            match core.link.query(&command).await {
                Ok(_) => local.told_due(due),
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "what is due cannot be written down");
                }
            }
        }
    }

    /// Looks at the lines at which something is due, and at some that nobody has looked at for long. Gives when
    /// something is due next.
    pub(super) async fn tidy(&self, core: &Core) -> Result<Option<Timestamp>, StorageError> {
        for _ in 0..ROUNDS_MAX {
            let now = core.clock.now();
            let claimed_until = seconds_after(now, CLAIM_SECONDS);
            let unseen_since = now - chrono::TimeDelta::seconds(i64::from(UNSEEN_SECONDS));
            let args = vec![
                number(micros(now)),
                number(micros(claimed_until)),
                number(CLAIMED_MAX as u64),
                number(micros(unseen_since)),
                number(UNSEEN_MAX as u64),
            ];
            let mut fields = Fields::of(self.run(core, &script::CLAIM, args).await?)?;
            let (due, unseen) = (concerts(&mut fields)?, concerts(&mut fields)?);
            if due.is_empty() && unseen.is_empty() {
                // What is due may have come to nothing since, of which the list is not told: look at the first line.
                let Some(next_due) = fields.time_if_any()? else { return Ok(None) };
                if self.visit(core, concert(&mut fields)?, Some(next_due), true).await?.due == Some(next_due) {
                    return Ok(Some(next_due));
                }
                continue;
            }
            let unclaimed = unseen.into_iter().filter(|concert_id| !due.contains(concert_id));
            let mut visits: Vec<_> = unclaimed.map(|concert_id| (concert_id, None)).collect();
            visits.extend(due.iter().map(|concert_id| (*concert_id, Some(claimed_until))));
            stream::iter(visits)
                .map(|(concert_id, claimed_until)| self.visit(core, concert_id, claimed_until, true))
                .buffer_unordered(VISITS_AT_ONCE)
                .try_collect::<Vec<_>>()
                .await?;
        }
        Ok(Some(core.clock.now()))
    }

    /// Settles a line, counts it, and writes down when something is due there. `claimed_until` is what the list says of
    /// that, if nobody else has changed it.
    async fn visit(
        &self,
        core: &Core,
        concert_id: ConcertId,
        claimed_until: Option<Timestamp>,
        drops: bool,
    ) -> Result<Visited, StorageError> {
        let local = core.locals.of(concert_id);
        let answer = core.unheeded_step(&local, &script::VISIT, vec![number(u64::from(drops))]).await?;
        let mut visited = Visited { census: None, due: None };
        if let Some(mut answer) = answer {
            visited = Visited { census: Some(read_census(concert_id, &mut answer.said)?), due: answer.due };
        }
        let waiting = visited.census.map_or_else(|| "-1".to_owned(), |census| census.waiting.to_string());
        let args = vec![
            concert_id.to_string().into_bytes(),
            number(claimed_until.map_or(0, micros)),
            number(visited.due.map_or(0, micros)),
            waiting.into_bytes(),
        ];
        self.run(core, &script::SETTLED, args).await?;
        if let Some(due) = visited.due {
            local.told_due(due);
        }
        Ok(visited)
    }

    /// How the lines look, the longest first.
    pub(super) async fn census(&self, core: &Core, limit: usize) -> Result<Vec<LineCensus>, StorageError> {
        let concerts = self.range(core, "ZREVRANGE", CENSUS_MAX).await?;
        let lines: Vec<Visited> = stream::iter(concerts)
            .map(|concert_id| self.visit(core, concert_id, None, false))
            .buffer_unordered(VISITS_AT_ONCE)
            .try_collect()
            .await?;
        let mut lines: Vec<LineCensus> = lines.into_iter().filter_map(|visited| visited.census).collect();
        lines.sort_unstable_by_key(|line| (std::cmp::Reverse(line.waiting), line.concert_id));
        lines.truncate(limit);
        Ok(lines)
    }

    /// The lines at one end of the list of lengths.
    async fn range(&self, core: &Core, command: &str, count: usize) -> Result<Vec<ConcertId>, StorageError> {
        let mut command = redis::cmd(command);
        command.arg(&self.keys[3]).arg(0).arg(count - 1);
        read_concerts(Fields::of(core.link.query(&command).await?)?)
    }
}

/// A line that was looked at.
struct Visited {
    /// Nothing where it is gone.
    census: Option<LineCensus>,
    /// When something is due there.
    due: Option<Timestamp>,
}

fn concerts(fields: &mut Fields) -> Result<Vec<ConcertId>, StorageError> {
    read_concerts(fields.list()?)
}

fn read_concerts(fields: Fields) -> Result<Vec<ConcertId>, StorageError> {
    fields.all(concert)
}

fn concert(fields: &mut Fields) -> Result<ConcertId, StorageError> {
    Uuid::parse_str(&fields.text()?).map(ConcertId::new).map_err(|_| damaged())
}

fn read_census(concert_id: ConcertId, said: &mut Fields) -> Result<LineCensus, StorageError> {
    if said.text()? != "counted" {
        return Err(damaged());
    }
    Ok(LineCensus { concert_id, waiting: said.number()?, active: said.number()?, admitted_total: said.number()? })
}
