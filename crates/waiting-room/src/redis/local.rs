//! What one instance knows of each line.

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
    waiting_room::{Place, Standing, Ticket},
};
use tokio::{sync::watch, time::Instant};

use super::snapshot::{Admitted, News, Snapshot};

/// Lines that nobody has asked about for so long are forgotten when there are many.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(1);
/// How many lines are known before the oldest are forgotten.
const LINES_KNOWN: usize = 1_024;
/// How many who left one line are remembered.
const DEPARTED_MAX: usize = 65_536;
/// How many admissions of one line are remembered for the time that Redis is away.
const ADMITTED_MAX: usize = 65_536;
/// How long a line may be unregistered, if the list of lines was lost alone.
const REGISTERED_FOR: Duration = Duration::from_secs(5);

/// What this instance knows of all lines.
#[derive(Debug, Default)]
pub(super) struct Locals {
    lines: Mutex<HashMap<ConcertId, Arc<Local>>>,
    /// Counts the versions of all lines together, so that a line that was forgotten has none again that it had.
    versions: Arc<AtomicU64>,
}

/// What this instance knows of one line.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) concert_id: ConcertId,
    versions: Arc<AtomicU64>,
    /// The version that those who watch are told.
    told: watch::Sender<u64>,
    known: Mutex<Known>,
    /// Held by the one who takes a snapshot.
    pub(super) taking: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Known {
    asked: Instant,
    /// When the line began and its version, as last heard.
    heard: (u64, u64),
    /// When something is due, as the list of lines was told, and when it was told of the line.
    due: Option<Timestamp>,
    registered: Option<Instant>,
    snapshot: Option<Arc<Snapshot>>,
    failed: Option<Instant>,
    admissions_version: u64,
    admitted: HashMap<AccountId, Admitted>,
    gone_total: u64,
    departed: HashSet<(AccountId, Place)>,
}

impl Locals {
    pub(super) fn of(&self, concert_id: ConcertId) -> Arc<Local> {
        let now = Instant::now();
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(local) = lines.get(&concert_id) {
            local.known().asked = now;
            return Arc::clone(local);
        }
        if lines.len() >= LINES_KNOWN {
            lines.retain(|_, local| {
                Arc::strong_count(local) > 1 || now.duration_since(local.known().asked) < FORGOTTEN_AFTER
            });
        }
        let local = Arc::new(Local::new(concert_id, Arc::clone(&self.versions)));
        lines.insert(concert_id, Arc::clone(&local));
        local
    }

    /// The line, if this instance knows anything of it.
    pub(super) fn known(&self, concert_id: ConcertId) -> Option<Arc<Local>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).get(&concert_id).cloned()
    }

    /// Wakes all who watch: something may have been missed.
    pub(super) fn wake_all(&self) {
        for local in self.lines.lock().unwrap_or_else(PoisonError::into_inner).values() {
            local.wake();
        }
    }
}

impl Local {
    fn new(concert_id: ConcertId, versions: Arc<AtomicU64>) -> Self {
        let first = versions.fetch_add(1, Ordering::Relaxed) + 1;
        let known = Known {
            asked: Instant::now(),
            heard: (0, 0),
            due: None,
            registered: None,
            snapshot: None,
            failed: None,
            admissions_version: 0,
            admitted: HashMap::new(),
            gone_total: 0,
            departed: HashSet::new(),
        };
        Self {
            concert_id,
            versions,
            told: watch::Sender::new(first),
            known: Mutex::new(known),
            taking: tokio::sync::Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.told.subscribe()
    }

    fn wake(&self) {
        self.told.send_modify(|version| *version = self.versions.fetch_add(1, Ordering::Relaxed) + 1);
    }

    /// Takes notice of a version of the line, which wakes those who watch where it is a new one.
    pub(super) fn hear(&self, opened: u64, version: u64) {
        let mut known = self.known();
        let another = known.heard.0 != opened;
        let news = another || known.heard.1 < version;
        if another {
            known.due = None;
            known.snapshot = None;
            known.registered = None;
            known.departed.clear();
            known.gone_total = 0;
        }
        if news {
            known.heard = (opened, version);
        }
        drop(known);
        if news {
            self.wake();
        }
    }

    pub(super) fn heard(&self) -> (u64, u64) {
        self.known().heard
    }

    /// Whether the list of lines has to be told that something is due then.
    pub(super) fn is_due_earlier(&self, due: Timestamp, now: Timestamp) -> bool {
        // What is past was seen to by whoever claimed it.
        self.known().due.is_none_or(|known| due < known || known <= now)
    }

    pub(super) fn told_due(&self, due: Timestamp) {
        self.known().due = Some(due);
    }

    /// Whether the list of lines has not been told of this one for a while; from now on it has.
    pub(super) fn registers(&self) -> bool {
        let mut known = self.known();
        let now = Instant::now();
        let registers = known.registered.is_none_or(|at| now.duration_since(at) >= REGISTERED_FOR);
        if registers {
            known.registered = Some(now);
        }
        registers
    }

    pub(super) fn snapshot_since(&self, since: Instant) -> Option<Arc<Snapshot>> {
        self.known().snapshot.as_ref().filter(|snapshot| since <= snapshot.taken).cloned()
    }

    pub(super) fn drop_snapshot(&self) {
        self.known().snapshot = None;
    }

    pub(super) fn has_failed_since(&self, since: Instant) -> bool {
        self.known().failed.is_some_and(|at| since <= at)
    }

    pub(super) fn failed(&self) {
        self.known().failed = Some(Instant::now());
    }

    /// What to ask for that is not known yet: when the line began, which admissions, and how many have left.
    pub(super) fn known_so_far(&self) -> (u64, u64, u64) {
        let known = self.known();
        let opened = known.snapshot.as_ref().map_or(0, |snapshot| snapshot.version.0);
        (opened, known.admissions_version, known.gone_total)
    }

    pub(super) fn learn_snapshot(&self, news: News) -> Arc<Snapshot> {
        let snapshot = Arc::new(news.snapshot);
        let mut known = self.known();
        known.failed = None;
        known.snapshot = Some(Arc::clone(&snapshot));
        known.admissions_version = news.admissions_version;
        if let Some(admitted) = news.admitted {
            known.admitted = admitted.into_iter().collect();
        }
        known.gone_total = news.gone_total;
        if known.departed.len() + news.gone.len() > DEPARTED_MAX {
            known.departed.clear();
        }
        known.departed.extend(news.gone);
        drop(known);
        snapshot
    }

    pub(super) fn depart(&self, account_id: AccountId, place: Place) {
        let mut known = self.known();
        if known.departed.len() < DEPARTED_MAX {
            known.departed.insert((account_id, place));
        }
        known.admitted.remove(&account_id);
    }

    pub(super) fn has_departed(&self, ticket: &Ticket) -> bool {
        self.known().departed.contains(&(ticket.account_id, ticket.place))
    }

    /// Keeps what Redis has said of a ticket for the time that it is away.
    pub(super) fn learn(&self, ticket: &Ticket, standing: Standing) {
        let mut known = self.known();
        match standing {
            Standing::Active { admitted_until, active_until } => {
                if known.admitted.len() < ADMITTED_MAX {
                    let admitted = Admitted { place: ticket.place, until: admitted_until, active_until };
                    known.admitted.insert(ticket.account_id, admitted);
                }
            }
            Standing::Waiting { .. } => {}
            Standing::Expired => {
                if known.admitted.get(&ticket.account_id).is_some_and(|admitted| admitted.place == ticket.place) {
                    known.admitted.remove(&ticket.account_id);
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
