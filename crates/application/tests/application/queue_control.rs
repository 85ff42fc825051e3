use boxoffice_application::{catalog::CatalogError, queue_control::QueueReport};
use boxoffice_domain::{
    StorageError,
    catalog::{Concert, UpdateConcertError},
    fixtures::instant,
    waiting_room::QueueStats,
};
use mockall::{Sequence, predicate::eq};

use crate::support::{CONCERT, World, assert_refused, concert, customer, other_promoter, promoter};

const STATS: QueueStats = QueueStats {
    waiting: 9,
    active: 3,
    admitted_total: 30,
    admitted_last_minute: 5,
    no_shows_total: 2,
    oldest_joined_at: None,
};

impl World {
    fn queue_is_counted(&mut self, stats: Option<QueueStats>) {
        self.waiting_room.expect_stats().with(eq(CONCERT)).times(1).return_once(move |_| Ok(stats));
    }
}

#[tokio::test]
async fn a_queue_is_reported_to_its_promoter_and_a_concert_without_one_has_nothing() {
    for (stats, active) in [(Some(STATS), 3), (None, 0)] {
        let mut world = World::new();
        world.concert_is_read(1, Some(concert()));
        world.queue_is_counted(stats);
        let report = world.catalog_service().queue_report(promoter(), CONCERT).await.unwrap();
        assert_eq!((report.concert, report.stats.active), (concert(), active));
    }
    let mut world = World::new();
    world.concert_is_read(1, Some(concert()));
    let report = world.catalog_service().queue_report(other_promoter(), CONCERT).await;
    assert_refused!(report, CatalogError::Forbidden);
    let report = World::new().catalog_service().queue_report(customer(), CONCERT).await;
    assert_refused!(report, CatalogError::Forbidden);
}

#[tokio::test]
async fn a_pause_is_written_and_then_the_queue_is_told() {
    for paused in [true, false] {
        let (mut world, mut order) = (World::new(), Sequence::new());
        let before = Concert { paused: !paused, ..concert() };
        let after = Concert { paused, version: 4, ..concert() };
        world.concert_is_read(2, Some(before));
        let writes = world.catalog.expect_update_concert().with(eq(after.clone()));
        writes.times(1).in_sequence(&mut order).return_once(|_| Ok(()));
        let tells = world.waiting_room.expect_set_terms().with(eq(CONCERT), eq(after.queue_terms()));
        tells.times(1).in_sequence(&mut order).return_once(|_, _| Ok(()));
        world.queue_is_counted(Some(STATS));
        let report = world.catalog_service().set_queue_paused(promoter(), CONCERT, paused).await.unwrap();
        assert_eq!(report, QueueReport { concert: after, stats: STATS });
    }
}

#[tokio::test]
async fn pausing_again_only_tells_the_queue_again() {
    let mut world = World::new();
    let paused = Concert { paused: true, ..concert() };
    world.concert_is_read(1, Some(paused.clone()));
    world.waiting_room_gets_terms_of(&paused);
    world.queue_is_counted(Some(STATS));
    world.catalog_service().set_queue_paused(promoter(), CONCERT, true).await.unwrap();
}

#[tokio::test]
async fn a_queue_that_cannot_be_told_of_a_pause_is_an_error() {
    let mut world = World::new();
    world.concert_is_read(2, Some(concert()));
    world.catalog.expect_update_concert().times(1).return_once(|_| Ok(()));
    world.waiting_room.expect_set_terms().times(1).return_once(|_, _| Err(StorageError::Busy.into()));
    let paused = world.catalog_service().set_queue_paused(promoter(), CONCERT, true).await;
    assert_refused!(paused, CatalogError::WaitingRoom(_));
}

#[tokio::test]
async fn a_queue_is_emptied_after_it_is_written_that_nobody_comes_back() {
    let (mut world, mut order) = (World::new(), Sequence::new());
    world.concert_is_read(1, Some(concert()));
    let after = Concert { emptied_at: Some(instant(0)), version: 4, ..concert() };
    let writes = world.catalog.expect_update_concert().with(eq(after));
    writes.times(1).in_sequence(&mut order).return_once(|_| Ok(()));
    let empties = world.waiting_room.expect_empty().with(eq(CONCERT));
    empties.times(1).in_sequence(&mut order).return_once(|_| Ok(8));
    assert_eq!(world.catalog_service().empty_queue(promoter(), CONCERT).await.unwrap(), 8);

    let mut world = World::new();
    world.concert_is_read(1, Some(concert()));
    assert_refused!(world.catalog_service().empty_queue(other_promoter(), CONCERT).await, CatalogError::Forbidden);
    let mut world = World::new();
    world.concert_is_read(1, Some(concert()));
    world
        .catalog
        .expect_update_concert()
        .times(1)
        .return_once(|_| Err(UpdateConcertError::Storage(StorageError::Busy)));
    assert_refused!(world.catalog_service().empty_queue(promoter(), CONCERT).await, CatalogError::Storage(_));
}
