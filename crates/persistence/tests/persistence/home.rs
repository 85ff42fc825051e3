//! An empty storage for one test, which removes what the test leaves behind.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use boxoffice_contracts::storage::{Stage, Storage};
use boxoffice_domain::EntropySource;
use boxoffice_domain::fixtures::{TestClock, TestEntropy};
use boxoffice_persistence::{Database, PersistenceSettings, connect, migrate};
use boxoffice_testkit::servers::{ServerKind, TestDatabase, fresh_database};
use diesel::{Connection, SqliteConnection, connection::SimpleConnection, sql_types::Text};
use diesel_async::{AsyncConnection, AsyncMysqlConnection, RunQueryDsl, SimpleAsyncConnection};

use crate::corrupter::Corrupter;

/// A kind of database to test on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Backend {
    Sqlite,
    Server(ServerKind),
}

/// Where a database is.
#[derive(Debug)]
pub(crate) enum Place {
    Folder(Folder),
    Server(TestDatabase),
}

/// A folder that is removed with its owner.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // If it fails, the folder stays among the temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Databases with empty tables, for further tests. A server makes the tables far more slowly than it empties them.
static EMPTIED: Mutex<Vec<TestDatabase>> = Mutex::new(Vec::new());

fn take_emptied(kind: ServerKind) -> Option<TestDatabase> {
    let mut emptied = EMPTIED.lock().unwrap();
    let place = emptied.iter().position(|database| database.server().kind() == kind)?;
    Some(emptied.swap_remove(place))
}

async fn empty(url: &str) {
    let mut connection = AsyncMysqlConnection::establish(url).await.unwrap();
    let tables: Vec<String> = diesel::dsl::sql::<Text>(
        "SELECT CAST(table_name AS CHAR) FROM information_schema.tables \
         WHERE table_schema = DATABASE() AND table_name <> '__diesel_schema_migrations'",
    )
    .load(&mut connection)
    .await
    .unwrap();
    connection.batch_execute("START TRANSACTION").await.unwrap();
    for table in tables {
        connection.batch_execute(&format!("DELETE FROM {table}")).await.unwrap();
    }
    connection.batch_execute("COMMIT").await.unwrap();
}

/// Changes the database at this URL.
pub(crate) async fn execute(url: &str, statements: &str) {
    if let Some(file) = url.strip_prefix("sqlite://") {
        let mut connection = SqliteConnection::establish(file).unwrap();
        connection.batch_execute(&format!("PRAGMA busy_timeout = 10000; {statements}")).unwrap();
    } else {
        let mut connection = AsyncMysqlConnection::establish(url).await.unwrap();
        for statement in statements.split(';').filter(|statement| !statement.trim().is_empty()) {
            connection.batch_execute(statement).await.unwrap();
        }
    }
}

impl Place {
    /// A new place without tables.
    pub(crate) async fn new(backend: Backend) -> Self {
        match backend {
            Backend::Sqlite => {
                let folder = std::env::temp_dir().join(format!("boxoffice-{}", TestEntropy.uuid().simple()));
                std::fs::create_dir(&folder).unwrap();
                Self::Folder(Folder(folder))
            }
            Backend::Server(kind) => Self::Server(fresh_database(kind).await.unwrap()),
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Folder(Folder(path)) => format!("sqlite://{}", path.join("boxoffice.db").display()),
            Self::Server(database) => database.url().to_owned(),
        }
    }

    /// Changes the database past every instance.
    pub(crate) async fn execute(&self, statements: &str) {
        execute(&self.url(), statements).await;
    }

    /// A place whose schema is up to date, with nothing in its tables.
    pub(crate) async fn with_schema(backend: Backend) -> Self {
        if let Backend::Server(kind) = backend
            && let Some(database) = take_emptied(kind)
        {
            return Self::Server(database);
        }
        let place = Self::new(backend).await;
        migrate(&place.url()).await.unwrap();
        place
    }

    /// Gives the place to the next test, or removes it.
    pub(crate) async fn hand_on(self) {
        match self {
            // Only a private server takes what is left with it.
            Self::Server(database) if database.server().is_private() => {
                empty(database.url()).await;
                EMPTIED.lock().unwrap().push(database);
            }
            Self::Server(database) => database.remove().await.unwrap(),
            Self::Folder(folder) => drop(folder),
        }
    }
}

