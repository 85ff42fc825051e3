//! Looking at a database.

use std::time::Duration;

use boxoffice_persistence::{inspect, migrate};
use boxoffice_testkit::servers::{DatabaseServer, ServerKind};
use diesel::{dsl::sql, sql_types::BigInt};
use diesel_async::{AsyncConnection, AsyncMysqlConnection, RunQueryDsl, SimpleAsyncConnection};
use tokio::time::{sleep, timeout};

/// How long anything may take that happens by itself.
const DEADLINE: Duration = Duration::from_mins(1);

/// A transaction that stands still is ended by an instance that waits for it, and not by a look.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_says_what_is_there_and_ends_no_transaction() {
    if !ServerKind::MySql.can_be_started() {
        return;
    }
    // Of a server that others use, they could end the transaction.
    let server = DatabaseServer::start(ServerKind::MySql).await.unwrap();
    server.create_database("looked_at").await.unwrap();
    let url = server.url("looked_at");
    let empty = inspect(&url).await.unwrap();
    assert_eq!((empty.schema, empty.may_see_locks), (None, true));
    assert!(empty.server.starts_with("MySQL "), "{}", empty.server);
    migrate(&url).await.unwrap();

    let mut still = AsyncMysqlConnection::establish(&url).await.unwrap();
    still.batch_execute("START TRANSACTION").await.unwrap();
    still.batch_execute("INSERT INTO leases VALUES ('looked at', REPEAT('x', 16), NOW())").await.unwrap();
    let mut watcher = AsyncMysqlConnection::establish(&url).await.unwrap();
    let stands_still = async {
        let still = "SELECT COUNT(*) FROM information_schema.processlist WHERE db = 'looked_at' AND command = 'Sleep' AND time >= 2";
        while sql::<BigInt>(&format!("({still})")).get_result::<i64>(&mut watcher).await.unwrap() == 0 {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(DEADLINE, stands_still).await.unwrap();
    let found = inspect(&url).await.unwrap();
    assert_eq!((found.schema, found.may_see_locks), (Some(found.needed), true));
    still.batch_execute("COMMIT").await.expect("it was not ended");
}
