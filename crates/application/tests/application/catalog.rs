use std::sync::atomic::{AtomicU32, Ordering};

use boxoffice_application::{
    Identity,
    catalog::{CatalogError, NewConcert, NewVenue, PublishPerformance, UpdateConcert},
    fingerprint,
    waiting_room::GateError,
};
use boxoffice_contracts::storage::{SHOW_SEATS, layout, name, part, plan};
use boxoffice_domain::{
    ConcertId, PerformanceId, Points, StorageError, TimeZone, VenueId,
    catalog::{
        Concert, ConcertChange, ConcertSummary, InvalidSalesWindow, LayoutError, MockCatalog, PerformanceSummary,
        PriceError, PublishError, Sales, SalesTimeError, SalesWindow, StartError, UpdateConcertError, Venue,
    },
    fixtures::{self, instant},
    idempotency::{KeyReused, Made},
    page::PageRequest,
    seats::PartName,
    text::Description,
    waiting_room::{MockWaitingRoom, QueuePlace, Standing},
};
use uuid::Uuid;

use crate::support::{ADMISSION_SECONDS, PRICE, World, admin, assert_refused, mock, other_promoter, points, under};

// Venues

fn new_venue() -> NewVenue {
    let time_zone = TimeZone::new("Europe/Berlin").unwrap();
    let (name, location, layout) = (name("Rolling Hall"), name("Berlin"), Some(layout()));
    NewVenue { name, location, plan: plan(), overlaps_allowed: true, time_zone, layout }
}

#[tokio::test]
async fn a_promoter_publishes_a_venue_once_under_a_key() {
    let world = World::new().await;
    let (service, key) = (world.catalog_service(), Some(under("k", fingerprint::publish_venue(&new_venue()))));
    let made = service.publish_venue(world.promoter(), new_venue(), key.clone()).await.unwrap();
    let NewVenue { name, location, plan, overlaps_allowed, time_zone, layout } = new_venue();
    let id = made.value.id;
    assert_eq!(
        made,
        Made::now(Venue { id, name, location, plan, layout, overlaps_allowed, time_zone, created_at: instant(0) })
    );
    assert_eq!(world.stage.storage.catalog.venue(id).await.unwrap().as_ref(), Some(&made.value));
    let again = service.publish_venue(world.promoter(), new_venue(), key).await.unwrap();
    assert_eq!(again, Made::before(made.value));
    let reused = Some(under("k", fingerprint::publish_concert(&new_concert())));
    let published = service.publish_venue(world.promoter(), new_venue(), reused).await;
    assert_refused!(published, CatalogError::KeyReused(KeyReused));
    assert_eq!(service.generation.number(), 2, "a refusal does not change the catalog");
}

#[tokio::test]
async fn a_layout_has_to_fit_the_plan() {
    let world = World::new().await;
    let mut new = new_venue();
    new.layout.as_mut().unwrap().sections[1].section = part("C");
    let published = world.catalog_service().publish_venue(world.promoter(), new, None).await;
    assert_refused!(published, CatalogError::Layout(LayoutError::SectionUnknown { section: 1 }));
}

#[tokio::test]
async fn those_who_publish_see_what_they_manage_and_where_they_can_publish() {
    let world = World::new().await;
    let (service, show) = (world.catalog_service(), &world.show);
    assert_eq!(service.venue(show.venue.id).await.unwrap(), show.venue);
    let unknown = VenueId::new(Uuid::nil());
    assert_refused!(service.venue(unknown).await, CatalogError::VenueNotFound);
    let venues = service.venues(world.promoter(), PageRequest::first(5)).await.unwrap().items;
    assert_eq!(venues, [show.venue.summary()]);
    for (identity, concerts_count) in [(world.promoter(), 1), (admin(), 1), (other_promoter(), 0)] {
        let managed = service.managed_concerts(identity, PageRequest::first(5)).await.unwrap().items;
        assert_eq!(managed.len(), concerts_count);
    }
    assert_refused!(service.venues(world.buyer(), PageRequest::first(5)).await, CatalogError::Forbidden);
    assert_refused!(service.managed_concerts(world.buyer(), PageRequest::first(5)).await, CatalogError::Forbidden);
}