/// What the tests run with: as in production, but patient, since many tests share few processors.
pub(crate) fn settings() -> PersistenceSettings {
    PersistenceSettings {
        lanes: 2,
        // Every lane is used, however little there is to do.
        batch_commands_wanted: 1,
        batch_commands_max: 256,
        lane_waiting_max: 8_192,
        connections_max: 8,
        connect_timeout: Duration::from_mins(1),
        retry_max: 6,
        seats_age_max: Duration::from_millis(250),
        searches_age_max: Duration::from_millis(50),
        // Two descriptions of a concert of the contracts, and a half.
        descriptions_bytes_max: 40,
    }
}

/// An open database.
#[derive(Debug)]
pub(crate) struct Home {
    stage: Stage,
    pub(crate) database: Database,
    pub(crate) place: Place,
    peers: Mutex<Vec<Database>>,
}

impl Home {
    /// A new database.
    pub(crate) async fn open(backend: Backend, settings: PersistenceSettings) -> Self {
        Self::at(Place::with_schema(backend).await, settings).await
    }

    /// The database at this place.
    pub(crate) async fn at(place: Place, settings: PersistenceSettings) -> Self {
        let clock = Arc::new(TestClock::new());
        let (stage, database) = join(&place.url(), settings, clock).await;
        let stage = stage.with_corrupter(Arc::new(Corrupter(place.url())));
        Self { stage, database, place, peers: Mutex::default() }
    }

    pub(crate) fn stage(&self) -> &Stage {
        &self.stage
    }

    /// The same database as a peer has it open, by the same clock.
    pub(crate) async fn peer(&self, settings: PersistenceSettings) -> (Stage, Database) {
        let (stage, database) = join(&self.place.url(), settings, Arc::clone(&self.stage.clock)).await;
        self.peers.lock().unwrap().push(database.clone());
        (self.stage.as_seen_through(stage.storage), database)
    }

    /// Ends a test that leaves everything in order.
    pub(crate) async fn end(self) {
        self.stage.assert_sound().await;
        self.close().await;
    }

    pub(crate) async fn close(self) {
        for database in self.peers.into_inner().unwrap().into_iter().chain([self.database]) {
            database.shutdown().await;
        }
        drop(self.stage);
        self.place.hand_on().await;
    }
}

/// Opens a database that is there.
pub(crate) async fn join(url: &str, settings: PersistenceSettings, clock: Arc<TestClock>) -> (Stage, Database) {
    let database = connect(url, settings, clock.clone(), Arc::new(TestEntropy)).await.unwrap();
    (Stage::new(storage(&database), clock), database)
}

fn storage(database: &Database) -> Storage {
    Storage {
        accounts: database.accounts.clone(),
        sessions: database.sessions.clone(),
        records: database.records.clone(),
        factors: database.factors.clone(),
        emails: database.emails.clone(),
        resets: database.resets.clone(),
        catalog: database.catalog.clone(),
        import: database.import.clone(),
        reservations: database.reservations.clone(),
        payments: database.payments.clone(),
        wallets: database.wallets.clone(),
        gateway_inbox: database.gateway_inbox.clone(),
        outbox: Arc::clone(&database.outbox),
        event_log: Arc::clone(&database.event_log),
        history: Arc::clone(&database.history),
        audit: database.audit.clone(),
        readiness: database.readiness.clone(),
        leases: database.leases.clone(),
        maintenance: database.maintenance.clone(),
        mails: database.mails.clone(),
        retention: database.retention.clone(),
        webhooks: database.webhooks.clone(),
        webhook_deliveries: database.webhook_deliveries.clone(),
    }
}

pub(crate) async fn sqlite() -> Home {
    Home::open(Backend::Sqlite, settings()).await
}

pub(crate) async fn mariadb() -> Home {
    Home::open(Backend::Server(ServerKind::MariaDb), settings()).await
}

pub(crate) async fn mysql() -> Home {
    Home::open(Backend::Server(ServerKind::MySql), settings()).await
}
