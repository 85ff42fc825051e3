//! The waiting room in memory: for one server process.
//!
//! Each concert has a line of its own behind its own lock, which is held for O(log n) with n in line, never
//! across an `await`, and never while another one is taken. Whatever frees an admission gives it to the next in
//! the same critical section, so that there is no tick to wait for and no moment at which somebody could slip
//! in between.
//!
//! # Memory
//!
//! Somebody who waits takes about 110 bytes: 40 in the tree that tells positions, and 48 in the map from accounts to
//! places with its share of the nodes; who takes part in a draw, 24 more. It is up to twice that when the tree's
//! vector has just grown and the maps' nodes are half full; a test asserts that the worst case is below 300.
//!
//! # After a restart
//!
//! The lines are lost, the tokens are not. Places are counted from the time of the start in microseconds, so
//! that whatever place is lower was given by an earlier process: such a ticket is
//! [forgotten](Recall::Forgotten), and [restoring](WaitingRoom::restore) it puts it back in the old order,
//! before everybody who has joined since. For [`Settings::reform_seconds`] nobody is admitted, so that those who
//! come back sort themselves first.
//!
//! What has ended must not come back. The line keeps the account and place of all that ended since the start,
//! as long as there may be tickets to restore ([`Settings::restorable_seconds`]), and at most as many as may wait
//! ([`Settings::capacity`]). Past that bound the line restores nothing any more: old tickets are expired then, as they
//! are once the line was [emptied](WaitingRoom::empty).
//! What ended *before* the restart this process cannot know, except from the payment that spent it.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use boxoffice_domain::{
    AccountId, Clock, ConcertId, Timestamp,
    waiting_room::{
        JoinRequest, Joined, LineCensus, LineStats, LineTerms, QueueStatus, Recall, RestoreRequest, Standing, Ticket,
        WaitingRoom, WaitingRoomError,
    },
};
use tokio::sync::watch;

use crate::{line::Line, rules::Rules};

/// How the lines are run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many may wait in one line. Past it, joining is refused. At most 1,000,000,000.
    pub capacity: usize,
    /// How many lines there may be at once. Past it, idle ones are dropped; where none is, joining a concert
    /// that has no line yet is refused as with a full line.
    pub lines_max: usize,
    /// How many seconds an admission lasts, at least.
    pub admission_seconds: u32,
    /// How many seconds somebody admitted has for a sign of life before being passed over. At least 3.
    pub no_show_seconds: u32,
    /// For how many seconds after the start nobody is admitted, so that the lines of an earlier process
    /// re-form.
    pub reform_seconds: u32,
    /// The most seconds that anybody is told to wait between two polls. At least 1; at most a third of
    /// `no_show_seconds`, so that who polls as told learns of the admission in time.
    pub poll_seconds_max: u32,
    /// For how many seconds from its joining a ticket of an earlier process can be restored.
    pub restorable_seconds: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            capacity: 1_000_000,
            lines_max: 10_000,
            admission_seconds: 600,
            no_show_seconds: 60,
            reform_seconds: 5,
            poll_seconds_max: 20,
            restorable_seconds: 86_400,
        }
    }
}

impl Settings {
    /// These settings, each moved into its bounds.
    pub(crate) fn bounded(self) -> Self {
        let no_show_seconds = self.no_show_seconds.max(3);
        Self {
            capacity: self.capacity.clamp(1, 1_000_000_000),
            lines_max: self.lines_max.max(1),
            no_show_seconds,
            poll_seconds_max: self.poll_seconds_max.clamp(1, no_show_seconds / 3),
            ..self
        }
    }
}

/// Says what the counters of every waiting room count.
pub(crate) fn describe_metrics() {
    metrics::describe_counter!("boxoffice_queue_joined_total", "Accounts that got in line.");
    metrics::describe_counter!("boxoffice_queue_admitted_total", "Accounts that were admitted.");
    metrics::describe_counter!("boxoffice_queue_no_shows_total", "Admissions whose holder did not come.");
    metrics::describe_counter!("boxoffice_queue_expired_total", "Admissions whose time was over.");
}

/// The version of a line that there is not. Lines have later ones.
const VERSION_OF_NO_LINE: u64 = 1;

struct Slot {
    line: Mutex<Line>,
    /// Written after the line's lock is released, so that waking those who watch holds nobody up.
    version: watch::Sender<u64>,
}

