//! The seats of the performances that callers look at, cached.
//!
//! An entry is what the table `seats` says of one performance. One query reads it when a caller asks, and the write lanes
//! keep it up to date: after a batch has been committed, and before any of its callers gets its outcome, what the batch
//! says of seats is applied here. So a map never shows less than an outcome that this process has returned. An entry that
//! was read longer ago than `age_max` is read again before it is shown, so that it shows what peers write. If peers publish
//! what they write, it is applied at once; and while all of that is known to be received, an entry is good for longer, as
//! long as it is also known that no import has changed its prices. Nothing is read for an entry that no caller asks for.
//!
//! The cache decides nothing. A hold is decided over rows that are locked, whatever an entry says.
//!
//! An entry may have been read before or after a peer wrote, and of two lanes the one that committed first may be applied
//! last. So an update is only applied if it continues from what the entry says; if it contradicts the entry, the entry is
//! in doubt and read again; so it is if the seats cost something else. The seats of a refused hold may have become free when the refusal is applied: an entry that
//! has applied one is good for `age_max` only.

mod counts;
mod seats;
mod updates;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use boxoffice_domain::{
    AccountId, Clock, PerformanceId, StorageError, Timestamp,
    catalog::{SeatMap, Stock},
    sale::{Command, Outcome},
};
use boxoffice_peers::{Peers, SharedError, SingleFlight, Topic};
use tokio::time::Instant;

use self::{counts::Counts, seats::Seats, updates::SeatUpdate};

pub(crate) use self::{counts::Count, seats::Reading};

/// The most entries.
const ENTRIES_MAX: usize = 1_000;
/// The most seats of all entries together, of about 150 bytes each. A single entry may have more.
const SEATS_MAX: usize = 500_000;
/// How long an entry is kept up to date after a caller has asked for it.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// How long ago an entry may have been read that is shown while everything is received that peers publish. What is not
/// published, such as a repair by hand, is shown after this time.
const RECEIVING_AGE_MAX: Duration = Duration::from_secs(10);
/// The most updates that are kept for one reading that is under way.
const UPDATES_MAX: usize = 100_000;

/// What is published if the outcome of a batch is not known: a text that peers cannot read.
const UNKNOWN: &str = "unknown";

/// The cached seats of one store.
pub(crate) struct SeatCache {
    /// How long ago an entry may have been read that is shown; zero keeps none.
    age_max: Duration,
    clock: Arc<dyn Clock>,
    peers: OnceLock<Arc<dyn Peers>>,
    kept: Mutex<HashMap<PerformanceId, Kept>>,
    counts: Counts,
}

struct Kept {
    entry: Arc<Entry>,
    asked_at: Instant,
    seats_count: usize,
}

/// The seats of one performance.
#[derive(Default)]
struct Entry {
    state: Mutex<State>,
    flight: SingleFlight<SharedError>,
}

#[derive(Default)]
struct State {
    seats: Option<Seats>,
    /// What was not read after this is not to be shown.
    doubted_at: Option<Instant>,
    /// The updates since the reading that is under way began.
    updates: Option<Vec<Arc<SeatUpdate>>>,
}

impl SeatCache {
    pub(crate) fn new(age_max: Duration, clock: Arc<dyn Clock>) -> Self {
        Self { age_max, clock, peers: OnceLock::new(), kept: Mutex::default(), counts: Counts::default() }
    }

    /// The seats of a performance as they are now. If its entry has to be read, `read` does it, given of how many seats
    /// the labels are known. Many who ask at once wait for one reading.
    /// What has been read longer ago than `age_max` is not good enough if prices may have changed since, unless
    /// `prices_are_known`.
    pub(crate) async fn map<F>(
        &self,
        id: PerformanceId,
        prices_are_known: bool,
        read: impl FnOnce(Option<usize>) -> F,
    ) -> Result<Option<SeatMap>, StorageError>
    where
        F: Future<Output = Result<Reading, StorageError>>,
    {
        if self.age_max.is_zero() {
            let seats = Seats::of(read(None).await?, None, (Instant::now(), self.clock.now()));
            return Ok(seats.map(|seats| seats.map(id, self.clock.now())));
        }
        let (entry, asked_at) = self.entry(id);
        let all_received = prices_are_known && self.receives_all();
        let kept = || {
            let state = locked(&entry.state);
            let seats = self.fresh(&state, asked_at, all_received)?;
            metrics::counter!("boxoffice_cache_hits_total", "cache" => "seat_boards").increment(1);
            Some(Some(seats.map(id, self.clock.now())))
        };
        let reading = async {
            metrics::counter!("boxoffice_cache_misses_total", "cache" => "seat_boards").increment(1);
            let (under_way, known) = entry.begin_reading(self.clock.now());
            let map = under_way.end(id, read(known).await?, self.clock.as_ref());
            self.note_size(id, map.as_ref().map_or(0, |map| map.statuses().len()));
            Ok(map)
        };
        Ok(entry.flight.get(kept, reading).await?)
    }