#[tokio::test]
async fn a_customer_publishes_nothing_and_nothing_is_read() {
    let mut world = World::new().await;
    world.close();
    let (service, customer, show) = (world.catalog_service(), world.buyer(), &world.show);
    assert_refused!(service.publish_venue(customer, new_venue(), None).await, CatalogError::Forbidden);
    assert_refused!(service.publish_concert(customer, new_concert(), None).await, CatalogError::Forbidden);
    assert_refused!(world.publish(customer, &prices()).await, CatalogError::Forbidden);
    assert_refused!(world.change(customer, None).await, CatalogError::Forbidden);
    assert_refused!(service.sales(customer, show.performance_id).await, CatalogError::Forbidden);
}

#[tokio::test]
async fn what_could_not_be_stored_is_a_failure_of_the_storage() {
    let mut world = World::new().await;
    let (concert, venue) = (world.summary().await, world.show.venue.clone());
    let catalog = mock(|catalog: &mut MockCatalog| {
        catalog.expect_concert().returning(move |_| Ok(Some(concert.clone())));
        catalog.expect_venue().returning(move |_| Ok(Some(venue.clone())));
        catalog.expect_publish_venue().times(1).return_once(|_, _, _, _| Err(StorageError::Busy.into()));
        catalog.expect_publish_concert().times(1).return_once(|_, _, _| Err(StorageError::Busy.into()));
        catalog.expect_update_concert().times(1).return_once(|_, _| Err(StorageError::Busy.into()));
        for error in [PublishError::ConcertNotFound, StorageError::Busy.into()] {
            catalog.expect_publish_performance().times(1).return_once(|_, _, _, _| Err(error));
        }
    });
    world.stage.storage.catalog = catalog;
    // Its queue does not get the terms of a change that was not written.
    world.waiting_room = mock(|_: &mut MockWaitingRoom| {});
    let (service, promoter) = (world.catalog_service(), world.promoter());
    let busy = |result| assert_refused!(result, CatalogError::Storage(StorageError::Busy));
    busy(service.publish_venue(promoter, new_venue(), None).await.map(|_| ()));
    busy(service.publish_concert(promoter, new_concert(), None).await.map(|_| ()));
    assert_refused!(world.publish(promoter, &prices()).await, CatalogError::ConcertNotFound);
    busy(world.publish(promoter, &prices()).await.map(|_| ()));
    busy(world.change(promoter, None).await.map(|_| ()));
}

// Concerts

fn new_concert() -> NewConcert {
    NewConcert {
        title: name("Night of Songs"),
        artist: name("The Waiting"),
        description: Description::new("Songs").unwrap(),
        sales: SalesWindow::new(instant(50), instant(100)).unwrap(),
        max_seats_per_account: 3,
        max_active: 70,
        holds_need_balance: false,
        requires_verified_email: false,
        draw: false,
    }
}

#[tokio::test]
async fn a_promoter_publishes_a_concert_that_is_its_own_and_at_version_1() {
    let world = World::new().await;
    let (service, key) = (world.catalog_service(), Some(under("k", fingerprint::publish_concert(&new_concert()))));
    let made = service.publish_concert(world.promoter(), new_concert(), key.clone()).await.unwrap();
    let NewConcert { title, artist, description, sales, max_seats_per_account, max_active, .. } = new_concert();
    let concert = Concert {
        id: made.value.id,
        promoter_id: Some(world.promoter().account_id),
        title,
        artist,
        description,
        sales,
        max_seats_per_account,
        max_active,
        version: 1,
        created_at: instant(0),
        ..fixtures::concert()
    };
    assert_eq!(made, Made::now(concert.clone()));
    assert_eq!(service.concert(concert.id).await.unwrap().concert, concert);
    let again = service.publish_concert(world.promoter(), new_concert(), key).await.unwrap();
    assert_eq!(again, Made::before(concert));
}