/// The waiting room in memory. See the [module](self).
pub struct MemoryWaitingRoom {
    clock: Arc<dyn Clock>,
    rules: Arc<Rules>,
    lines: RwLock<HashMap<ConcertId, Arc<Slot>>>,
    /// Counts the versions of all lines together, so that a line that was dropped and opened again has none
    /// that it had before.
    last_version: AtomicU64,
    /// Changes whenever a line is opened.
    opened: watch::Sender<()>,
}

impl fmt::Debug for MemoryWaitingRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryWaitingRoom").field("rules", &self.rules).finish_non_exhaustive()
    }
}

impl MemoryWaitingRoom {
    /// A waiting room without lines. Settings out of their bounds are moved into them.
    pub fn new(clock: Arc<dyn Clock>, settings: Settings) -> Self {
        describe_metrics();
        let rules = Arc::new(Rules::new(settings.bounded(), clock.now()));
        Self {
            clock,
            rules,
            lines: RwLock::default(),
            last_version: AtomicU64::new(VERSION_OF_NO_LINE),
            opened: watch::Sender::new(()),
        }
    }

    fn slot(&self, concert_id: ConcertId) -> Option<Arc<Slot>> {
        self.lines.read().unwrap_or_else(PoisonError::into_inner).get(&concert_id).cloned()
    }

