//! What is special to SQLite, the embedded default.

use diesel::SqliteConnection;
use diesel_async::{AsyncConnection, SimpleAsyncConnection, sync_connection_wrapper::SyncConnectionWrapper};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

use crate::{ConnectError, statement::Statement};

#[path = "sql/mod.rs"]
mod sql;

pub(crate) use sql::{connect, connect_end, inspect, migrate, migrate_down};

pub(crate) type Connection = SyncConnectionWrapper<SqliteConnection>;

pub(crate) const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/sqlite");
/// Begins a transaction that will write. It takes the one write lock at once, so it never has to upgrade a read lock,
/// which could fail in the middle.
pub(crate) const BEGIN: &str = "BEGIN IMMEDIATE";
/// A writing transaction locks the whole database.
pub(crate) const LOCK_ROWS: &str = "";
/// A writing transaction waits for the other one, whatever its rows.
pub(crate) const SKIP_LOCKED: Option<&str> = None;
/// The index that finds what accounts hold and own. There are no statistics to choose it by.
pub(crate) const LIVE_INDEX: &str = " INDEXED BY reservations_live";
/// The index that lists the reservations of a status by the ends of their holds.
pub(crate) const DUE_INDEX: &str = " INDEXED BY reservations_due";
/// The index that lists the reservations of an account, newest first.
pub(crate) const RESERVATIONS_BY_ACCOUNT: &str = " INDEXED BY reservations_by_account";
/// The same for payments.
pub(crate) const PAYMENTS_BY_ACCOUNT: &str = " INDEXED BY payments_by_account";

/// The seats that reservations list: `reservation_id`, `label`, `price`. A list that cannot be parsed counts as empty.
pub(crate) const RESERVED_SEATS: &str = include_str!("sqlite/reserved_seats.sql");
/// The events of all batches: `subject_id`, `kind`, what each says of its subject, and `occurred_at`, that of its batch.
/// Those of a batch that cannot be parsed are missing; an event without a subject has the id of its batch.
pub(crate) const EVENTS: &str = include_str!("sqlite/events.sql");

/// The columns of all tables: the table, the column, its type, and its position in the primary key or 0.
pub(crate) const COLUMNS: &str = "\
    SELECT tables.name, columns.name, columns.type, columns.pk \
    FROM sqlite_schema AS tables JOIN pragma_table_info(tables.name) AS columns \
    WHERE tables.type = 'table' AND tables.name <> '__diesel_schema_migrations' AND tables.name NOT LIKE 'sqlite_%' \
    ORDER BY tables.name";
/// What the library is.
pub(crate) const SERVER_VERSION: &str = "SELECT 'SQLite ' || sqlite_version()";
/// Whether any migration was applied to the database.
pub(crate) const COUNT_MIGRATION_TABLES: &str =
    "SELECT COUNT(*) FROM sqlite_schema WHERE name = '__diesel_schema_migrations'";

/// The database is a file, and this machine has one clock.
pub(crate) const CLOCK: Option<&str> = None;

/// Begins a transaction that reads everything as it is at one instant: that of the first reading, whatever it reads.
pub(crate) const READ_SNAPSHOT: [&str; 2] = ["BEGIN", "SELECT 1 FROM sqlite_schema LIMIT 1"];

/// Opens the database file with the settings that this crate relies on.
pub(crate) async fn establish(url: &str) -> diesel::ConnectionResult<Connection> {
    let mut connection = Connection::establish(url).await?;
    // A commit is on the disk when it is answered: synchronous FULL. The busy timeout waits for another process that
    // writes, such as an import.
    let settings = "PRAGMA busy_timeout = 15000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;";
    connection.batch_execute(settings).await.map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
    Ok(connection)
}

/// Whether several nodes take writes: there is one file.
pub(crate) async fn agrees_at_commit(_connection: &mut Connection) -> diesel::QueryResult<bool> {
    Ok(false)
}

/// Ends the transactions of other processes that stand still: those of an embedded database end with their process.
pub(crate) async fn end_frozen_transactions(_connection: &mut Connection) -> diesel::QueryResult<Vec<(String, i64)>> {
    Ok(Vec::new())
}

/// Who keeps locks for long: nobody who could be named.
pub(crate) async fn blockers(_connection: &mut Connection) -> diesel::QueryResult<Vec<(i64, String, String, i64)>> {
    Ok(Vec::new())
}

/// How many connections may write at once: the write lanes use the same one.
pub(crate) const WRITERS_MAX: u32 = 1;

/// Makes an insert change `columns` of a row that exists already.
pub(crate) fn or_update(insert: Statement, key: &'static str, columns: &[&'static str]) -> Statement {
    insert
        .sql(" ON CONFLICT (")
        .sql(key)
        .sql(") DO UPDATE SET ")
        .each(", ", columns, |insert, column| insert.sql(column).sql(" = excluded.").sql(column))
}

/// Makes an insert into `catalog_changes` count one more in a row that exists already.
pub(crate) const AND_COUNT: &str = " ON CONFLICT (process) DO UPDATE SET number = number + 1";

/// Keeps other processes from migrating until it is dropped.
pub(crate) type SchemaLock = std::fs::File;

/// Keeps two processes from migrating at once. SQLite has no lock that spans transactions, so this locks a file beside the
/// database; the system releases it when the process ends. The file stays: if it were removed, two processes could lock
/// two files of the same name.
pub(crate) async fn lock_schema(url: &str) -> Result<SchemaLock, ConnectError> {
    let path = format!("{url}-migration");
    let locked = tokio::task::spawn_blocking(move || {
        let file = std::fs::File::create(path)?;
        file.lock()?;
        Ok::<_, std::io::Error>(file)
    });
    let locked = locked.await.map_err(|error| ConnectError::Migration(error.into()))?;
    locked.map_err(ConnectError::unreachable)
}
