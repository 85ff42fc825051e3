//! What one instance knows of each queue.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use boxoffice_domain::{
    AccountId, ConcertId, Timestamp,
    waiting_room::{PlaceNumber, QueuePlace, Standing},
};
use boxoffice_peers::{SharedError, SingleFlight};
use tokio::{sync::watch, time::Instant};

use super::{
    scripts,
    snapshot::{Admitted, Snapshot, Update},
};

/// After how long without a request a queue is forgotten if there are many.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(1);
/// From how many queues on those are forgotten.
const QUEUES_KNOWN: usize = 1_024;
/// How many that left one queue are remembered.
const LEFT_MAX: usize = 65_536;
/// How many admissions of one queue are remembered for the time that Redis is away.
const ADMITTED_MAX: usize = 65_536;
/// How long a queue may be missing from the list of queues, if the list was lost alone.
const REGISTERED_FOR: Duration = Duration::from_secs(5);

/// What this instance knows of all queues.
#[derive(Debug, Default)]
pub(super) struct KnownQueues {
    queues: Mutex<HashMap<ConcertId, Arc<KnownQueue>>>,
    /// Counts the versions of all queues together, so that a queue that was forgotten never has an earlier version again.
    versions: Arc<AtomicU64>,
}

/// What this instance knows of one queue.
#[derive(Debug)]
pub(super) struct KnownQueue {
    pub(super) concert_id: ConcertId,
    versions: Arc<AtomicU64>,
    /// The version that watchers see.
    watched: watch::Sender<u64>,
    known: Mutex<Known>,
    pub(super) snapshots: SingleFlight<SharedError>,
}

#[derive(Debug, Default)]
struct Known {
    /// When a request was last about the queue.
    asked: Option<Instant>,
    /// When the queue was opened, and its version.
    version: (u64, u64),
    /// When something is due, as the list of queues has it.
    listed_due: Option<Timestamp>,
    /// When the queue was last added to the list.
    registered: Option<Instant>,
    snapshot: Option<Arc<Snapshot>>,
    admissions_version: u64,
    admitted: HashMap<AccountId, Admitted>,
    left_total: u64,
    left: HashSet<(AccountId, PlaceNumber)>,
}

impl KnownQueues {
    pub(super) fn of(&self, concert_id: ConcertId) -> Arc<KnownQueue> {
        let now = Instant::now();
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if queues.len() >= QUEUES_KNOWN && !queues.contains_key(&concert_id) {
            let is_recent = |asked| now.duration_since(asked) < FORGOTTEN_AFTER;
            queues.retain(|_, queue| Arc::strong_count(queue) > 1 || queue.known().asked.is_some_and(is_recent));
        }
        let queue = queues.entry(concert_id).or_insert_with(|| Arc::new(KnownQueue::new(concert_id, &self.versions)));
        queue.known().asked = Some(now);
        Arc::clone(queue)
    }

    /// The queue, if this instance knows anything of it.
    pub(super) fn known(&self, concert_id: ConcertId) -> Option<Arc<KnownQueue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner).get(&concert_id).cloned()
    }

    /// Wakes all watchers: a change may have been missed.
    pub(super) fn wake_all(&self) {
        for queue in self.queues.lock().unwrap_or_else(PoisonError::into_inner).values() {
            queue.wake();
        }
    }
}