    /// If the entry of a performance is good enough to be shown, though it was read longer ago than `age_max`: this time.
    pub(crate) fn outlives_its_age(&self, id: PerformanceId) -> Option<Duration> {
        let entry = Arc::clone(&locked(&self.kept).get(&id)?.entry);
        let (now, all_received, state) = (Instant::now(), self.receives_all(), locked(&entry.state));
        let seats = self.fresh(&state, now, all_received)?;
        (seats.read_at + self.age_max < now).then_some(self.age_max)
    }

    /// Has the entries of these performances read again, or with `None` all entries.
    pub(crate) fn doubt(&self, ids: Option<&[PerformanceId]>) {
        let entries: Vec<_> = {
            let all = locked(&self.kept);
            let entries: Vec<&Kept> = match ids {
                Some(ids) => ids.iter().filter_map(|id| all.get(id)).collect(),
                None => all.values().collect(),
            };
            entries.into_iter().map(|kept| Arc::clone(&kept.entry)).collect()
        };
        for entry in entries {
            locked(&entry.state).doubted_at = Some(Instant::now());
        }
    }

    /// How many seats of a performance are available, if its entry is good enough to be shown.
    pub(crate) fn available(&self, id: PerformanceId) -> Option<u32> {
        let entry = Arc::clone(&locked(&self.kept).get(&id)?.entry);
        let (all_received, state) = (self.receives_all(), locked(&entry.state));
        let available = self.fresh(&state, Instant::now(), all_received)?.available(self.clock.now());
        u32::try_from(available).ok()
    }

    /// What is left of a performance: by its entry if that is good enough to be shown, else by a count that is.
    pub(crate) fn stock(&self, id: PerformanceId) -> Option<Stock> {
        if self.age_max.is_zero() {
            return None;
        }
        let (all_received, now) = (self.receives_all(), self.clock.now());
        let entry = locked(&self.kept).get(&id).map(|kept| Arc::clone(&kept.entry));
        let cached = entry.and_then(|entry| {
            let state = locked(&entry.state);
            Some(self.fresh(&state, Instant::now(), all_received)?.stock(now))
        });
        cached.or_else(|| self.counts.get(id, self.age_max, all_received, now))
    }

    /// Begins to count the seats of performances.
    pub(crate) fn begin_counting(&self, ids: &[PerformanceId]) -> Instant {
        self.counts.begin(ids)
    }

    /// Keeps the count of a performance's seats that was begun then.
    pub(crate) fn keep_count(&self, id: PerformanceId, count: Count, began_at: Instant) {
        self.counts.keep(id, count, began_at);
    }

    /// How many peers have lately written seats.
    pub(crate) fn busy_peers(&self) -> u32 {
        self.peers.get().map_or(0, |peers| peers.busy_with(Topic::Seats))
    }

    /// Whether this process has received all that its peers have published.
    fn receives_all(&self) -> bool {
        self.peers.get().is_some_and(|peers| peers.all_received())
    }

