//! Which commands of a batch have to wait for a lock that another transaction keeps for long.
//!
//! A batch locks all its rows, so one row that somebody else keeps would stop all commands of it, and those behind them. So a
//! batch that has waited in vain is divided: commands whose rows are free go on, and the others are answered. For a while
//! after that, batches find out before they wait.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use boxoffice_domain::{
    OutageReason, PerformanceId, StorageError,
    sale::{Command, LoadPlan},
    seats::SeatLabel,
};
use diesel::sql_types::{Binary, Text};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use tokio::time::{Instant, sleep, timeout};

use super::super::{
    super::{BEGIN, Connection, SKIP_LOCKED, blockers},
    Writer,
    failure::Failure,
    retry::BATCH_TIME_MAX,
};
use crate::{
    statement::{Bind, ROWS_MAX, Statement},
    write_lanes::Decided,
};

/// For how long a row that was locked for long is suspected to be so.
const SUSPECTED_FOR: Duration = Duration::from_secs(10);
/// A row that is locked whenever it is looked at counts as locked for long. Batches lock a row that many want again and again,
/// but not all the time.
const LOOKS: usize = 6;
const LOOKS_APART: Duration = Duration::from_millis(30);

/// The rows that were locked for long lately.
#[derive(Debug, Default)]
pub(crate) struct LongLocks(Mutex<Option<(Instant, Arc<LockedRows>)>>);

impl LongLocks {
    /// Notes which rows are locked for long. Returns whether it is the first time for a while.
    fn note(&self, rows: LockedRows) -> bool {
        let noted = (!rows.is_empty()).then(|| (Instant::now(), Arc::new(rows)));
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = noted.is_some() && known.as_ref().is_none_or(|(at, _)| at.elapsed() >= SUSPECTED_FOR);
        *known = noted;
        is_news
    }

    /// Takes note that these rows are free.
    fn clear(&self, free: &LockedRows) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, rows)) = known.as_mut() {
            *rows = Arc::new(rows.without(free));
        }
    }

    fn suspected(&self) -> Option<Arc<LockedRows>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, rows) = known.as_ref().filter(|(at, _)| at.elapsed() < SUSPECTED_FOR)?;
        Some(Arc::clone(rows))
    }
}

/// What a command that waits for a lock is answered.
pub(super) fn locked() -> StorageError {
    StorageError::unavailable(OutageReason::Locked, "a row that it needs is locked by another transaction")
}

impl Writer {
    /// Which commands need a row that was locked for long lately, and still is.
    pub(super) async fn still_blocked(&self, commands: &[Command]) -> Option<Vec<bool>> {
        let suspected = self.long_locks.suspected()?;
        let suspects: Vec<_> = commands.iter().filter(|command| suspected.are_of(command)).cloned().collect();
        if suspects.is_empty() {
            return None;
        }
        let rows = self.locked_rows(&suspects).await?.intersection(&suspected);
        self.long_locks.clear(&LockedRows::of_all(&suspects).without(&rows));
        rows.of(commands)
    }

    /// Which commands of a batch that waited in vain need a row that is locked for long.
    pub(super) async fn blocked(&self, commands: &[Command]) -> Option<Vec<bool>> {
        let mut rows = self.locked_rows(commands).await?;
        for _ in 1..LOOKS {
            if rows.is_empty() {
                break;
            }
            sleep(LOOKS_APART).await;
            rows = self.locked_rows(commands).await?.intersection(&rows);
        }
        let blocked = rows.of(commands);
        if self.long_locks.note(rows)
            && let Ok(mut session) = self.pool.session().await
        {
            name_blockers(session.connection()).await;
            session.answered();
        }
        blocked
    }

    /// The rows of commands that other transactions have locked now; `None` if that cannot be found out.
    async fn locked_rows(&self, commands: &[Command]) -> Option<LockedRows> {
        let skip_locked = SKIP_LOCKED?;
        let look = async {
            let mut session = self.pool.session().await?;
            let connection = session.connection();
            let looked = async {
                connection.batch_execute(BEGIN).await?;
                let rows = LockedRows::look(connection, &LoadPlan::new(commands), skip_locked).await?;
                connection.batch_execute("ROLLBACK").await?;
                Ok(rows)
            };
            let looked = looked.await;
            session.ended(looked)
        };
        let looked = timeout(BATCH_TIME_MAX, look).await.unwrap_or_else(|elapsed| Err(Failure::timed_out(elapsed)));
        if let Err(failure) = &looked {
            tracing::debug!(?failure, "it cannot be found out which rows are locked");
        }
        looked.ok()
    }
}

/// Logs who keeps locks for long.
async fn name_blockers(connection: &mut Connection) {
    match blockers(connection).await {
        Ok(blockers) => {
            for (id, user, host, seconds) in blockers {
                tracing::warn!(
                    connection = id,
                    user,
                    host,
                    seconds,
                    "writes wait for a transaction that keeps locks: find out whose it is, or end it with KILL"
                );
            }
        }
        Err(error) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "it cannot be found out who keeps locks");
        }
    }
}

/// Rows that other transactions have locked.
#[derive(Debug, Default)]
pub(crate) struct LockedRows {
    accounts: HashSet<Vec<u8>>,
    reservations: HashSet<Vec<u8>>,
    seats: BTreeSet<(PerformanceId, String)>,
}

