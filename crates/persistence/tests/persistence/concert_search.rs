//! Searches beside a peer, and the descriptions that are not kept for them.

use std::{sync::Arc, time::Duration};

use boxoffice_contracts::storage::{
    PRICE_A, Stage,
    catalog_import::{catalog, import, owned_by, performances_of},
    concert, name,
};
use boxoffice_domain::{
    catalog::{Concert, ConcertChange, ConcertOrder, ConcertSearch, ConcertSummary, ImportOptions, SearchWords},
    fixtures,
    page::PageRequest,
};
use boxoffice_persistence::PersistenceSettings;

use crate::home::{Backend, Home, settings};

crate::on_every_backend! {
    what_a_peer_has_published_is_found
    what_another_process_has_changed_is_found_by_the_next_search
    descriptions_that_are_not_kept_are_read
}

fn looking_every(searches_age_max: Duration) -> PersistenceSettings {
    PersistenceSettings { searches_age_max, ..settings() }
}

async fn matching(stage: &Stage, search: &ConcertSearch) -> Vec<ConcertSummary> {
    stage.storage.catalog.find_concerts(search, stage.now(), PageRequest::first(100)).await.unwrap().items
}

async fn found(stage: &Stage) -> Vec<ConcertSummary> {
    matching(stage, &ConcertSearch { order: ConcertOrder::NewestFirst, ..ConcertSearch::default() }).await
}

async fn publish(stage: &Stage, title: &str) -> Concert {
    let concert = Concert { title: name(title), ..concert(stage.account().await, stage.now()) };
    stage.storage.catalog.publish_concert(concert, None, fixtures::staff_act()).await.unwrap().value
}

/// However seldom it is looked what other processes have changed.
async fn what_a_peer_has_published_is_found(backend: Backend) {
    let home = Home::open(backend, looking_every(Duration::from_hours(24))).await;
    let (peer, _) = home.peer(settings()).await;
    assert!(found(home.stage()).await.is_empty());
    let published = publish(&peer, "one").await;
    home.database.apply_catalog(&published.id.to_string());
    assert_eq!(found(home.stage()).await[0].concert, published);
    let change = ConcertChange { title: Some(name("other")), ..ConcertChange::default() };
    let changed = change.apply(&published, home.stage().now()).unwrap();
    peer.storage.catalog.update_concert(changed.clone(), fixtures::staff_act()).await.unwrap();
    home.database.apply_catalog("");
    assert_eq!(found(home.stage()).await[0].concert, changed);
    home.end().await;
}

/// Nothing announces it, as with an import from the command line over one database.
async fn what_another_process_has_changed_is_found_by_the_next_search(backend: Backend) {
    let home = Home::open(backend, looking_every(Duration::ZERO)).await;
    let (other, _) = home.peer(settings()).await;
    let stage = home.stage();
    assert!(found(stage).await.is_empty());
    import(&other, &catalog(PRICE_A)).await.unwrap();
    let prices = async || found(stage).await[0].prices.unwrap();
    assert_eq!(prices().await.max.get(), PRICE_A);
    import(&other, &catalog(PRICE_A - 1)).await.unwrap();
    assert_eq!(prices().await.max.get(), PRICE_A - 1);
    let published = publish(&other, "one").await;
    assert_eq!(found(stage).await.iter().map(|found| found.concert.id).max(), Some(published.id));
    let change = ConcertChange { title: Some(name("other")), ..ConcertChange::default() };
    let changed = change.apply(&published, stage.now()).unwrap();
    other.storage.catalog.update_concert(changed.clone(), fixtures::staff_act()).await.unwrap();
    assert!(found(stage).await.iter().any(|found| found.concert == changed));
    // Those at a venue are found by its name.
    let in_arena = ConcertSearch { words: SearchWords::new("Arena").unwrap(), ..ConcertSearch::default() };
    assert!(matching(stage, &in_arena).await.is_empty());
    let mut renamed = catalog(PRICE_A - 1);
    renamed.venues[0].name = Some(name("Arena"));
    import(&other, &renamed).await.unwrap();
    assert_eq!(matching(stage, &in_arena).await.len(), 1);
    // A performance that the catalog no longer names is withdrawn.
    performances_of(&mut renamed).clear();
    let withdraw = ImportOptions { withdraw: true, ..owned_by(None) };
    other.storage.import.import(&renamed, &withdraw, Arc::new(|_| ())).await.unwrap();
    assert!(matching(stage, &in_arena).await.is_empty());
    home.end().await;
}

/// Whatever there is room for, each concert is found whole.
async fn descriptions_that_are_not_kept_are_read(backend: Backend) {
    let home = Home::open(backend, settings()).await;
    let stage = home.stage();
    let mut published = Vec::new();
    for number in 0..5 {
        published.push(publish(stage, &number.to_string()).await);
    }
    let before = found(stage).await;
    assert_eq!(before.len(), 5);
    for summary in before {
        assert!(published.contains(&summary.concert), "{summary:?}");
        assert!(!summary.concert.description.as_str().is_empty());
    }
    home.end().await;
}
