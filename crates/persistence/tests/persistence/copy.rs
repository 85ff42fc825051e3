//! Copying whole databases.

use boxoffice_contracts::storage::{Stage, races};
use boxoffice_persistence::{CopyError, copy};
use boxoffice_testkit::servers::ServerKind;

use crate::home::{self, Backend, Home, Place};

const BACKENDS: [Backend; 3] =
    [Backend::Server(ServerKind::MariaDb), Backend::Server(ServerKind::MySql), Backend::Sqlite];

/// An embedded database in which much has happened.
async fn full() -> Home {
    let home = home::sqlite().await;
    races::everything_at_once_breaks_nothing(home.stage()).await;
    home
}

async fn copy_all(from: &str, to: &str) -> (u64, u64) {
    let copied = copy(from, to, &mut |_| ()).await.unwrap();
    (copied.iter().map(|table| table.copied).sum(), copied.iter().map(|table| table.total).sum())
}

/// What is at the place keeps every invariant.
async fn assert_sound(place: &Place, like: &Stage) {
    let (stage, database) = home::join(&place.url(), home::settings(), like.clock.clone()).await;
    assert_eq!(stage.storage.audit.breaches().await.unwrap(), []);
    database.shutdown().await;
}

/// Fails unless two embedded databases have the same rows in this table.
async fn assert_same(one: &Place, other: &Place, table: &str) {
    let other = other.url().replace("sqlite://", "");
    let excess = |from: &str, of: &str| {
        format!(
            "INSERT INTO differences SELECT COUNT(*) FROM (SELECT * FROM {from}.{table} EXCEPT SELECT * FROM {of}.{table});"
        )
    };
    let (missing, more) = (excess("main", "copy"), excess("copy", "main"));
    one.execute(&format!(
        "ATTACH '{other}' AS copy; CREATE TEMP TABLE differences (number INTEGER CHECK (number = 0)); {missing} {more}"
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_is_copied_there_and_back() {
    let home = full().await;
    let (mut from, mut places) = (home.place.url(), Vec::new());
    let mut rows = None;
    for backend in BACKENDS {
        let place = Place::with_schema(backend).await;
        let (copied, total) = copy_all(&from, &place.url()).await;
        assert_eq!(copied, total);
        assert_eq!(*rows.get_or_insert(total), total);
        assert!(total > 500, "{total}");
        assert_sound(&place, home.stage()).await;
        from = place.url();
        places.push(place);
    }
    let back = places.last().unwrap();
    for table in [
        "accounts",
        "wallets",
        "wallet_entries",
        "charges",
        "reservations",
        "payments",
        "seats",
        "performances",
        "concerts",
        "venues",
        "staff_acts",
        "outbox_batches",
        "hold_budgets",
        "sessions",
    ] {
        assert_same(&home.place, back, table).await;
    }
    for place in places {
        place.hand_on().await;
    }
    home.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_goes_on_where_it_was_interrupted() {
    let home = full().await;
    let target = Place::with_schema(BACKENDS[0]).await;
    let (_, total) = copy_all(&home.place.url(), &target.url()).await;
    // As after an interruption: of one table a part is there, and nothing of the following ones.
    target
        .execute("DELETE FROM wallet_entries; DELETE FROM seats; DELETE FROM payments ORDER BY id DESC LIMIT 3")
        .await;
    let (copied, again) = copy_all(&home.place.url(), &target.url()).await;
    assert!(copied > 3 && copied < total, "{copied} of {total}");
    assert_eq!(again, total);
    assert_sound(&target, home.stage()).await;
    assert_eq!(copy_all(&home.place.url(), &target.url()).await, (0, total));
    target.hand_on().await;
    home.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_with_other_rows_is_refused() {
    let (home, other) = (full().await, full().await);
    let refused = copy(&home.place.url(), &other.place.url(), &mut |_| ()).await;
    assert!(matches!(refused, Err(CopyError::OtherRows(_))), "{refused:?}");
    let target = Place::with_schema(BACKENDS[0]).await;
    target.execute("ALTER TABLE seats ADD COLUMN extra BIGINT NOT NULL DEFAULT 0").await;
    let refused = copy(&home.place.url(), &target.url(), &mut |_| ()).await;
    assert!(matches!(&refused, Err(CopyError::Schemas(table)) if table == "seats"), "{refused:?}");
    target.execute("ALTER TABLE seats DROP COLUMN extra").await;
    target.hand_on().await;
    for home in [home, other] {
        home.close().await;
    }
}