    /// The seats of an entry, if they are good enough for a caller that asked at this instant.
    fn fresh<'s>(&self, state: &'s State, asked_at: Instant, all_received: bool) -> Option<&'s Seats> {
        let seats = state.seats.as_ref()?;
        let lasts = all_received && !seats.found_out;
        let age_max = if lasts { self.age_max.max(RECEIVING_AGE_MAX) } else { self.age_max };
        let fresh = seats.read_at + age_max >= asked_at && state.doubted_at.is_none_or(|at| seats.read_at > at);
        fresh.then_some(seats)
    }

    /// The entry of a performance, a new one if there is none, and the instant at which it was asked for.
    fn entry(&self, id: PerformanceId) -> (Arc<Entry>, Instant) {
        let mut all = locked(&self.kept);
        let asked_at = Instant::now();
        let kept = all.entry(id).or_insert_with(|| Kept { entry: Arc::default(), asked_at, seats_count: 0 });
        kept.asked_at = asked_at;
        (Arc::clone(&kept.entry), asked_at)
    }

    /// Notes how many seats an entry has, and drops those that were asked for the longest ago if there are too many. An
    /// entry without seats is one of no performance, and is dropped too.
    fn note_size(&self, id: PerformanceId, seats_count: usize) {
        let mut all = locked(&self.kept);
        if seats_count == 0 {
            all.remove(&id);
            return;
        }
        if let Some(kept) = all.get_mut(&id) {
            kept.seats_count = seats_count;
        }
        while all.len() > ENTRIES_MAX || all.values().map(|kept| kept.seats_count).sum::<usize>() > SEATS_MAX {
            let others = all.iter().filter(|(other, _)| **other != id);
            let Some((&oldest, _)) = others.min_by_key(|(_, kept)| kept.asked_at) else { break };
            all.remove(&oldest);
        }
    }

    /// From now on publishes to these peers what the batches of this process have changed.
    pub(crate) fn publish_to(&self, peers: Arc<dyn Peers>) {
        // The first ones stay: a process has the same peers until it ends.
        let _ = self.peers.set(peers);
    }

    /// Applies and publishes the outcomes of a batch. To be called before its callers get them.
    pub(crate) fn apply_batch(&self, commands: &[Command], outcomes: &[Result<Outcome, StorageError>]) {
        let peers = self.peers.get().filter(|peers| peers.are_reachable());
        if peers.is_none() && locked(&self.kept).is_empty() && self.counts.is_empty() {
            return;
        }
        let publish = |text| {
            if let Some(peers) = peers {
                peers.publish(Topic::Seats, text);
            }
        };
        if outcomes.iter().any(Result::is_err) {
            // It is not known what of it has happened.
            self.forget_all();
            publish(UNKNOWN.to_owned());
        }
        let outcomes = commands.iter().zip(outcomes);
        let updates = outcomes.filter_map(|(command, outcome)| SeatUpdate::of(command, outcome.as_ref().ok()?));
        let updates: Vec<_> = updates.collect();
        if let Some(text) = updates::text_of(&updates) {
            publish(text);
        }
        self.counts.change(updates.iter().map(SeatUpdate::performance_id));
        self.apply(updates);
    }

    /// Applies what a peer has published. Returns the accounts that sent the commands.
    pub(crate) fn apply_published(&self, text: &str) -> Vec<AccountId> {
        let Some(changes) = updates::read(text) else {
            // The peer does not know what happened, or is of another version: any entry may be outdated.
            self.forget_all();
            return Vec::new();
        };
        self.counts.change(changes.iter().map(|change| change.performance_id));
        let accounts = changes.iter().filter_map(|change| change.account_id).collect();
        self.apply(changes.into_iter().map(SeatUpdate::Changed));
        accounts
    }

    fn apply(&self, updates: impl IntoIterator<Item = SeatUpdate>) {
        for update in updates {
            if let Some(entry) = self.asked_lately(update.performance_id()) {
                entry.apply(update, self.clock.now());
            }
        }
    }

    fn asked_lately(&self, id: PerformanceId) -> Option<Arc<Entry>> {
        let mut all = locked(&self.kept);
        let kept = all.get(&id)?;
        if kept.asked_at.elapsed() <= IDLE_MAX {
            return Some(Arc::clone(&kept.entry));
        }
        all.remove(&id);
        None
    }

    /// Has every entry read again.
    pub(crate) fn forget_all(&self) {
        locked(&self.kept).clear();
        self.counts.clear();
    }
}

impl Entry {
    /// Begins to keep updates for a reading that begins now; returns of how many seats the labels are known.
    fn begin_reading(&self, now: Timestamp) -> (UnderWay<'_>, Option<usize>) {
        let mut state = locked(&self.state);
        state.updates = Some(Vec::new());
        let known = state.seats.as_ref().map(|seats| seats.labels.len());
        (UnderWay { entry: self, began_at: (Instant::now(), now) }, known)
    }

    fn apply(&self, update: SeatUpdate, now: Timestamp) {
        let mut state = locked(&self.state);
        let update = Arc::new(update);
        let has_room = match &mut state.updates {
            Some(kept) if kept.len() < UPDATES_MAX => {
                kept.push(Arc::clone(&update));
                true
            }
            kept => kept.is_none(),
        };
        let continues = state.seats.as_mut().is_none_or(|seats| seats.apply(&update, now));
        if !has_room || !continues {
            state.doubted_at = Some(Instant::now());
        }
    }
}

/// A reading that is under way. One that is broken off leaves the entry as it was.
struct UnderWay<'e> {
    entry: &'e Entry,
    /// The same moment by both clocks.
    began_at: (Instant, Timestamp),
}

impl UnderWay<'_> {
    /// Puts what was read into the entry, with the updates since the reading began: the database may have been read before
    /// they were written.
    fn end(self, id: PerformanceId, reading: Reading, clock: &dyn Clock) -> Option<SeatMap> {
        let mut state = locked(&self.entry.state);
        let former = state.seats.take();
        let mut seats = Seats::of(reading, former, self.began_at)?;
        let now = clock.now();
        for update in state.updates.take().into_iter().flatten() {
            if !seats.apply(&update, now) {
                state.doubted_at = Some(Instant::now());
            }
        }
        let map = seats.map(id, now);
        state.seats = Some(seats);
        Some(map)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        // They have been applied, or the reading was broken off and does not need them.
        locked(&self.entry.state).updates = None;
    }
}

/// Nothing that is done under these locks can panic half-way.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
