//! The storage ports over SQL, in terms of the dialect that mounts this tree (`super`).

mod accounts;
mod audit;
mod batch;
mod catalog;
mod charge_refunds;
mod copy;
mod event_log;
mod failure;
mod gateway_inbox;
mod history;
mod insert;
mod leases;
mod mails;
mod maintenance;
mod outbox;
mod payments;
mod pool;
mod readiness;
mod reservations;
mod retention;
mod retry;
mod seats;
mod wallet;
mod webhook_deliveries;
mod webhooks;

use std::{sync::Arc, time::Duration};

use boxoffice_domain::{Clock, ConcertId, EntropySource, PerformanceId, StorageError, Timestamp};
use diesel::sql_types::{BigInt, Text};
use diesel_async::{AsyncMigrationHarness, RunQueryDsl, methods::LoadQuery};
use diesel_migrations::MigrationHarness;
use futures::future::BoxFuture;
use tokio::time::timeout;
use uuid::Uuid;

pub(crate) use self::copy::connect_end;
use self::{
    batch::LongLocks,
    catalog::PooledReader,
    failure::Failure,
    pool::{Pool, Session},
    readiness::{NEWEST, READY_TIME_MAX, WriteOutage, needed_schema},
    retry::count_from_zero,
};
use super::{
    COUNT_MIGRATION_TABLES, Connection, MIGRATIONS, SERVER_VERSION, WRITERS_MAX, agrees_at_commit, blockers, establish,
    lock_schema,
};
use crate::{
    ConnectError, Database, Inspection, PersistenceSettings, catalog_watch::CatalogWatch,
    concert_finder::ConcertFinder, holds_ended::HoldsEnded, seat_cache::SeatCache, statement::Statement,
    write_lanes::WriteLanes,
};

/// How long a worker or a health check waits for a read. Requests have another limit.
const READ_TIME_MAX: Duration = Duration::from_secs(10);
/// How many performances are cached with their concerts.
const CONCERTS_REMEMBERED_MAX: u64 = 100_000;

/// Implements every storage port over two pools, so that writers never wait for readers. Whether the database serves is
/// asked over a connection beside them, so that many readers do not make it look as if it did not.
pub(crate) struct Store {
    readers: Arc<Pool>,
    readiness: Pool,
    writer: Arc<Writer>,
    lanes: WriteLanes,
    seat_cache: Arc<SeatCache>,
    finder: Arc<ConcertFinder>,
    watch: Arc<CatalogWatch>,
    /// How long ago it may have been looked, when concerts are searched, whether another process has changed any.
    searches_age_max: Duration,
    clock: Arc<dyn Clock>,
    /// The concert of each performance, which never changes.
    concerts_of: moka::sync::Cache<PerformanceId, ConcertId>,
}

/// Runs writing transactions, in a write lane or outside.
pub(crate) struct Writer {
    pool: Arc<Pool>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn EntropySource>,
    /// Under which this process notes what it changes of the catalog.
    process: Uuid,
    retry_max: u32,
    /// Whether a lock only excludes transactions on the same node of the database.
    locks_are_local: bool,
    holds_ended: Arc<HoldsEnded>,
    outage: Arc<WriteOutage>,
    long_locks: Arc<LongLocks>,
}

impl Store {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A connection for several queries that belong together.
    async fn reader(&self) -> Result<Session<'_>, StorageError> {
        self.readers.session().await
    }

    /// The rows of a query. The future is boxed, here and below, because the compiler cannot prove that a
    /// future with the type of a query in it is `Send`.
    fn read<'a, R: Send + 'a>(
        &'a self,
        query: impl LoadQuery<'a, Connection, R> + Send + 'a,
    ) -> BoxFuture<'a, Result<Vec<R>, StorageError>> {
        Box::pin(async move { Ok(self.reader().await?.read(query).await?) })
    }

    /// The rows of a query of a worker or a health check.
    fn read_in_time<'a, R: Send + 'a>(
        &'a self,
        query: impl LoadQuery<'a, Connection, R> + Send + 'a,
    ) -> BoxFuture<'a, Result<Vec<R>, StorageError>> {
        let read = timeout(READ_TIME_MAX, self.read(query));
        Box::pin(async move { read.await.unwrap_or_else(|elapsed| Err(Failure::timed_out(elapsed).into())) })
    }

    /// The entity that a query finds.
    fn find_one<'a, R, E>(
        &'a self,
        query: impl LoadQuery<'a, Connection, R> + Send + 'a,
    ) -> BoxFuture<'a, Result<Option<E>, StorageError>>
    where
        R: Send + 'a,
        E: TryFrom<R, Error = StorageError>,
    {
        let read = self.read(query);
        Box::pin(async move { read.await?.pop().map(E::try_from).transpose() })
    }
}

