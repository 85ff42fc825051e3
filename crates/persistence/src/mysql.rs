//! What is special to MySQL 8.0 or newer and MariaDB 10.6 or newer. Uses no syntax that only one of the two knows.

use std::path::PathBuf;

use diesel::sql_types::{BigInt, Text};
use diesel_async::{AsyncConnection, AsyncMysqlConnection, RunQueryDsl, SimpleAsyncConnection};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use mysql_async::{Conn, Opts, OptsBuilder};
use url::Url;

use crate::{CA_FILE, ConnectError, statement::Statement};

#[path = "sql/mod.rs"]
mod sql;

pub(crate) use sql::{connect, connect_end, inspect, migrate, migrate_down};

pub(crate) type Connection = AsyncMysqlConnection;

pub(crate) const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/mysql");
/// Begins a transaction that will write.
pub(crate) const BEGIN: &str = "START TRANSACTION";
/// Locks the rows that a statement reads until the transaction ends.
pub(crate) const LOCK_ROWS: &str = " FOR UPDATE";
/// Locks the rows that no other transaction has locked, and leaves out the others.
pub(crate) const SKIP_LOCKED: Option<&str> = Some(" FOR UPDATE SKIP LOCKED");
/// The index that finds what accounts hold and own. Statistics lag behind a sale that has just begun: by them the
/// database would read every hold.
pub(crate) const LIVE_INDEX: &str = " FORCE INDEX (reservations_live)";
/// The index that lists the reservations of a status by the ends of their holds.
pub(crate) const DUE_INDEX: &str = " FORCE INDEX (reservations_due)";
/// The index that lists the reservations of an account, newest first. MySQL would otherwise read the rows of all accounts
/// until it has met a page of this account's.
pub(crate) const RESERVATIONS_BY_ACCOUNT: &str = " FORCE INDEX (reservations_by_account)";
/// The same for payments.
pub(crate) const PAYMENTS_BY_ACCOUNT: &str = " FORCE INDEX (payments_by_account)";

/// The seats that reservations list: `reservation_id`, `label`, `price`. A list that cannot be parsed counts as empty.
pub(crate) const RESERVED_SEATS: &str = include_str!("mysql/reserved_seats.sql");
/// The events of all batches: `subject_id`, `kind`, what each says of its subject, and `occurred_at`, that of its batch.
/// Those of a batch that cannot be parsed are missing; an event without a subject has the id of its batch.
pub(crate) const EVENTS: &str = include_str!("mysql/events.sql");

/// The columns of all tables: the table, the column, its type, and its position in the primary key or 0.
pub(crate) const COLUMNS: &str = "\
    SELECT CAST(columns.table_name AS CHAR), CAST(columns.column_name AS CHAR), CAST(columns.data_type AS CHAR), \
        CAST(COALESCE(statistics.seq_in_index, 0) AS SIGNED) \
    FROM information_schema.columns AS columns \
    LEFT JOIN information_schema.statistics AS statistics ON statistics.table_schema = columns.table_schema \
        AND statistics.table_name = columns.table_name AND statistics.column_name = columns.column_name \
        AND statistics.index_name = 'PRIMARY' \
    WHERE columns.table_schema = DATABASE() AND columns.table_name <> '__diesel_schema_migrations' \
    ORDER BY columns.table_name";
/// What the server is.
pub(crate) const SERVER_VERSION: &str = "SELECT CONCAT(IF(VERSION() LIKE '%MariaDB%', '', 'MySQL '), VERSION())";
/// Whether any migration was applied to the database.
pub(crate) const COUNT_MIGRATION_TABLES: &str = "\
    SELECT COUNT(*) FROM information_schema.tables \
    WHERE table_schema = DATABASE() AND table_name = '__diesel_schema_migrations'";

/// Reads the clock of the server.
pub(crate) const CLOCK: Option<&str> = Some("SELECT UTC_TIMESTAMP(6)");