    fn slots(&self) -> Vec<Arc<Slot>> {
        self.lines.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The line of a concert, opened where there is none.
    fn open_slot(&self, concert_id: ConcertId) -> Result<Arc<Slot>, WaitingRoomError> {
        if let Some(slot) = self.slot(concert_id) {
            return Ok(slot);
        }
        let now = self.clock.now();
        let mut lines = self.lines.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = lines.get(&concert_id) {
            return Ok(Arc::clone(slot));
        }
        if lines.len() >= self.rules.settings.lines_max {
            lines.retain(|_, slot| !is_idle(slot, now));
        }
        if lines.len() >= self.rules.settings.lines_max {
            tracing::warn!(lines = lines.len(), "no further line can be opened");
            return Err(WaitingRoomError::Full);
        }
        let line = Mutex::new(Line::new(Arc::clone(&self.rules), concert_id, now));
        let slot = Arc::new(Slot { line, version: watch::Sender::new(self.next_version()) });
        lines.insert(concert_id, Arc::clone(&slot));
        drop(lines);
        self.opened.send_replace(());
        Ok(slot)
    }

    fn next_version(&self) -> u64 {
        self.last_version.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Settles a line, does something with it, and tells those who watch.
    fn visit<T>(&self, slot: &Slot, act: impl FnOnce(&mut Line, Timestamp) -> T) -> T {
        // A panic in the critical section would be a defect; one request's must not end the sale for all.
        let mut line = slot.line.lock().unwrap_or_else(PoisonError::into_inner);
        // Read with the lock held, so that time does not run backwards from one visit to the next.
        let now = self.clock.now();
        line.settle(now);
        let result = act(&mut line, now);
        let altered = line.take_altered();
        drop(line);
        if altered {
            slot.version.send_modify(|version| *version = self.next_version());
        }
        result
    }
}

/// Whether a line can be dropped. Nobody can get hold of it meanwhile: the caller has the map's write lock, and
/// whoever uses the line shares its `Arc`.
fn is_idle(slot: &mut Arc<Slot>, now: Timestamp) -> bool {
    Arc::get_mut(slot).is_some_and(|slot| {
        let line = slot.line.get_mut().unwrap_or_else(PoisonError::into_inner);
        line.settle(now);
        slot.version.receiver_count() == 0 && line.is_idle(now)
    })
}

#[async_trait]
impl WaitingRoom for MemoryWaitingRoom {
    async fn join(&self, request: JoinRequest) -> Result<Joined, WaitingRoomError> {
        let slot = self.open_slot(request.concert_id)?;
        self.visit(&slot, |line, now| line.join(&request, now))
    }

    async fn status(&self, ticket: &Ticket) -> Result<Recall, WaitingRoomError> {
        if let Some(slot) = self.slot(ticket.concert_id) {
            return Ok(self.visit(&slot, |line, now| line.status(ticket, now)));
        }
        if self.rules.is_restorable(ticket, self.clock.now()) {
            return Ok(Recall::Forgotten);
        }
        Ok(Recall::Known(QueueStatus { ticket: *ticket, standing: Standing::Expired }))
    }

    async fn restore(&self, request: RestoreRequest) -> Result<QueueStatus, WaitingRoomError> {
        let slot = self.open_slot(request.ticket.concert_id)?;
        self.visit(&slot, |line, now| line.restore(&request, now))
    }

    async fn leave(&self, ticket: &Ticket) -> Result<(), WaitingRoomError> {
        let slot = match self.slot(ticket.concert_id) {
            Some(slot) => slot,
            // A line has to remember that this ticket is not to be restored.
            None if self.rules.is_restorable(ticket, self.clock.now()) => self.open_slot(ticket.concert_id)?,
            None => return Ok(()),
        };
        self.visit(&slot, |line, now| line.leave(ticket, now));
        Ok(())
    }

    async fn keep_until(
        &self,
        concert_id: ConcertId,
        account_id: AccountId,
        held_until: Option<Timestamp>,
    ) -> Result<(), WaitingRoomError> {
        if let Some(slot) = self.slot(concert_id) {
            self.visit(&slot, |line, now| line.keep_until(account_id, held_until, now));
        }
        Ok(())
    }

    async fn spend(&self, concert_id: ConcertId, account_id: AccountId) -> Result<(), WaitingRoomError> {
        let slot = match self.slot(concert_id) {
            Some(slot) => slot,
            None if self.rules.remembers(self.clock.now()) => self.open_slot(concert_id)?,
            None => return Ok(()),
        };
        self.visit(&slot, |line, now| line.spend(account_id, now));
        Ok(())
    }

    async fn set_terms(&self, concert_id: ConcertId, terms: LineTerms) -> Result<(), WaitingRoomError> {
        // Where there is no line, whoever opens it tells the terms.
        if let Some(slot) = self.slot(concert_id) {
            self.visit(&slot, |line, now| line.set_terms(terms, now));
        }
        Ok(())
    }

    async fn empty(&self, concert_id: ConcertId) -> Result<u64, WaitingRoomError> {
        let slot = match self.slot(concert_id) {
            Some(slot) => slot,
            // A line has to remember that no ticket of an earlier process is to be restored.
            None if self.rules.remembers(self.clock.now()) => self.open_slot(concert_id)?,
            None => return Ok(0),
        };
        Ok(self.visit(&slot, |line, _| line.empty()))
    }

    async fn stats(&self, concert_id: ConcertId) -> Result<Option<LineStats>, WaitingRoomError> {
        Ok(self.slot(concert_id).map(|slot| self.visit(&slot, Line::stats)))
    }

    async fn changed(&self, concert_id: ConcertId, seen: u64) -> Result<u64, WaitingRoomError> {
        loop {
            // Subscribed before looking, so that a line opened in between is not missed.
            let mut opened = self.opened.subscribe();
            // Only the receiver is kept while waiting, not the line.
            let line = self.slot(concert_id).map(|slot| slot.version.subscribe());
            if let Some(mut version) = line {
                if let Ok(version) = version.wait_for(|version| *version != seen).await {
                    return Ok(*version);
                }
            } else if seen == VERSION_OF_NO_LINE {
                // Waiting for a line must not make one: nothing would bound how many there are. It fails
                // only when the waiting room is dropped, and then nobody is here to see it.
                let _ = opened.changed().await;
            } else {
                return Ok(VERSION_OF_NO_LINE);
            }
        }
    }

    async fn tidy(&self) -> Result<Option<Timestamp>, WaitingRoomError> {
        // Where nothing is due, a visit is one look at the first ending of the line.
        let visit = |slot: Arc<Slot>| self.visit(&slot, |line, _| line.next_event());
        let event = self.slots().into_iter().filter_map(visit).min();
        let reformed_at = self.rules.reformed_at;
        let reforming = (self.clock.now() < reformed_at).then_some(reformed_at);
        Ok(event.into_iter().chain(reforming).min())
    }

    async fn census(&self, limit: usize) -> Result<Vec<LineCensus>, WaitingRoomError> {
        let visit = |slot: Arc<Slot>| self.visit(&slot, |line, _| line.census());
        let mut lines: Vec<LineCensus> = self.slots().into_iter().map(visit).collect();
        lines.sort_unstable_by_key(|line| (std::cmp::Reverse(line.waiting), line.concert_id));
        lines.truncate(limit);
        Ok(lines)
    }
}
