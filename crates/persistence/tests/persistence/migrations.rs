//! The schema, up and down and up again.

use boxoffice_contracts::storage::at_once;
use boxoffice_domain::{
    StorageError,
    catalog::ConcertChange,
    fixtures::{self, instant},
    page::PageRequest,
};
use boxoffice_persistence::{ConnectError, migrate, migrate_down};

use crate::home::{Backend, Home, Place, settings};

crate::on_every_backend! {
    migrations_go_up_and_down_and_up_again
    migrations_by_four_at_once_are_applied_once
    a_schema_that_is_behind_is_not_ready
    a_program_that_does_not_know_the_newest_columns_writes_concerts
}

async fn migrations_go_up_and_down_and_up_again(backend: Backend) {
    let place = Place::new(backend).await;
    let applied = migrate(&place.url()).await.unwrap();
    assert!(!applied.is_empty());
    assert_eq!(migrate(&place.url()).await.unwrap(), Vec::<String>::new());
    let reversed: Vec<_> = applied.iter().rev().cloned().collect();
    assert_eq!(migrate_down(&place.url(), 2).await.unwrap(), reversed[..2]);
    assert_eq!(migrate_down(&place.url(), usize::MAX).await.unwrap(), reversed[2..]);
    assert_eq!(migrate_down(&place.url(), 1).await.unwrap(), Vec::<String>::new());
    assert_eq!(migrate(&place.url()).await.unwrap(), applied);
    let home = Home::at(place, settings()).await;
    let stage = home.stage();
    stage.storage.readiness.ready().await.unwrap();
    let show = stage.show().await;
    let account_id = stage.account_with(1_000).await;
    let held = stage.holds(&show, account_id, &["A-1-1"]).await;
    stage.pays(&held).await;
    home.end().await;
}

async fn migrations_by_four_at_once_are_applied_once(backend: Backend) {
    let place = Place::new(backend).await;
    let url = place.url();
    let applied = at_once(0..4, |_| {
        let url = url.clone();
        async move { migrate(&url).await.unwrap() }
    })
    .await;
    assert_eq!(applied.iter().filter(|applied| !applied.is_empty()).count(), 1);
    let home = Home::at(place, settings()).await;
    home.stage().storage.readiness.ready().await.unwrap();
    home.close().await;
}

async fn a_schema_that_is_behind_is_not_ready(backend: Backend) {
    let place = Place::new(backend).await;
    migrate(&place.url()).await.unwrap();
    migrate_down(&place.url(), 1).await.unwrap();
    let home = Home::at(place, settings()).await;
    let readiness = &home.stage().storage.readiness;
    let behind = readiness.ready().await;
    assert!(matches!(behind, Err(StorageError::Unavailable(_))), "{behind:?}");
    migrate(&home.place.url()).await.unwrap();
    readiness.ready().await.unwrap();
    home.close().await;
}

/// During a rolling upgrade, instances of the previous version write to the new schema.
async fn a_program_that_does_not_know_the_newest_columns_writes_concerts(backend: Backend) {
    let home = Home::open(backend, settings()).await;
    let (id, operator) = ("00000000000000000000000000000007", "0".repeat(32));
    home.place
        .execute(&format!(
            "INSERT INTO concerts (id, catalog_key, promoter_id, owner_id, title, artist, description, sales_open_at, \
             sales_close_at, max_seats_per_account, max_active, version, created_at, idempotency_key, fingerprint) \
             VALUES (X'{id}', NULL, NULL, X'{operator}', 'Night', 'Band', '', '2027-01-01 00:00:00', \
             '2027-02-01 00:00:00', 4, 500, 1, '2026-12-01 00:00:00', NULL, NULL)"
        ))
        .await;
    let stage = home.stage();
    let stored = stage.storage.catalog.concerts(None, PageRequest::first(9)).await.unwrap().items.remove(0).concert;
    assert_eq!((stored.draw, stored.paused, stored.emptied_at, stored.holds_need_balance), (None, false, None, false));
    assert!(!stored.requires_verified_email);
    let change = ConcertChange { paused: Some(true), ..ConcertChange::default() };
    stage
        .storage
        .catalog
        .update_concert(change.apply(&stored, instant(0)).unwrap(), fixtures::staff_act())
        .await
        .unwrap();

    // It also changes a row that a newer program has written, and leaves the columns alone that it does not know.
    home.place.execute(&format!("UPDATE concerts SET title = 'Another', version = 3 WHERE id = X'{id}'")).await;
    let stored = stage.storage.catalog.concert(stored.id).await.unwrap().unwrap().concert;
    assert_eq!((stored.title.as_str(), stored.paused), ("Another", true));
    home.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_of_no_known_kind_is_refused() {
    for url in ["", "boxoffice.db", "sqlite://", "sqlite:", "postgres://localhost/boxoffice"] {
        assert!(matches!(migrate(url).await, Err(ConnectError::UnknownKind)), "{url}");
    }
}