#[tokio::test]
async fn a_concert_with_a_draw_gets_a_secret_seed() {
    let (world, new) = (World::new().await, NewConcert { draw: true, ..new_concert() });
    let publish = async || world.catalog_service().publish_concert(world.promoter(), new.clone(), None).await.unwrap();
    let (first, second) = (publish().await, publish().await);
    assert_ne!(first.value.draw.unwrap(), second.value.draw.unwrap());
    assert!(format!("{first:?}").contains("Draw(…)"), "the seed is no part of what is logged");
}

// Changing a concert

impl World {
    async fn summary(&self) -> ConcertSummary {
        self.catalog_service().concert(self.show.concert.id).await.unwrap()
    }

    /// Changes how many are admitted at once to 5.
    async fn change(&self, identity: Identity, version: Option<u32>) -> Result<ConcertSummary, CatalogError> {
        let change = ConcertChange { max_active: Some(5), ..ConcertChange::default() };
        self.update(identity, change, version).await
    }

    async fn update(
        &self,
        identity: Identity,
        change: ConcertChange,
        version: Option<u32>,
    ) -> Result<ConcertSummary, CatalogError> {
        let update = UpdateConcert { concert_id: self.show.concert.id, change, version };
        self.catalog_service().update_concert(identity, update).await
    }
}

#[tokio::test]
async fn a_change_is_written_as_the_next_version_and_then_the_queue_admits_by_it() {
    let mut world = World::new().await;
    let place = world.waiting().await;
    let before = world.summary().await;
    let changed = world.change(world.promoter(), None).await.unwrap();
    let concert = Concert { max_active: 5, version: before.concert.version + 1, ..before.concert };
    assert_eq!(changed, ConcertSummary { concert, ..before });
    assert_eq!(world.summary().await, changed);
    assert!(matches!(world.standing(place).await, Standing::Active { .. }));
}

#[tokio::test]
async fn a_change_that_changes_nothing_is_not_written_and_not_announced() {
    let world = World::new().await;
    let before = world.summary().await;
    let same = ConcertChange { title: Some(before.concert.title.clone()), ..ConcertChange::default() };
    for change in [ConcertChange::default(), same] {
        let (service, concert_id) = (world.catalog_service(), before.concert.id);
        let update = UpdateConcert { concert_id, change: change.clone(), version: Some(1) };
        assert_eq!(service.update_concert(world.promoter(), update).await.unwrap(), before);
        assert_eq!(service.generation.number(), 0);
        let update = UpdateConcert { concert_id, change, version: Some(2) };
        assert_refused!(service.update_concert(world.promoter(), update).await, CatalogError::VersionMismatch);
    }
    assert_eq!(world.summary().await, before);
}

#[tokio::test]
async fn a_sale_opens_in_time_for_the_performances_that_are_to_come_and_within_ten_years() {
    let world = World::new().await;
    let opening = |open_at| ConcertChange {
        sales_open_at: Some(open_at),
        sales_close_at: Some(instant(366 * 86_400)),
        ..ConcertChange::default()
    };
    let starts_at = world.show.starts_at;
    let update = async |change| world.update(world.promoter(), change, None).await;
    assert_refused!(update(opening(starts_at)).await, CatalogError::SalesTime(SalesTimeError::OpensAfterStart));
    update(opening(starts_at - chrono::TimeDelta::seconds(1))).await.unwrap();
    let late = ConcertChange { sales_close_at: Some(instant(400_000_000)), ..ConcertChange::default() };
    assert_refused!(update(late).await, CatalogError::SalesTime(SalesTimeError::ClosesTooFarAhead));
    let sales = SalesWindow::new(instant(0), instant(400_000_000)).unwrap();
    let service = world.catalog_service();
    let published = service.publish_concert(world.promoter(), NewConcert { sales, ..new_concert() }, None);
    assert_refused!(published.await, CatalogError::SalesTime(SalesTimeError::ClosesTooFarAhead));
}

#[tokio::test]
async fn a_change_for_a_version_is_written_at_that_version_alone() {
    let world = World::new().await;
    for version in [0, 2] {
        assert_refused!(world.change(world.promoter(), Some(version)).await, CatalogError::VersionMismatch);
    }
    assert_eq!(world.summary().await.concert.version, 1);
    assert_eq!(world.change(world.promoter(), Some(1)).await.unwrap().concert.version, 2);
}

