use boxoffice_application::{CatalogService, Gate, catalog::CatalogError};
use boxoffice_domain::{
    StorageError,
    catalog::{MockCatalog, UpdateConcertError},
    fixtures::instant,
    waiting_room::{MockWaitingRoom, QueueStats, Standing},
};
use mockall::predicate::eq;

use crate::support::{ADMISSION_SECONDS, World, assert_refused, mock, other_promoter};

#[tokio::test]
async fn a_queue_is_shown_to_its_promoter_alone_and_a_customer_learns_nothing() {
    let mut world = World::new().await;
    let concert_id = world.show.concert.id;
    let report = world.catalog_service().queue_report(world.promoter(), concert_id).await.unwrap();
    assert_eq!((report.concert, report.stats), (world.show.concert.clone(), QueueStats::default()), "no queue yet");
    let report = world.catalog_service().queue_report(other_promoter(), concert_id).await;
    assert_refused!(report, CatalogError::Forbidden);
    world.close();
    let report = world.catalog_service().queue_report(world.buyer(), concert_id).await;
    assert_refused!(report, CatalogError::Forbidden);
}

#[tokio::test]
async fn a_pause_is_written_and_then_the_queue_gets_it() {
    let mut world = World::new().await;
    let (place, concert_id) = (world.waiting().await, world.show.concert.id);
    let service = world.catalog_service();
    // Doing it again writes nothing.
    for _ in 0..2 {
        let report = service.set_queue_paused(world.promoter(), concert_id, true).await.unwrap();
        assert_eq!((report.concert.paused, report.concert.version, report.stats.waiting), (true, 3, 1));
        assert_eq!(service.concert(concert_id).await.unwrap().concert, report.concert);
    }
    // The admission ends, and the next account is not admitted.
    world.stage.clock.advance_seconds(ADMISSION_SECONDS);
    assert!(matches!(world.standing(place).await, Standing::Waiting { .. }));

    let report = service.set_queue_paused(world.promoter(), concert_id, false).await.unwrap();
    assert_eq!((report.concert.paused, report.concert.version, report.stats.active), (false, 4, 1));
    assert!(matches!(world.standing(place).await, Standing::Active { .. }));
}

#[tokio::test]
async fn pausing_again_sets_the_terms_of_a_queue_that_missed_it() {
    let mut world = World::new().await;
    let place = world.waiting().await;
    world.change_concert(|concert| concert.paused = true).await;
    world.catalog_service().set_queue_paused(world.promoter(), world.show.concert.id, true).await.unwrap();
    world.stage.clock.advance_seconds(ADMISSION_SECONDS);
    assert!(matches!(world.standing(place).await, Standing::Waiting { .. }));
}

#[tokio::test]
async fn a_written_pause_that_the_queue_did_not_get_is_an_error() {
    let mut world = World::new().await;
    world.waiting_room = mock(|room: &mut MockWaitingRoom| {
        room.expect_set_terms().times(1).return_once(|_, _| Err(StorageError::Busy.into()));
    });
    let paused = world.catalog_service().set_queue_paused(world.promoter(), world.show.concert.id, true).await;
    assert_refused!(paused, CatalogError::WaitingRoom(_));
    assert!(world.catalog_service().concert(world.show.concert.id).await.unwrap().concert.paused);
}

#[tokio::test]
async fn emptying_an_empty_queue_changes_nothing() {
    let mut world = World::new().await;
    world.change_concert(|concert| concert.max_active = 1).await;
    let concert = world.show.concert.clone();
    let service = world.catalog_service();
    let empty = async || {
        let removed = service.empty_queue(world.promoter(), concert.id).await.unwrap();
        (removed, service.concert(concert.id).await.unwrap().concert)
    };
    assert_eq!(empty().await, (0, concert.clone()), "there is no queue");
    world.admitted().await;
    assert_eq!(empty().await, (0, concert.clone()), "all are admitted");
    world.join(world.stage.account().await).await;
    let (removed, emptied) = empty().await;
    assert_eq!((removed, emptied.version), (1, concert.version + 1));
    world.stage.clock.advance_seconds(1);
    assert_eq!(empty().await, (0, emptied));

    // Without queues there is nothing to empty.
    let service = CatalogService { gate: Gate::OpenDoor, ..world.catalog_service() };
    world.join(world.stage.account().await).await;
    let before = service.concert(concert.id).await.unwrap();
    assert_eq!(service.empty_queue(world.promoter(), concert.id).await.unwrap(), 0);
    assert_eq!(service.concert(concert.id).await.unwrap(), before);
}

#[tokio::test]
async fn a_queue_is_emptied_after_the_storage_keeps_its_places_from_coming_back() {
    let mut world = World::new().await;
    let (concert, place) = (world.show.concert.clone(), world.waiting().await);
    let service = world.catalog_service();
    assert_refused!(service.empty_queue(other_promoter(), concert.id).await, CatalogError::Forbidden);
    assert_eq!(service.empty_queue(world.promoter(), concert.id).await.unwrap(), 1);
    assert_eq!(world.standing(place).await, Standing::Expired);
    assert_eq!(service.concert(concert.id).await.unwrap().concert.emptied_at, Some(instant(0)));

    // A queue is not emptied if that cannot be written.
    world.stage.clock.advance_seconds(1);
    let read = service.concert(concert.id).await.unwrap();
    world.waiting_room = mock(|room: &mut MockWaitingRoom| {
        let since = instant(0);
        room.expect_is_empty().with(eq(concert.id), eq(since)).times(1).return_once(|_, _| Ok(false));
    });
    world.stage.storage.catalog = mock(|catalog: &mut MockCatalog| {
        catalog.expect_concert().times(2).returning(move |_| Ok(Some(read.clone())));
        catalog.expect_update_concert().return_once(|_, _| Err(UpdateConcertError::Storage(StorageError::Busy)));
    });
    let emptied = world.catalog_service().empty_queue(world.promoter(), concert.id).await;
    assert_refused!(emptied, CatalogError::Storage(_));
}