/// Begins a transaction that reads everything as it is at one instant. It may stand still for long, while this process
/// works on what it has read; sessions for reading do nothing else.
pub(crate) const READ_SNAPSHOT: [&str; 3] = [
    "SET SESSION lock_wait_timeout = 10 /*M! , idle_transaction_timeout = 600 */",
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "START TRANSACTION WITH CONSISTENT SNAPSHOT",
];

/// Connects, and sets what this crate relies on, whatever the defaults of the server are.
pub(crate) async fn establish(url: &str) -> diesel::ConnectionResult<Connection> {
    let (url, ca_file) = without_ca_file(url);
    let url = with_keepalive(&url);
    let mut connection = match ca_file {
        Some(ca_file) => establish_trusting(&url, ca_file).await?,
        None => Connection::establish(&url).await?,
    };
    let settings = [
        "SET SESSION sql_mode = 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
        "SET SESSION time_zone = '+00:00'",
        // Shorter than writes are retried. MariaDB ends transactions whose process stands still by itself.
        "SET SESSION innodb_lock_wait_timeout = 2 /*M! , idle_transaction_timeout = 3 */",
        // A backup or a schema change holds the locks that this waits for; the default is a day or more.
        "SET SESSION lock_wait_timeout = 10",
        // Failures are told apart by their texts.
        "SET SESSION lc_messages = 'en_US'",
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        // The optimizer does not estimate long lists of keys key by key: if there is a choice, the statement names the
        // index.
        "SET SESSION eq_range_index_dive_limit = 2",
    ];
    for setting in settings {
        connection.batch_execute(setting).await.map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
    }
    Ok(connection)
}

/// The sessions of this user that are in a transaction and have asked for nothing for 2 s: a healthy process takes
/// milliseconds from one statement to the next.
const FROZEN: &str = "\
    SELECT processes.id, processes.host, processes.time FROM information_schema.innodb_trx AS transactions \
    JOIN information_schema.processlist AS processes ON processes.id = transactions.trx_mysql_thread_id \
    WHERE processes.user = SUBSTRING_INDEX(USER(), '@', 1) AND processes.command = 'Sleep' AND processes.time >= 2";

/// Ends the transactions of this user that stand still, and says where each came from and for how many seconds it stood.
pub(crate) async fn end_frozen_transactions(connection: &mut Connection) -> diesel::QueryResult<Vec<(String, i64)>> {
    let frozen: Vec<(i64, String, i64)> = Statement::<(BigInt, Text, BigInt)>::new(FROZEN).load(connection).await?;
    let mut ended = Vec::new();
    for (id, host, seconds) in frozen {
        // It may have ended meanwhile.
        if connection.batch_execute(&format!("KILL {id}")).await.is_ok() {
            ended.push((host, seconds));
        }
    }
    Ok(ended)
}

/// The transactions that have lasted for 2 s or more, the longest first: the number of the connection, its user, where it
/// comes from, and for how many seconds.
const BLOCKERS: &str = "\
    SELECT processes.id, processes.user, processes.host, TIMESTAMPDIFF(SECOND, transactions.trx_started, NOW()) \
    FROM information_schema.innodb_trx AS transactions \
    JOIN information_schema.processlist AS processes ON processes.id = transactions.trx_mysql_thread_id \
    WHERE transactions.trx_started <= NOW() - INTERVAL 2 SECOND ORDER BY transactions.trx_started LIMIT 3";

/// Who keeps locks for long.
pub(crate) async fn blockers(connection: &mut Connection) -> diesel::QueryResult<Vec<(i64, String, String, i64)>> {
    Statement::<(BigInt, Text, Text, BigInt)>::new(BLOCKERS).load(connection).await
}

