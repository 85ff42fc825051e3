//! The relay over events in memory, and a sink that fails when a test wants it.

use std::sync::Arc;

use boxoffice_application::{EventReader, EventSequencer, RelayError};
use boxoffice_contracts::memory::MemoryEventSink;
use boxoffice_domain::{StorageError, event_delivery::MockEventSink, events::MockEventLog};
use chrono::TimeDelta;
use uuid::Uuid;

use super::support::{World, assert_refused, mock};

fn reader(world: &World, sink: &Arc<MemoryEventSink>) -> EventReader {
    let storage = &world.stage.storage;
    let (log, catalog) = (Arc::clone(&storage.event_log), Arc::clone(&storage.catalog));
    EventReader::new("broker", sink.clone(), log, catalog, world.stage.clock.clone())
}

async fn sequence(world: &World) {
    let sequencer =
        EventSequencer { log: Arc::clone(&world.stage.storage.event_log), clock: world.stage.clock.clone() };
    assert!(!sequencer.sequence().await.unwrap());
}

#[tokio::test]
async fn a_new_reader_gets_what_happens_from_then_on_with_its_concert() {
    let world = World::new().await;
    let sink = Arc::new(MemoryEventSink::default());
    world.stage.clock.advance_seconds(1);
    let mut reader = reader(&world, &sink);
    assert_eq!(reader.starts_at().await.unwrap(), world.stage.now());
    let held = world.stage.holds(&world.show, world.buyer, &["A-1-1"]).await;
    world.stage.pays(&held).await;
    sequence(&world).await;
    assert_eq!(reader.step().await.unwrap().events, 3);
    let kinds: Vec<_> = sink.events().into_iter().map(|event| (event.kind, event.subject, event.concert_id)).collect();
    let of = |kind: &str| (kind.to_owned(), held.id.uuid(), Some(world.show.concert.id));
    assert_eq!(kinds, [of("reservation.held"), of("reservation.confirmed"), of("payment.completed")]);
    assert_eq!(reader.step().await.unwrap().events, 0);
    assert_eq!(reader.lag().await.unwrap().batches, 0);
}

#[tokio::test]
async fn what_was_not_taken_is_delivered_again_and_what_was_taken_is_not() {
    let world = World::new().await;
    let sink = Arc::new(MemoryEventSink::default());
    world.stage.clock.advance_seconds(1);
    let mut first = reader(&world, &sink);
    first.starts_at().await.unwrap();
    for label in ["A-1-1", "A-1-2"] {
        world.stage.holds(&world.show, world.buyer, &[label]).await;
    }
    sequence(&world).await;
    sink.fail_next(1);
    assert_refused!(first.step().await, RelayError::Sink(_));
    assert_ne!(first.lag().await.unwrap().batches, 0);
    assert_eq!(first.step().await.unwrap().events, 2);
    let ids = || sink.events().into_iter().map(|event| event.id).collect::<Vec<Uuid>>();
    let [half, one, other] = ids()[..] else { panic!("the half again: {:?}", ids()) };
    assert!(half == one && one != other);
    // Another process takes over where this one was.
    let mut second = reader(&world, &sink);
    assert_eq!(second.step().await.unwrap().events, 0);
    world.stage.holds(&world.show, world.buyer, &["A-1-3"]).await;
    sequence(&world).await;
    assert_eq!(second.step().await.unwrap().events, 1);
    // The first one does not know of that, so it delivers the same again, and nothing is lost.
    assert_eq!(first.step().await.unwrap().events, 1);
    first.forget();
    assert_eq!(first.step().await.unwrap().events, 0);
    assert_eq!(ids().len(), 5);
}

#[tokio::test]
async fn an_opening_is_said_once_there_are_readers() {
    let world = World::new().await;
    let log = Arc::clone(&world.stage.storage.event_log);
    let sequencer = EventSequencer { log: Arc::clone(&log), clock: world.stage.clock.clone() };
    let last_kind = async || {
        sequencer.note_openings().await.unwrap();
        sequencer.sequence().await.unwrap();
        log.batches_after(0, 1_000).await.unwrap().pop().unwrap().batch.events[0].kind()
    };
    assert_ne!(last_kind().await, "queue_opened", "nobody reads");
    log.reader("broker", world.stage.now() + TimeDelta::days(2)).await.unwrap();
    assert_ne!(last_kind().await, "queue_opened", "that was long before");
    log.reader("mail", world.stage.now()).await.unwrap();
    assert_eq!(last_kind().await, "queue_opened");
    assert_eq!(log.note_openings(world.show.concert.sales.open_at(), 10).await.unwrap(), 0);
}

#[tokio::test]
async fn a_storage_that_is_away_delivers_nothing() {
    let world = World::new().await;
    let log = mock::<MockEventLog>(|log| {
        log.expect_reader().returning(|_, _| Err(StorageError::Busy));
    });
    let catalog = Arc::clone(&world.stage.storage.catalog);
    let sink = Arc::new(MockEventSink::new());
    let mut reader = EventReader::new("broker", sink, log, catalog, world.stage.clock.clone());
    assert_refused!(reader.step().await, RelayError::Storage(StorageError::Busy));
}