impl LockedRows {
    async fn look(connection: &mut Connection, plan: &LoadPlan, skip_locked: &'static str) -> Result<Self, Failure> {
        let accounts: Vec<Bind> = plan.accounts.iter().map(|id| (*id).into()).collect();
        let accounts = locked_keys(connection, "wallets", "account_id", accounts, skip_locked).await?;
        let reservations: Vec<Bind> = plan.reservations.iter().map(|id| (*id).into()).collect();
        let reservations = locked_keys(connection, "reservations", "id", reservations, skip_locked).await?;
        let mut seats = BTreeSet::new();
        for (performance_id, labels) in &plan.seats {
            let labels: Vec<&SeatLabel> = labels.iter().collect();
            for labels in labels.chunks(ROWS_MAX) {
                let all = seats_of(connection, *performance_id, labels, "").await?;
                let free = seats_of(connection, *performance_id, labels, skip_locked).await?;
                seats.extend(all.difference(&free).map(|label| (*performance_id, label.clone())));
            }
        }
        Ok(Self { accounts, reservations, seats })
    }

    /// All rows that commands name, locked or not.
    fn of_all(commands: &[Command]) -> Self {
        let plan = LoadPlan::new(commands);
        let labels = |(id, labels): (&PerformanceId, &BTreeSet<SeatLabel>)| {
            labels.iter().map(|label| (*id, label.as_str().to_owned())).collect::<Vec<_>>()
        };
        Self {
            accounts: plan.accounts.iter().map(|id| id.uuid().as_bytes().to_vec()).collect(),
            reservations: plan.reservations.iter().map(|id| id.uuid().as_bytes().to_vec()).collect(),
            seats: plan.seats.iter().flat_map(labels).collect(),
        }
    }

    fn without(&self, other: &Self) -> Self {
        Self {
            accounts: self.accounts.difference(&other.accounts).cloned().collect(),
            reservations: self.reservations.difference(&other.reservations).cloned().collect(),
            seats: self.seats.difference(&other.seats).cloned().collect(),
        }
    }

    fn intersection(&self, other: &Self) -> Self {
        Self {
            accounts: self.accounts.intersection(&other.accounts).cloned().collect(),
            reservations: self.reservations.intersection(&other.reservations).cloned().collect(),
            seats: self.seats.intersection(&other.seats).cloned().collect(),
        }
    }

    /// For each command, whether it needs one of them; `None` if none does.
    fn of(&self, commands: &[Command]) -> Option<Vec<bool>> {
        let blocked: Vec<bool> = commands.iter().map(|command| self.are_of(command)).collect();
        blocked.contains(&true).then_some(blocked)
    }

    fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.reservations.is_empty() && self.seats.is_empty()
    }

    /// Whether a command needs one of them.
    fn are_of(&self, command: &Command) -> bool {
        if self.is_empty() {
            return false;
        }
        let plan = LoadPlan::new(std::slice::from_ref(command));
        let seat =
            |performance_id, label: &SeatLabel| self.seats.contains(&(performance_id, label.as_str().to_owned()));
        plan.accounts.iter().any(|id| self.accounts.contains(id.uuid().as_bytes().as_slice()))
            || plan.reservations.iter().any(|id| self.reservations.contains(id.uuid().as_bytes().as_slice()))
            || plan.seats.iter().any(|(id, labels)| labels.iter().any(|label| seat(*id, label)))
    }
}

/// The keys of those rows that exist and are locked.
async fn locked_keys(
    connection: &mut Connection,
    table: &'static str,
    key: &'static str,
    keys: Vec<Bind>,
    skip_locked: &'static str,
) -> Result<HashSet<Vec<u8>>, Failure> {
    let mut locked = HashSet::new();
    for keys in keys.chunks(ROWS_MAX) {
        let query = || {
            let select = Statement::<Binary>::new("SELECT ").sql(key).sql(" FROM ").sql(table);
            select.sql(" WHERE ").sql(key).sql(" IN ").list(keys.iter().cloned())
        };
        let all: Vec<Vec<u8>> = query().load(connection).await?;
        let free: Vec<Vec<u8>> = query().sql(skip_locked).load(connection).await?;
        let free: HashSet<_> = free.into_iter().collect();
        locked.extend(all.into_iter().filter(|key| !free.contains(key)));
    }
    Ok(locked)
}

async fn seats_of(
    connection: &mut Connection,
    performance_id: PerformanceId,
    labels: &[&SeatLabel],
    lock: &'static str,
) -> Result<BTreeSet<String>, Failure> {
    let query = Statement::<Text>::new("SELECT label FROM seats WHERE performance_id = ").bind(performance_id);
    let labels: Vec<String> =
        query.sql(" AND label IN ").list(labels.iter().copied()).sql(lock).load(connection).await?;
    Ok(labels.into_iter().collect())
}

/// The outcomes of a divided batch, in the order of its commands: those of the free ones, and that the others are locked.
pub(super) fn merged(blocked: &[bool], free: Vec<Decided>) -> Vec<Decided> {
    let mut free = free.into_iter();
    blocked.iter().map(|blocked| if *blocked { None } else { free.next() }.unwrap_or_else(|| Err(locked()))).collect()
}