/// Connects over TLS to a server that shows a certificate of this authority for its name.
async fn establish_trusting(url: &str, ca_file: PathBuf) -> diesel::ConnectionResult<Connection> {
    let opts = Opts::from_url(url).map_err(|error| diesel::ConnectionError::InvalidConnectionUrl(error.to_string()))?;
    let tls = opts.ssl_opts().cloned().unwrap_or_default();
    let tls = tls.with_root_certs(vec![ca_file.into()]).with_disable_built_in_roots(true);
    let opts = OptsBuilder::from_opts(opts)
        .ssl_opts(tls.with_danger_accept_invalid_certs(false))
        // A socket of this machine would take the place of TLS.
        .prefer_socket(false)
        // As Diesel connects.
        .stmt_cache_size(0)
        .client_found_rows(true);
    let connected = Conn::new(opts).await;
    Connection::try_from(connected.map_err(|error| diesel::ConnectionError::BadConnection(error.to_string()))?).await
}

/// The URL as its driver takes it, and the file of the authority, if it names one.
fn without_ca_file(url: &str) -> (String, Option<PathBuf>) {
    let Some(mut parsed) = Url::parse(url).ok().filter(|_| url.contains(CA_FILE)) else {
        return (url.to_owned(), None);
    };
    let parameters: Vec<(String, String)> = parsed.query_pairs().into_owned().collect();
    let (named, others): (Vec<_>, Vec<_>) = parameters.into_iter().partition(|(name, _)| name == CA_FILE);
    parsed.set_query(None);
    if !others.is_empty() {
        parsed.query_pairs_mut().extend_pairs(others);
    }
    (parsed.into(), named.into_iter().next().map(|(_, path)| path.into()))
}

/// Lets the kernel detect a server that has vanished, unless the URL sets it.
fn with_keepalive(url: &str) -> String {
    if url.contains("tcp_keepalive=") {
        return url.to_owned();
    }
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}tcp_keepalive=10000")
}

/// Whether several nodes take writes and detect conflicts between changed rows at commit, without seeing each other's
/// locks: Galera, or group replication with several primaries.
pub(crate) async fn agrees_at_commit(connection: &mut Connection) -> diesel::QueryResult<bool> {
    let on: Statement<(Text, Text)> = Statement::new(
        "SHOW GLOBAL VARIABLES WHERE (Variable_name = 'wsrep_on' AND Value = 'ON') \
         OR (Variable_name = 'group_replication_single_primary_mode' AND Value = 'OFF')",
    );
    let on: Vec<(String, String)> = on.load(connection).await?;
    Ok(!on.is_empty())
}

/// How many connections may write at once beside the write lanes.
pub(crate) const WRITERS_MAX: u32 = 4;

/// Makes an insert change `columns` of a row that exists already.
pub(crate) fn or_update(insert: Statement, _key: &'static str, columns: &[&'static str]) -> Statement {
    insert
        .sql(" ON DUPLICATE KEY UPDATE ")
        .each(", ", columns, |insert, column| insert.sql(column).sql(" = VALUES(").sql(column).sql(")"))
}

/// Makes an insert into `catalog_changes` count one more in a row that exists already.
pub(crate) const AND_COUNT: &str = " ON DUPLICATE KEY UPDATE number = number + 1";

/// Keeps other processes from migrating until it is dropped.
pub(crate) type SchemaLock = Connection;

/// Keeps two processes from migrating at once. The lock belongs to the session and ends with it.
pub(crate) async fn lock_schema(url: &str) -> Result<SchemaLock, ConnectError> {
    let mut connection = establish(url).await.map_err(ConnectError::unreachable)?;
    // The lock is global to the server, so its name contains the database: as a number, since a name has at most 64
    // characters. Two databases with the same number only wait for each other.
    let taken: Statement<BigInt> =
        Statement::new("SELECT CAST(GET_LOCK(CONCAT('boxoffice_migrate_', CRC32(DATABASE())), 120) AS SIGNED)");
    match taken.get_result::<i64>(&mut connection).await {
        Ok(1) => Ok(connection),
        Ok(_) => Err(ConnectError::Migration("another process has been migrating for two minutes".into())),
        Err(error) => Err(ConnectError::unreachable(error)),
    }
}