impl KnownQueue {
    fn new(concert_id: ConcertId, versions: &Arc<AtomicU64>) -> Self {
        let first = versions.fetch_add(1, Ordering::Relaxed) + 1;
        Self {
            concert_id,
            versions: Arc::clone(versions),
            watched: watch::Sender::new(first),
            known: Mutex::default(),
            snapshots: SingleFlight::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.watched.subscribe()
    }

    fn wake(&self) {
        self.watched.send_modify(|version| *version = self.versions.fetch_add(1, Ordering::Relaxed) + 1);
    }

    /// Notes a version of the queue; wakes watchers if it is a new one.
    pub(super) fn apply_version(&self, opened_at: u64, version: u64) {
        let mut known = self.known();
        let another = known.version.0 != opened_at;
        let new = another || known.version.1 < version;
        if another {
            known.listed_due = None;
            known.snapshot = None;
            known.registered = None;
            known.left.clear();
            known.left_total = 0;
        }
        if new {
            known.version = (opened_at, version);
        }
        drop(known);
        if new {
            self.wake();
        }
    }

    /// When the queue was opened, and its version.
    pub(super) fn version(&self) -> (u64, u64) {
        self.known().version
    }

    /// Whether the list of queues does not know yet that something is due then.
    pub(super) fn is_due_earlier(&self, due: Timestamp, now: Timestamp) -> bool {
        // What was due in the past, the instance that claimed it has seen to.
        self.known().listed_due.is_none_or(|listed| due < listed || listed <= now)
    }

    pub(super) fn set_listed_due(&self, due: Timestamp) {
        self.known().listed_due = Some(due);
    }

    /// Whether it is time to add the queue to the list. The caller that gets `true` does it.
    pub(super) fn begin_registration(&self) -> bool {
        let mut known = self.known();
        let now = Instant::now();
        let begins = known.registered.is_none_or(|at| now.duration_since(at) >= REGISTERED_FOR);
        if begins {
            known.registered = Some(now);
        }
        begins
    }

    pub(super) fn snapshot_since(&self, since: Instant) -> Option<Arc<Snapshot>> {
        self.known().snapshot.as_ref().filter(|snapshot| since <= snapshot.taken).cloned()
    }

    pub(super) fn drop_snapshot(&self) {
        self.known().snapshot = None;
    }

    /// What need not be asked for again.
    pub(super) fn known_so_far(&self) -> scripts::Known {
        let known = self.known();
        scripts::Known {
            opened_at: known.snapshot.as_ref().map_or(0, |snapshot| snapshot.version.0),
            admissions_version: known.admissions_version,
            left_total: known.left_total,
        }
    }

    pub(super) fn apply_snapshot(&self, update: Update) -> Arc<Snapshot> {
        let snapshot = Arc::new(update.snapshot);
        let mut known = self.known();
        known.snapshot = Some(Arc::clone(&snapshot));
        known.admissions_version = update.admissions_version;
        if let Some(admitted) = update.admitted {
            known.admitted = admitted;
        }
        known.left_total = update.left_total;
        if known.left.len() + update.left.len() > LEFT_MAX {
            known.left.clear();
        }
        known.left.extend(update.left);
        drop(known);
        snapshot
    }

    /// Notes that a place was left.
    pub(super) fn leave(&self, place: &QueuePlace) {
        let mut known = self.known();
        if known.left.len() < LEFT_MAX {
            known.left.insert((place.account_id, place.number));
        }
        known.admitted.remove(&place.account_id);
    }

    pub(super) fn has_left(&self, place: &QueuePlace) -> bool {
        self.known().left.contains(&(place.account_id, place.number))
    }

    /// Keeps where a place stands for the time that Redis is away.
    pub(super) fn apply_standing(&self, place: &QueuePlace, standing: Standing) {
        let mut known = self.known();
        match standing {
            Standing::Active { admitted_until, active_until } => {
                if known.admitted.len() < ADMITTED_MAX {
                    let admitted = Admitted { number: place.number, until: admitted_until, active_until };
                    known.admitted.insert(place.account_id, admitted);
                }
            }
            Standing::Waiting { .. } => {}
            Standing::Expired => {
                if known.admitted.get(&place.account_id).is_some_and(|admitted| admitted.number == place.number) {
                    known.admitted.remove(&place.account_id);
                }
            }
        }
    }

    /// The admission of an account as last known.
    pub(super) fn admitted(&self, account_id: AccountId, now: Timestamp) -> Option<Admitted> {
        self.known().admitted.get(&account_id).copied().filter(|admitted| now < admitted.active_until)
    }

    /// Lengthens or shortens an admission that is known.
    pub(super) fn keep_until(&self, account_id: AccountId, held_until: Option<Timestamp>) {
        if let Some(admitted) = self.known().admitted.get_mut(&account_id) {
            let until = admitted.until;
            admitted.active_until = held_until.map_or(until, |held_until| held_until.max(until));
        }
    }

    pub(super) fn end_admission(&self, account_id: AccountId) {
        self.known().admitted.remove(&account_id);
    }
}
