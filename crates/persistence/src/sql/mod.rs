//! The storage ports over SQL, in terms of the dialect that mounts this tree (`super`).

mod accounts;
mod audit;
mod batch;
mod catalog;
mod insert;
mod leases;
mod outbox;
mod payments;
mod pool;
mod reservations;
mod retry;
mod seats;
mod wallet;

use std::sync::Arc;

use async_trait::async_trait;
use boxoffice_domain::{Clock, ConcertId, EntropySource, PerformanceId, StorageError, Timestamp, audit::Readiness};
use diesel_async::{AsyncMigrationHarness, RunQueryDsl};
use diesel_migrations::MigrationHarness;

use self::{
    pool::{Pool, Session},
    retry::{count_from_zero, in_time},
};
use super::{Connection, MIGRATIONS, WRITERS_MAX, agrees_at_commit, establish, lock_schema};
use crate::{ConnectError, Database, PersistenceSettings, lane::Lanes, seat_boards::SeatBoards, statement::Statement};

/// Implements every storage port over two pools, so that writers never wait for readers.
pub(crate) struct Store {
    readers: Pool,
    writer: Arc<Writer>,
    lanes: Lanes,
    boards: Arc<SeatBoards>,
    clock: Arc<dyn Clock>,
    /// The concert of each performance, which never changes.
    concerts_of: moka::sync::Cache<PerformanceId, ConcertId>,
}

/// How many performances are cached with their concerts.
const CONCERTS_REMEMBERED_MAX: u64 = 100_000;

/// Runs writing transactions, in a write lane or outside.
pub(crate) struct Writer {
    pool: Arc<Pool>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn EntropySource>,
    retry_max: u32,
    /// Whether a lock only excludes transactions on the same node of the database.
    locks_are_local: bool,
}

impl Store {
    async fn reader(&self) -> Result<Session<'_>, StorageError> {
        self.readers.session().await
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

pub(crate) async fn connect(
    url: String,
    settings: PersistenceSettings,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn EntropySource>,
) -> Result<Database, ConnectError> {
    let unreachable = |error: diesel::ConnectionError| ConnectError::Unreachable(error.into());
    let mut first = establish(&url).await.map_err(unreachable)?;
    let agreed = agrees_at_commit(&mut first).await;
    let locks_are_local = agreed.map_err(|error| ConnectError::Unreachable(error.into()))?;
    drop(first);
    let readers = Pool::open(url.clone(), settings.connections_max, settings.connect_timeout, "read").await?;
    let writers = Pool::open(url.clone(), WRITERS_MAX, settings.connect_timeout, "write").await?;
    let writers = Arc::new(writers);
    // A connection belongs to the runtime that made it, and each write lane has its own runtime.
    let mut lane_connections = Vec::new();
    if WRITERS_MAX == 1 {
        lane_connections.push(Arc::clone(&writers));
    } else {
        for _ in 0..settings.lanes.max(1) {
            let connections = Pool::open(url.clone(), 1, settings.connect_timeout, "lane").await?;
            lane_connections.push(Arc::new(connections));
        }
    }
    let writer = |pool| {
        let (clock, entropy) = (Arc::clone(&clock), Arc::clone(&entropy));
        Writer { pool, clock, entropy, retry_max: settings.retry_max, locks_are_local }
    };
    let boards = Arc::new(SeatBoards::new(settings.seats_age_max, Arc::clone(&clock)));
    let lanes = Lanes::start(lane_connections.into_iter().map(writer).collect(), &boards, &settings);
    let lanes = lanes.map_err(|error| ConnectError::Unreachable(error.into()))?;
    let store = Store {
        readers,
        writer: Arc::new(writer(writers)),
        lanes: lanes.clone(),
        boards: Arc::clone(&boards),
        clock,
        concerts_of: moka::sync::Cache::new(CONCERTS_REMEMBERED_MAX),
    };
    count_from_zero();
    Ok(Database::new(Arc::new(store), lanes, boards))
}

pub(crate) async fn migrate(url: String) -> Result<Vec<String>, ConnectError> {
    with_schema_locked(url, |harness| {
        let applied = harness.run_pending_migrations(MIGRATIONS)?;
        Ok(applied.iter().map(ToString::to_string).collect())
    })
    .await
}

pub(crate) async fn migrate_down(url: String, migrations_count: usize) -> Result<Vec<String>, ConnectError> {
    with_schema_locked(url, move |harness| {
        let mut reverted = Vec::new();
        for _ in 0..migrations_count.min(harness.applied_migrations()?.len()) {
            reverted.push(harness.revert_last_migration(MIGRATIONS)?.to_string());
        }
        Ok(reverted)
    })
    .await
}

type Migrated = Result<Vec<String>, Box<dyn std::error::Error + Send + Sync>>;

async fn with_schema_locked(
    url: String,
    act: impl FnOnce(&mut AsyncMigrationHarness<Connection>) -> Migrated,
) -> Result<Vec<String>, ConnectError> {
    let unreachable = |error: diesel::ConnectionError| ConnectError::Unreachable(error.into());
    let guard = lock_schema(&url).await?;
    let mut harness = AsyncMigrationHarness::new(establish(&url).await.map_err(unreachable)?);
    let migrated = act(&mut harness).map_err(ConnectError::Migration);
    drop(guard);
    migrated
}

#[async_trait]
impl Readiness for Store {
    async fn ready(&self) -> Result<(), StorageError> {
        in_time(self.check_schema()).await
    }
}

impl Store {
    async fn check_schema(&self) -> Result<(), StorageError> {
        let mut session = self.reader().await?;
        let newest: Statement<diesel::sql_types::Text> =
            Statement::new("SELECT MAX(version) FROM __diesel_schema_migrations");
        let newest = newest.get_result::<String>(session.connection()).await;
        let newest = session.finished(newest)?;
        let needed = diesel::migration::MigrationSource::<<Connection as diesel_async::AsyncConnectionCore>::Backend>::migrations(&MIGRATIONS)
            .map_err(StorageError::Failed)?;
        let needed = needed.iter().map(|migration| migration.name().version().to_string()).max();
        if needed.is_some_and(|needed| newest < needed) {
            return Err(StorageError::Unavailable("the schema is behind this build".into()));
        }
        Ok(())
    }
}