#[tokio::test]
async fn a_change_that_others_overtake_is_tried_five_times_unless_it_is_for_a_version() {
    // The version that the caller expects, how often another change comes first, and the version that is written.
    for (expected, overtaken, written) in [(Some(3), 1, None), (None, 1, Some(5)), (None, 4, Some(8)), (None, 5, None)]
    {
        let mut world = World::new().await;
        let (summary, version) = (world.summary().await, AtomicU32::new(3));
        world.stage.storage.catalog = mock(|catalog: &mut MockCatalog| {
            catalog.expect_concert().returning(move |_| {
                let mut read = summary.clone();
                read.concert.version = version.fetch_add(1, Ordering::Relaxed);
                Ok(Some(read))
            });
            let overtakes = catalog.expect_update_concert().times(overtaken);
            overtakes.returning(|_, _| Err(UpdateConcertError::VersionMismatch));
            let writes = catalog.expect_update_concert().times(usize::from(written.is_some()));
            writes.withf(|concert, _| concert.max_active == 5).returning(|_, _| Ok(()));
        });
        match world.change(world.promoter(), expected).await {
            Ok(changed) => assert_eq!(Some(changed.concert.version), written),
            refused => {
                assert_refused!(refused, CatalogError::VersionMismatch);
                assert_eq!(written, None);
            }
        }
    }
}

#[tokio::test]
async fn a_concert_is_changed_by_its_promoter_and_an_admin_alone_and_stays_its_promoters() {
    for imported in [false, true] {
        let mut world = World::new().await;
        let promoter_id = (!imported).then_some(world.show.promoter_id);
        world.change_concert(|concert| concert.promoter_id = promoter_id).await;
        // A caller who may not change it does not learn its version either.
        for version in [None, Some(1)] {
            assert_refused!(world.change(other_promoter(), version).await, CatalogError::Forbidden);
        }
        assert_eq!(world.change(admin(), None).await.unwrap().concert.promoter_id, promoter_id);
        assert_eq!(world.summary().await.concert.version, 3);
    }
}

#[tokio::test]
async fn an_unknown_concert_is_not_found_nor_changed_and_a_sale_that_would_close_before_it_opens_is_not_written() {
    let mut world = World::new().await;
    let sales = world.show.concert.sales;
    let backwards = ConcertChange { sales_open_at: Some(sales.close_at()), ..ConcertChange::default() };
    let updated = world.update(world.promoter(), backwards, None).await;
    assert_refused!(updated, CatalogError::SalesWindow(InvalidSalesWindow));
    assert_eq!(world.summary().await.concert, world.show.concert);
    world.show.concert.id = ConcertId::new(Uuid::from_u128(1));
    assert_refused!(world.change(world.promoter(), None).await, CatalogError::ConcertNotFound);
    let found = world.catalog_service().concert(world.show.concert.id).await;
    assert_refused!(found, CatalogError::ConcertNotFound);
}

#[tokio::test]
async fn a_queue_that_did_not_get_its_terms_does_not_undo_the_change_and_gets_them_with_the_next() {
    let mut world = World::new().await;
    let place = world.waiting().await;
    let queues = world.waiting_room.clone();
    world.waiting_room = mock(|room: &mut MockWaitingRoom| {
        room.expect_set_terms().times(1).return_once(|_, _| Err(StorageError::Busy.into()));
    });
    let changed = world.change(world.promoter(), None).await.unwrap();
    assert_eq!(world.summary().await, changed);
    assert!(matches!(world.standing(place).await, Standing::Waiting { .. }));

    world.waiting_room = queues;
    let renamed = ConcertChange { title: Some(name("Another")), ..ConcertChange::default() };
    let updated = world.update(world.promoter(), renamed, None).await.unwrap();
    assert_eq!(updated.concert.title, name("Another"));
    assert!(matches!(world.standing(place).await, Standing::Active { .. }));
}

// Performances

fn prices() -> [(PartName, Points); 2] {
    [(part("B"), points(5)), (part("A"), points(9))]
}

