//! MySQL 8.0 or newer and MariaDB 10.6 or newer: what is theirs alone. No syntax is used that only one of
//! the two knows.

use diesel_async::{AsyncConnection, AsyncMysqlConnection, SimpleAsyncConnection};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

use crate::{ConnectError, statement::Statement};

#[path = "sql/mod.rs"]
mod sql;

pub(crate) use sql::{connect, migrate, migrate_down};

pub(crate) type Connection = AsyncMysqlConnection;

pub(crate) const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/mysql");
/// How a transaction begins that will write.
pub(crate) const BEGIN: &str = "START TRANSACTION";
/// What locks the rows that a statement reads until the transaction ends.
pub(crate) const LOCK_ROWS: &str = " FOR UPDATE";
/// Which index finds what accounts hold and own. Statistics lag behind a sale that has just begun, and would let the
/// database read every hold there is.
pub(crate) const LIVE_INDEX: &str = " FORCE INDEX (reservations_live)";
/// Which index lists what an account has, newest first. MySQL would rather walk through everybody's rows, hoping to meet
/// enough of this account's before the end of a page.
pub(crate) const RESERVATIONS_BY_ACCOUNT: &str = " FORCE INDEX (reservations_by_account)";
/// The same for payments.
pub(crate) const PAYMENTS_BY_ACCOUNT: &str = " FORCE INDEX (payments_by_account)";

/// The seats that reservations list: `reservation_id`, `label`, `price`. A list that cannot be read counts as empty.
pub(crate) const RESERVED_SEATS: &str = "SELECT reservations.id AS reservation_id, seat.label, seat.price \
    FROM reservations JOIN JSON_TABLE(CASE WHEN JSON_VALID(reservations.seats) THEN reservations.seats ELSE '[]' END, \
    '$[*]' COLUMNS (label VARCHAR(522) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$.label', \
    price BIGINT PATH '$.price')) AS seat";
/// The events of all batches: `subject_id`, `kind`. Those of a batch that cannot be read are missing; an event
/// without a subject stands under its batch. They are put into a table of its own first (`DISTINCT`), which is searched
/// by its key; else all of them would be read for each subject.
pub(crate) const EVENTS: &str = "SELECT DISTINCT \
    COALESCE(UNHEX(REPLACE(COALESCE(event.reservation_id, event.charge_id), '-', '')), outbox_batches.id) AS subject_id, \
    event.kind \
    FROM outbox_batches JOIN JSON_TABLE(CASE WHEN JSON_VALID(outbox_batches.events) THEN outbox_batches.events ELSE '[]' END, \
    '$[*]' COLUMNS (reservation_id CHAR(36) PATH '$.reservation_id', charge_id CHAR(36) PATH '$.charge_id', \
    kind VARCHAR(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$.kind')) AS event";

/// How a transaction begins that reads everything as it is at one instant.
pub(crate) const READ_SNAPSHOT: [&str; 2] =
    ["SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT"];

/// Gives a session the settings that everything here relies on, whatever the server's own are.
pub(crate) async fn establish(url: &str) -> diesel::ConnectionResult<Connection> {
    let mut connection = Connection::establish(&with_keepalive(url)).await?;
    let settings = [
        "SET SESSION sql_mode = 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
        "SET SESSION time_zone = '+00:00'",
        "SET SESSION innodb_lock_wait_timeout = 10",
        // A backup or a change of the schema holds the locks that this waits for; the default is a day or more.
        "SET SESSION lock_wait_timeout = 10",
        // What kind of failure it is, is told by its text.
        "SET SESSION lc_messages = 'en_US'",
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        // How many rows a list of keys will find is not looked up key by key before it is read: where there is a choice,
        // the statement says which index.
        "SET SESSION eq_range_index_dive_limit = 2",
    ];
    for setting in settings {
        connection.batch_execute(setting).await.map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
    }
    Ok(connection)
}

/// Lets the kernel find out about a peer that has gone without a word, unless the URL says how.
fn with_keepalive(url: &str) -> String {
    if url.contains("tcp_keepalive=") {
        return url.to_owned();
    }
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}tcp_keepalive=10000")
}

/// Whether several nodes take writes and agree at each commit about the rows that were changed, none knowing of another's
/// locks: Galera, or group replication with several primaries.
pub(crate) async fn agrees_at_commit(connection: &mut Connection) -> diesel::QueryResult<bool> {
    use diesel::sql_types::Text;
    use diesel_async::RunQueryDsl;
    let on: Statement<(Text, Text)> = Statement::new(
        "SHOW GLOBAL VARIABLES WHERE (Variable_name = 'wsrep_on' AND Value = 'ON') \
         OR (Variable_name = 'group_replication_single_primary_mode' AND Value = 'OFF')",
    );
    let on: Vec<(String, String)> = on.load(connection).await?;
    Ok(!on.is_empty())
}

/// How many connections may write at once beside the lanes.
pub(crate) const WRITERS_MAX: u32 = 4;

/// Lets an insert change these columns of a row that is there already.
pub(crate) fn or_update(mut insert: Statement, _key: &'static str, columns: &[&'static str]) -> Statement {
    insert = insert.sql(" ON DUPLICATE KEY UPDATE ");
    for (index, column) in columns.iter().enumerate() {
        let separator = if index > 0 { ", " } else { "" };
        insert = insert.sql(separator).sql(column).sql(" = VALUES(").sql(column).sql(")");
    }
    insert
}

/// What keeps others from migrating as long as it lives.
pub(crate) type SchemaLock = Connection;

/// Keeps two processes from migrating at once: the lock is the session's, and goes with it.
pub(crate) async fn lock_schema(url: &str) -> Result<SchemaLock, ConnectError> {
    use diesel_async::RunQueryDsl;
    let unreachable = |error: diesel::ConnectionError| ConnectError::Unreachable(error.into());
    let mut connection = establish(url).await.map_err(unreachable)?;
    // Such a lock is the server's, so its name tells the database: by a number, since a name has at most 64
    // characters. Two databases of one number only wait for each other.
    let taken: Statement<diesel::sql_types::BigInt> =
        Statement::new("SELECT CAST(GET_LOCK(CONCAT('boxoffice_migrate_', CRC32(DATABASE())), 120) AS SIGNED)");
    match taken.get_result::<i64>(&mut connection).await {
        Ok(1) => Ok(connection),
        Ok(_) => Err(ConnectError::Migration("another process has been migrating for two minutes".into())),
        Err(error) => Err(ConnectError::Unreachable(error.into())),
    }
}
