//! Searches beside a peer, and the descriptions that are not kept for them.

use std::time::Duration;

use boxoffice_contracts::storage::{Stage, concert, name};
use boxoffice_domain::{
    catalog::{Concert, ConcertChange, ConcertOrder, ConcertSearch, ConcertSummary},
    page::PageRequest,
};

use crate::home::{Backend, Home, settings};

crate::on_every_backend! {
    what_a_peer_has_changed_is_found
    descriptions_that_are_not_kept_are_read
}

async fn found(stage: &Stage) -> Vec<ConcertSummary> {
    let search = ConcertSearch { order: ConcertOrder::NewestFirst, ..ConcertSearch::default() };
    stage.storage.catalog.find_concerts(&search, stage.now(), PageRequest::first(100)).await.unwrap().items
}

async fn publish(stage: &Stage, title: &str) -> Concert {
    let concert = Concert { title: name(title), ..concert(stage.account().await, stage.now()) };
    stage.storage.catalog.publish_concert(concert, None).await.unwrap().value
}

/// Announced, it is found at once; else when all concerts have been read again.
async fn what_a_peer_has_changed_is_found(backend: Backend) {
    let home = Home::open(backend, settings()).await;
    let (peer, _) = home.peer(settings()).await;
    assert!(found(home.stage()).await.is_empty());
    let published = publish(&peer, "one").await;
    home.database.apply_catalog(&published.id.to_string());
    assert_eq!(found(home.stage()).await[0].concert, published);
    let change = ConcertChange { title: Some(name("other")), ..ConcertChange::default() };
    let changed = change.apply(&published, home.stage().now()).unwrap();
    peer.storage.catalog.update_concert(changed.clone()).await.unwrap();
    home.database.apply_catalog("");
    assert_eq!(found(home.stage()).await[0].concert, changed);
    publish(&peer, "two").await;
    let appears = async {
        while found(home.stage()).await.len() < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), appears).await.unwrap();
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