pub(crate) async fn connect(
    url: String,
    settings: PersistenceSettings,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn EntropySource>,
) -> Result<Database, ConnectError> {
    let mut first = establish(&url).await.map_err(ConnectError::unreachable)?;
    let locks_are_local = agrees_at_commit(&mut first).await.map_err(ConnectError::unreachable)?;
    drop(first);
    let open = |connections_max, name| Pool::open(&url, connections_max, settings.connect_timeout, name);
    let writers = Arc::new(open(WRITERS_MAX, "write"));
    // A connection belongs to the runtime that made it, and each write lane has its own runtime.
    let lane_connections = if WRITERS_MAX == 1 {
        vec![Arc::clone(&writers)]
    } else {
        (0..settings.lanes.max(1)).map(|_| Arc::new(open(1, "lane"))).collect()
    };
    let process = entropy.uuid();
    let (holds_ended, outage) = (Arc::<HoldsEnded>::default(), Arc::<WriteOutage>::default());
    let long_locks = Arc::<LongLocks>::default();
    let writer = |pool| {
        let (clock, entropy) = (Arc::clone(&clock), Arc::clone(&entropy));
        let (retry_max, holds_ended) = (settings.retry_max, Arc::clone(&holds_ended));
        let (outage, long_locks) = (Arc::clone(&outage), Arc::clone(&long_locks));
        Writer { pool, clock, entropy, process, retry_max, locks_are_local, holds_ended, outage, long_locks }
    };
    let seat_cache = Arc::new(SeatCache::new(settings.seats_age_max, Arc::clone(&clock)));
    let lanes = WriteLanes::start(lane_connections.into_iter().map(writer).collect(), &seat_cache, &settings);
    let lanes = lanes.map_err(ConnectError::unreachable)?;
    let readers = Arc::new(open(settings.connections_max, "read"));
    let reader = || {
        let (pool, descriptions_bytes_max) = (Arc::clone(&readers), settings.descriptions_bytes_max);
        PooledReader { pool, descriptions_bytes_max }
    };
    let finder = Arc::new(ConcertFinder::new(reader()));
    let caches = (Arc::clone(&finder), Arc::clone(&seat_cache));
    let watch = Arc::new(CatalogWatch::new(reader(), caches));
    let store = Arc::new(Store {
        readers: Arc::clone(&readers),
        readiness: Pool::open(&url, 1, READY_TIME_MAX, "readiness"),
        writer: Arc::new(writer(writers)),
        lanes: lanes.clone(),
        seat_cache: Arc::clone(&seat_cache),
        finder: Arc::clone(&finder),
        watch,
        searches_age_max: settings.searches_age_max,
        clock,
        concerts_of: moka::sync::Cache::new(CONCERTS_REMEMBERED_MAX),
    });
    count_from_zero();
    Ok(Database {
        accounts: store.clone(),
        sessions: store.clone(),
        records: store.clone(),
        factors: store.clone(),
        emails: store.clone(),
        resets: store.clone(),
        catalog: store.clone(),
        import: store.clone(),
        reservations: store.clone(),
        payments: store.clone(),
        wallets: store.clone(),
        gateway_inbox: store.clone(),
        outbox: store.clone(),
        event_log: store.clone(),
        history: store.clone(),
        audit: store.clone(),
        readiness: store.clone(),
        leases: store.clone(),
        maintenance: store.clone(),
        mails: store.clone(),
        retention: store.clone(),
        webhooks: store.clone(),
        webhook_deliveries: store,
        lanes,
        seat_cache,
        finder,
    })
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

/// What there is at this address. Makes nothing, except for the file of an embedded database that is missing.
pub(crate) async fn inspect(url: String) -> Result<Inspection, ConnectError> {
    let mut connection = establish(&url).await.map_err(ConnectError::unreachable)?;
    let connection = &mut connection;
    let server: Statement<Text> = Statement::new(SERVER_VERSION);
    let server: String = server.get_result(connection).await.map_err(ConnectError::unreachable)?;
    let tables: Statement<BigInt> = Statement::new(COUNT_MIGRATION_TABLES);
    let mut schema = None;
    if tables.get_result::<i64>(connection).await.map_err(ConnectError::unreachable)? > 0 {
        let newest: Vec<String> =
            Statement::<Text>::new(NEWEST).load(connection).await.map_err(ConnectError::unreachable)?;
        schema = newest.into_iter().next();
    }
    let needed = needed_schema().map_err(ConnectError::Migration)?;
    let may_see_locks = blockers(connection).await.is_ok();
    Ok(Inspection { server, schema, needed, may_see_locks })
}

type Migrated = Result<Vec<String>, Box<dyn std::error::Error + Send + Sync>>;

async fn with_schema_locked(
    url: String,
    act: impl FnOnce(&mut AsyncMigrationHarness<Connection>) -> Migrated,
) -> Result<Vec<String>, ConnectError> {
    let guard = lock_schema(&url).await?;
    let mut harness = AsyncMigrationHarness::new(establish(&url).await.map_err(ConnectError::unreachable)?);
    let migrated = act(&mut harness).map_err(ConnectError::Migration);
    drop(guard);
    migrated
}