impl World {
    async fn publish(
        &self,
        identity: Identity,
        prices: &[(PartName, Points)],
    ) -> Result<Made<PerformanceSummary>, CatalogError> {
        let new = PublishPerformance {
            concert_id: self.show.concert.id,
            venue_id: self.show.venue.id,
            starts_at: instant(9_000),
            duration_minutes: 60,
            prices: prices.to_vec(),
        };
        let key = under("k", fingerprint::publish_performance(&new));
        self.catalog_service().publish_performance(identity, new, Some(key)).await
    }
}

#[tokio::test]
async fn a_promoter_publishes_a_performance_of_its_own_concert() {
    let world = World::new().await;
    let made = world.publish(world.promoter(), &prices()).await.unwrap();
    let performance = &made.value;
    assert_eq!((performance.concert_id, performance.venue.id), (world.show.concert.id, world.show.venue.id));
    assert_eq!((performance.starts_at, performance.seats_total as usize), (instant(9_000), SHOW_SEATS));
    // The prices are those of their sections, in whatever order they were given.
    let seats = world.stage.storage.catalog.seats(performance.id).await.unwrap().unwrap();
    assert_eq!(seats.seats().next().unwrap().price, points(9));
    assert_eq!(world.publish(world.promoter(), &prices()).await.unwrap(), Made::before(made.value));
    let other = [(part("A"), points(9)), (part("B"), points(6))];
    assert_refused!(world.publish(world.promoter(), &other).await, CatalogError::KeyReused(KeyReused));
}

#[tokio::test]
async fn a_performance_that_is_in_the_past_or_overlaps_is_not_published() {
    let mut world = World::new().await;
    let service = world.catalog_service();
    let venue = service.publish_venue(world.promoter(), NewVenue { overlaps_allowed: false, ..new_venue() }, None);
    world.show.venue = venue.await.unwrap().value;
    let first = world.publish(world.promoter(), &prices()).await.unwrap().value;
    let published = world.publish(world.promoter(), &[(part("A"), points(1)), (part("B"), points(1))]).await;
    assert_refused!(published, CatalogError::KeyReused(KeyReused));
    let new = PublishPerformance {
        concert_id: world.show.concert.id,
        venue_id: world.show.venue.id,
        starts_at: instant(9_000 + 3_599),
        duration_minutes: 60,
        prices: prices().to_vec(),
    };
    let published = service.publish_performance(world.promoter(), new.clone(), None).await;
    assert_refused!(published, CatalogError::Overlaps(other) if other.id == first.id);
    let past = PublishPerformance { starts_at: instant(0), ..new.clone() };
    let published = service.publish_performance(world.promoter(), past, None).await;
    assert_refused!(published, CatalogError::Start(StartError::Past));
    let next = PublishPerformance { starts_at: instant(9_000 + 3_600), ..new };
    service.publish_performance(world.promoter(), next, None).await.unwrap();
}

#[tokio::test]
async fn a_performance_needs_the_promoters_concert_and_a_venue_and_a_price_for_each_section() {
    let mut world = World::new().await;
    let promoter = world.promoter();
    assert_refused!(world.publish(other_promoter(), &prices()).await, CatalogError::Forbidden);
    let published = world.publish(promoter, &prices()[..1]).await;
    assert_refused!(published, CatalogError::Prices(PriceError::SectionMissing(section)) if section == "A");
    world.show.venue.id = VenueId::new(Uuid::from_u128(1));
    assert_refused!(world.publish(promoter, &prices()).await, CatalogError::VenueNotFound);
    world.show.concert.id = ConcertId::new(Uuid::from_u128(1));
    assert_refused!(world.publish(promoter, &prices()).await, CatalogError::ConcertNotFound);
}

// Sales

#[tokio::test]
async fn the_promoter_and_an_admin_alone_see_how_a_performance_sells() {
    let world = World::new().await;
    let place = world.admitted().await;
    let paid = world.held(place, "A-1-1").await;
    world.held(place, "A-1-2").await;
    world.pay(place, &paid, "k").await.unwrap();
    let sales = Sales { available: 48, held: 1, sold: 1, revenue: points(PRICE) };
    let (service, id) = (world.catalog_service(), world.show.performance_id);
    for identity in [world.promoter(), admin()] {
        assert_eq!(service.sales(identity, id).await.unwrap(), sales);
    }
    assert_refused!(service.sales(other_promoter(), id).await, CatalogError::Forbidden);
    let unknown = PerformanceId::new(Uuid::from_u128(1));
    assert_refused!(service.sales(world.promoter(), unknown).await, CatalogError::PerformanceNotFound);
}

// What the admitted see

impl World {
    async fn performances(&self, place: QueuePlace, id: ConcertId) -> Result<Vec<PerformanceSummary>, CatalogError> {
        let service = self.catalog_service();
        let admitted = service.admit_to_concert(place, id).await?;
        Ok(service.performances(admitted, Some(true), PageRequest::first(20)).await?.items)
    }

    /// The performance, and how many seats its map has.
    async fn performance(&self, place: QueuePlace) -> Result<(PerformanceSummary, usize), CatalogError> {
        let service = self.catalog_service();
        let admitted = service.admit_to_performance(place, self.show.performance_id).await?;
        Ok((service.performance(admitted).await?, service.seats(admitted).await?.seats().count()))
    }
}

#[tokio::test]
async fn the_admitted_see_the_performances_and_their_seats() {
    let mut world = World::new().await;
    let place = world.admitted().await;
    let (performance, seats_count) = world.performance(place).await.unwrap();
    assert_eq!((performance.id, seats_count), (world.show.performance_id, SHOW_SEATS));
    assert_eq!(world.performances(place, world.show.concert.id).await.unwrap(), [performance]);

    // Also while only a hold extends the admission.
    world.stage.clock.set(instant(ADMISSION_SECONDS - 1));
    world.held(place, "A-1-1").await;
    world.stage.clock.set(instant(ADMISSION_SECONDS));
    assert!(world.performance(place).await.is_ok());

    // The gate of a concert reads nothing of the storage.
    world.close_storage();
    assert!(world.catalog_service().admit_to_concert(place, world.show.concert.id).await.is_ok());
}

#[tokio::test]
async fn what_belongs_to_another_concert_is_not_behind_this_gate_and_what_does_not_exist_is_not_found() {
    let mut world = World::new().await;
    let elsewhere = world.elsewhere().await;
    world.waiting_room = mock(|_: &mut MockWaitingRoom| {});
    assert_refused!(world.performance(elsewhere).await, CatalogError::Gate(GateError::Invalid));
    let listed = world.performances(elsewhere, world.show.concert.id).await;
    assert_refused!(listed, CatalogError::Gate(GateError::Invalid));
    let listed = world.performances(elsewhere, ConcertId::new(Uuid::from_u128(1))).await;
    assert_refused!(listed, CatalogError::ConcertNotFound);
    world.show.performance_id = PerformanceId::new(Uuid::from_u128(1));
    assert_refused!(world.performance(elsewhere).await, CatalogError::PerformanceNotFound);
}

#[tokio::test]
async fn a_performance_that_vanishes_behind_the_gate_is_not_found() {
    let mut world = World::new().await;
    let (place, concert) = (world.admitted().await, world.summary().await);
    let concert_id = concert.concert.id;
    world.stage.storage.catalog = mock(|catalog: &mut MockCatalog| {
        catalog.expect_concert().returning(move |_| Ok(Some(concert.clone())));
        catalog.expect_concert_of().returning(move |_| Ok(Some(concert_id)));
        catalog.expect_performance().returning(|_| Ok(None));
        catalog.expect_seats().returning(|_| Ok(None));
        catalog.expect_sales().returning(|_| Ok(None));
    });
    let (service, id) = (world.catalog_service(), world.show.performance_id);
    let admitted = service.admit_to_performance(place, id).await.unwrap();
    assert_refused!(service.performance(admitted).await, CatalogError::PerformanceNotFound);
    assert_refused!(service.seats(admitted).await, CatalogError::PerformanceNotFound);
    assert_refused!(service.sales(world.promoter(), id).await, CatalogError::PerformanceNotFound);
}
