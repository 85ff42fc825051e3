use boxoffice_application::{
    Identity,
    catalog::{CatalogError, NewConcert, NewVenue},
    waiting_room::GateError,
};
use boxoffice_domain::{
    ConcertId, PerformanceId, Points, StorageError, VenueId,
    accounts::Role,
    catalog::{
        Concert, ConcertChange, ConcertSummary, DrawError, InvalidSalesWindow, NewPerformance, PartName,
        PerformanceKey, PerformanceSummary, PriceError, PriceList, PublishError, Row, Sales, SalesWindow, SeatMap,
        SeatingPlan, Section, UpdateConcertError, Venue, VenueSummary,
    },
    fixtures::instant,
    idempotency::{KeyReused, Made},
    page::{Page, PageRequest},
    waiting_room::Standing,
};
use mockall::{
    Sequence,
    predicate::{always, eq},
};

use crate::support::{
    ACCOUNT, CONCERT, DRAW, NEW_ID, OTHER_CONCERT, PERFORMANCE, STRANGER, VENUE, World, active, asked, assert_refused,
    concert, customer, drawn_concert, identity, name, other_promoter, place, points, promoter, summary, waiting,
};

fn admin() -> Identity {
    Identity { account_id: STRANGER, ..identity(Role::Admin) }
}

fn part(text: &str) -> PartName {
    PartName::new(text).unwrap()
}

fn plan() -> SeatingPlan {
    let section = |name: &str, seats| Section { name: part(name), rows: vec![Row { name: part("1"), seats }] };
    SeatingPlan::new(vec![section("A", 2), section("B", 1)]).unwrap()
}

fn venue(id: VenueId) -> Venue {
    Venue { id, name: name("Rolling Hall"), location: name("Seoul"), plan: plan(), created_at: instant(0) }
}

fn performance() -> PerformanceSummary {
    PerformanceSummary {
        id: PERFORMANCE,
        concert_id: CONCERT,
        venue: VenueSummary { id: VENUE, name: name("Rolling Hall"), location: name("Seoul") },
        starts_at: instant(9_000),
        seats_total: 3,
        seats_available: 3,
        price_min: points(5),
        price_max: points(9),
    }
}

// Venues

fn new_venue() -> NewVenue {
    NewVenue { name: name("Rolling Hall"), location: name("Seoul"), plan: plan() }
}

#[tokio::test]
async fn a_promoter_publishes_a_venue() {
    let (mut world, venue) = (World::new(), venue(VenueId::new(NEW_ID)));
    world.makes_an_id();
    let made = Made::now(venue.clone());
    let expected = world.catalog.expect_publish_venue().with(eq(ACCOUNT), eq(venue.clone()), eq(None));
    expected.times(1).return_once(|_, _, _| Ok(made));
    let published = world.catalog_service().publish_venue(promoter(), new_venue(), None).await.unwrap();
    assert_eq!(published, Made::now(venue));
}

#[tokio::test]
async fn a_repeated_request_gets_the_venue_that_the_first_one_made() {
    let mut world = World::new();
    world.makes_an_id();
    let idempotency = Some(asked("k", "venue"));
    let expected = world.catalog.expect_publish_venue().with(eq(ACCOUNT), always(), eq(idempotency.clone()));
    expected.times(1).return_once(|_, _, _| Ok(Made::before(venue(VENUE))));
    let published = world.catalog_service().publish_venue(promoter(), new_venue(), idempotency).await.unwrap();
    assert_eq!(published, Made::before(venue(VENUE)));
}

#[tokio::test]
async fn a_customer_publishes_no_venue() {
    let published = World::new().catalog_service().publish_venue(customer(), new_venue(), None).await;
    assert_refused!(published, CatalogError::Forbidden);
}

#[tokio::test]
async fn a_venue_that_is_not_published_tells_why() {
    let mut world = World::new();
    world.makes_an_id();
    world.catalog.expect_publish_venue().times(1).return_once(|_, _, _| Err(KeyReused.into()));
    let published = world.catalog_service().publish_venue(promoter(), new_venue(), Some(asked("k", "venue"))).await;
    assert_refused!(published, CatalogError::KeyReused(KeyReused));

    let mut world = World::new();
    world.makes_an_id();
    world.catalog.expect_publish_venue().times(1).return_once(|_, _, _| Err(StorageError::Busy.into()));
    let published = world.catalog_service().publish_venue(promoter(), new_venue(), None).await;
    assert_refused!(published, CatalogError::Storage(StorageError::Busy));
}

// Concerts

fn new_concert() -> NewConcert {
    let Concert { title, artist, description, sales, max_seats_per_account, max_active, .. } = concert();
    NewConcert { title, artist, description, sales, max_seats_per_account, max_active, draw: false }
}

/// What is stored of [`new_concert`].
fn published_concert() -> Concert {
    Concert { id: ConcertId::new(NEW_ID), version: 1, created_at: instant(0), ..concert() }
}

#[tokio::test]
async fn a_promoter_publishes_a_concert_that_is_its_own_and_at_version_1() {
    let mut world = World::new();
    world.makes_an_id();
    let expected = world.catalog.expect_publish_concert().with(eq(published_concert()), eq(None));
    expected.times(1).return_once(|_, _| Ok(Made::now(published_concert())));
    let published = world.catalog_service().publish_concert(promoter(), new_concert(), None).await.unwrap();
    assert_eq!(published, Made::now(published_concert()));
}

#[tokio::test]
async fn a_concert_with_a_draw_gets_a_secret_seed() {
    let mut world = World::new();
    world.makes_an_id();
    world.entropy.expect_secret().times(1).return_const(*DRAW.seed());
    let drawn = Concert { draw: Some(DRAW), ..published_concert() };
    world.catalog.expect_publish_concert().with(eq(drawn.clone()), eq(None)).times(1).return_once({
        let drawn = drawn.clone();
        |_, _| Ok(Made::now(drawn))
    });
    let new = NewConcert { draw: true, ..new_concert() };
    let published = world.catalog_service().publish_concert(promoter(), new, None).await.unwrap();
    assert_eq!(published.value, drawn);
    assert!(format!("{published:?}").contains("Draw(…)"), "the seed is no part of what is logged");
}

#[tokio::test]
async fn a_customer_publishes_no_concert() {
    let published = World::new().catalog_service().publish_concert(customer(), new_concert(), None).await;
    assert_refused!(published, CatalogError::Forbidden);
}

#[tokio::test]
async fn a_concert_that_is_not_published_tells_why() {
    let mut world = World::new();
    world.makes_an_id();
    world.catalog.expect_publish_concert().times(1).return_once(|_, _| Err(KeyReused.into()));
    let published =
        world.catalog_service().publish_concert(promoter(), new_concert(), Some(asked("k", "concert"))).await;
    assert_refused!(published, CatalogError::KeyReused(KeyReused));
}

// Changing a concert

fn change() -> ConcertChange {
    ConcertChange { max_active: Some(5), ..ConcertChange::default() }
}

/// [`concert`] as it is after [`change`].
fn changed() -> Concert {
    Concert { max_active: 5, version: 4, ..concert() }
}

impl World {
    fn concert_is_written(&mut self) {
        self.catalog.expect_update_concert().with(eq(changed())).times(1).return_once(|_| Ok(()));
    }

    fn room_is_told(&mut self) {
        self.waiting_room_gets_terms_of(&changed());
    }

    async fn change(self, identity: Identity, version: Option<u32>) -> Result<ConcertSummary, CatalogError> {
        self.catalog_service().update_concert(identity, CONCERT, change(), version).await
    }
}

#[tokio::test]
async fn a_change_is_written_as_the_next_version_and_then_the_room_hears_of_it() {
    let (mut world, mut order) = (World::new(), Sequence::new());
    world.concert_is_read(1, Some(concert()));
    let writes = world.catalog.expect_update_concert().with(eq(changed()));
    writes.times(1).in_sequence(&mut order).return_once(|_| Ok(()));
    let tells = world.waiting_room.expect_set_terms().with(eq(CONCERT), eq(changed().queue_terms()));
    tells.times(1).in_sequence(&mut order).return_once(|_, _| Ok(()));
    assert_eq!(world.change(promoter(), None).await.unwrap(), summary(changed()));
}

#[tokio::test]
async fn a_change_for_the_version_that_is_stored_is_written() {
    let mut world = World::new();
    world.concert_is_read(1, Some(concert()));
    world.concert_is_written();
    world.room_is_told();
    assert_eq!(world.change(promoter(), Some(3)).await.unwrap().concert.version, 4);
}

#[tokio::test]
async fn a_change_for_another_version_is_not_written() {
    for version in [2, 4] {
        let mut world = World::new();
        world.concert_is_read(1, Some(concert()));
        assert_refused!(world.change(promoter(), Some(version)).await, CatalogError::VersionMismatch);
    }
}

#[tokio::test]
async fn a_change_for_a_version_that_is_overtaken_while_it_is_written_is_given_up() {
    let (mut world, mut order) = (World::new(), Sequence::new());
    for version in [3, 4] {
        let read = summary(Concert { version, ..concert() });
        let reads = world.catalog.expect_concert().times(1).in_sequence(&mut order);
        reads.return_once(move |_| Ok(Some(read)));
    }
    world.catalog.expect_update_concert().times(1).return_once(|_| Err(UpdateConcertError::VersionMismatch));
    assert_refused!(world.change(promoter(), Some(3)).await, CatalogError::VersionMismatch);
}

#[tokio::test]
async fn a_change_for_any_version_is_tried_again_on_what_overtook_it() {
    let (mut world, mut order) = (World::new(), Sequence::new());
    let overtaking = Concert { title: name("Night of More Songs"), version: 4, ..concert() };
    for read in [concert(), overtaking.clone()] {
        let read = summary(read);
        let reads = world.catalog.expect_concert().times(1).in_sequence(&mut order);
        reads.return_once(move |_| Ok(Some(read)));
    }
    let both = Concert { max_active: 5, version: 5, ..overtaking };
    let overtaken = world.catalog.expect_update_concert().with(eq(changed())).times(1);
    overtaken.return_once(|_| Err(UpdateConcertError::VersionMismatch));
    world.catalog.expect_update_concert().with(eq(both.clone())).times(1).return_once(|_| Ok(()));
    world.waiting_room_gets_terms_of(&both);
    assert_eq!(world.change(promoter(), None).await.unwrap(), summary(both));
}

#[tokio::test]
async fn a_change_that_is_overtaken_again_and_again_is_given_up_after_five_attempts() {
    let mut world = World::new();
    world.concert_is_read(5, Some(concert()));
    world.catalog.expect_update_concert().times(5).returning(|_| Err(UpdateConcertError::VersionMismatch));
    assert_refused!(world.change(promoter(), None).await, CatalogError::VersionMismatch);
}

#[tokio::test]
async fn a_customer_changes_nothing_and_nothing_is_read() {
    assert_refused!(World::new().change(customer(), None).await, CatalogError::Forbidden);
}

#[tokio::test]
async fn a_promoter_changes_no_concert_of_another_or_of_the_house() {
    for promoter_id in [Some(ACCOUNT), None] {
        let mut world = World::new();
        world.concert_is_read(1, Some(Concert { promoter_id, ..concert() }));
        assert_refused!(world.change(other_promoter(), None).await, CatalogError::Forbidden);
    }
}

#[tokio::test]
async fn whoever_may_not_change_a_concert_does_not_learn_its_version() {
    let mut world = World::new();
    world.concert_is_read(1, Some(concert()));
    assert_refused!(world.change(other_promoter(), Some(1)).await, CatalogError::Forbidden);
}

#[tokio::test]
async fn an_admin_changes_every_concert_and_it_stays_its_promoters() {
    for promoter_id in [Some(ACCOUNT), None] {
        let mut world = World::new();
        world.concert_is_read(1, Some(Concert { promoter_id, ..concert() }));
        world.catalog.expect_update_concert().times(1).return_once(|_| Ok(()));
        world.room_is_told();
        assert_eq!(world.change(admin(), None).await.unwrap().concert.promoter_id, promoter_id);
    }
}

#[tokio::test]
async fn a_concert_that_does_not_exist_is_not_changed() {
    let mut world = World::new();
    world.concert_is_read(1, None);
    assert_refused!(world.change(promoter(), None).await, CatalogError::ConcertNotFound);
}

#[tokio::test]
async fn a_sale_that_would_close_before_it_opens_is_not_written() {
    let mut world = World::new();
    world.concert_is_read(1, Some(concert()));
    let backwards = ConcertChange { sales_open_at: Some(instant(100)), ..ConcertChange::default() };
    let updated = world.catalog_service().update_concert(promoter(), CONCERT, backwards, None).await;
    assert_refused!(updated, CatalogError::SalesWindow(InvalidSalesWindow));
}

#[tokio::test]
async fn the_room_hears_nothing_of_a_change_that_could_not_be_written() {
    let mut world = World::new();
    world.concert_is_read(1, Some(concert()));
    world.catalog.expect_update_concert().times(1).return_once(|_| Err(StorageError::Busy.into()));
    assert_refused!(world.change(promoter(), None).await, CatalogError::Storage(StorageError::Busy));
}

#[tokio::test]
async fn a_room_that_could_not_be_told_does_not_undo_the_change() {
    let mut world = World::new();
    world.concert_is_read(1, Some(concert()));
    world.concert_is_written();
    world.waiting_room.expect_set_terms().times(1).return_once(|_, _| Err(StorageError::Busy.into()));
    assert_eq!(world.change(promoter(), None).await.unwrap(), summary(changed()));
}

#[tokio::test]
async fn the_room_is_told_the_limit_also_where_something_else_has_changed() {
    // It may have missed the last one.
    let mut world = World::new();
    world.concert_is_read(1, Some(concert()));
    world.catalog.expect_update_concert().times(1).return_once(|_| Ok(()));
    world.waiting_room_gets_terms_of(&Concert { version: 4, ..concert() });
    let renamed = ConcertChange { title: Some(name("Another")), ..ConcertChange::default() };
    let updated = world.catalog_service().update_concert(promoter(), CONCERT, renamed, None).await.unwrap();
    assert_eq!(updated.concert.title, name("Another"));
}

#[tokio::test]
async fn a_draw_that_has_been_held_is_not_moved() {
    let moved = ConcertChange { sales_open_at: Some(instant(80)), ..ConcertChange::default() };
    let mut world = World::at(instant(50));
    world.concert_is_read(1, Some(drawn_concert()));
    let updated = world.catalog_service().update_concert(promoter(), CONCERT, moved.clone(), None).await;
    assert_refused!(updated, CatalogError::Draw(DrawError::Held));

    let mut world = World::at(instant(49));
    world.concert_is_read(1, Some(drawn_concert()));
    world.catalog.expect_update_concert().times(1).return_once(|_| Ok(()));
    world.waiting_room_gets_terms_of(&Concert {
        sales: SalesWindow::new(instant(80), instant(100)).unwrap(),
        version: 4,
        ..drawn_concert()
    });
    world.catalog_service().update_concert(promoter(), CONCERT, moved, None).await.unwrap();
}

// Performances

fn prices() -> [(PartName, Points); 2] {
    [(part("B"), points(5)), (part("A"), points(9))]
}

impl World {
    fn venue_is_read(&mut self, found: Option<Venue>) {
        self.catalog.expect_venue().with(eq(VENUE)).times(1).return_once(|_| Ok(found));
    }

    async fn publish(
        self,
        identity: Identity,
        prices: &[(PartName, Points)],
    ) -> Result<Made<PerformanceSummary>, CatalogError> {
        let (service, starts_at) = (self.catalog_service(), instant(9_000));
        service.publish_performance(identity, CONCERT, VENUE, starts_at, prices, Some(asked("k", "performance"))).await
    }
}

#[tokio::test]
async fn a_promoter_publishes_a_performance_of_its_own_concert() {
    let mut world = World::new();
    world.concert_is_read(1, Some(concert()));
    world.venue_is_read(Some(venue(VENUE)));
    world.makes_an_id();
    let new = NewPerformance {
        id: PerformanceId::new(NEW_ID),
        concert_id: CONCERT,
        venue: venue(VENUE),
        starts_at: instant(9_000),
        prices: PriceList::new(&plan(), &prices()).unwrap(),
        created_at: instant(0),
    };
    // The prices are in the order of the plan, in whatever order they were given.
    let idempotency = Some(asked("k", "performance"));
    let expected = world.catalog.expect_publish_performance().with(eq(ACCOUNT), eq(new), eq(idempotency));
    expected.times(1).return_once(|_, _, _| Ok(Made::now(performance())));
    assert_eq!(world.publish(promoter(), &prices()).await.unwrap(), Made::now(performance()));
}

#[tokio::test]
async fn a_customer_publishes_no_performance_and_nothing_is_read() {
    assert_refused!(World::new().publish(customer(), &prices()).await, CatalogError::Forbidden);
}

#[tokio::test]
async fn a_promoter_publishes_no_performance_of_anothers_concert() {
    let mut world = World::new();
    world.concert_is_read(1, Some(concert()));
    assert_refused!(world.publish(other_promoter(), &prices()).await, CatalogError::Forbidden);
}

#[tokio::test]
async fn a_performance_needs_its_concert() {
    let mut world = World::new();
    world.concert_is_read(1, None);
    assert_refused!(world.publish(promoter(), &prices()).await, CatalogError::ConcertNotFound);
}

#[tokio::test]
async fn a_performance_needs_its_venue() {
    let mut world = World::new();
    world.concert_is_read(1, Some(concert()));
    world.venue_is_read(None);
    assert_refused!(world.publish(promoter(), &prices()).await, CatalogError::VenueNotFound);
}

#[tokio::test]
async fn a_performance_needs_a_price_for_each_section() {
    let mut world = World::new();
    world.concert_is_read(1, Some(concert()));
    world.venue_is_read(Some(venue(VENUE)));
    let published = world.publish(promoter(), &prices()[..1]).await;
    assert_refused!(published, CatalogError::Prices(PriceError::SectionMissing(section)) if section == "A");
}

#[tokio::test]
async fn a_performance_that_is_not_published_tells_why() {
    let world = |error: PublishError| {
        let mut world = World::new();
        world.concert_is_read(1, Some(concert()));
        world.venue_is_read(Some(venue(VENUE)));
        world.makes_an_id();
        world.catalog.expect_publish_performance().times(1).return_once(|_, _, _| Err(error));
        world
    };
    let published = world(KeyReused.into()).publish(promoter(), &prices()).await;
    assert_refused!(published, CatalogError::KeyReused(KeyReused));
    let published = world(PublishError::ConcertNotFound).publish(promoter(), &prices()).await;
    assert_refused!(published, CatalogError::ConcertNotFound);
    let published = world(StorageError::Busy.into()).publish(promoter(), &prices()).await;
    assert_refused!(published, CatalogError::Storage(StorageError::Busy));
}

// Sales

const SALES: Sales = Sales { available: 1, held: 1, sold: 1, revenue: Points::ZERO };

impl World {
    fn sales_are_read(&mut self, found: Option<Sales>) {
        self.catalog.expect_sales().with(eq(PERFORMANCE)).times(1).return_once(move |_| Ok(found));
    }
}

#[tokio::test]
async fn the_promoter_and_an_admin_see_how_a_performance_sells() {
    for identity in [promoter(), admin()] {
        let mut world = World::new();
        world.performance_is_of(Some(CONCERT));
        world.concert_is_read(1, Some(concert()));
        world.sales_are_read(Some(SALES));
        assert_eq!(world.catalog_service().sales(identity, PERFORMANCE).await.unwrap(), SALES);
    }
}

#[tokio::test]
async fn a_customer_sees_no_sales_and_nothing_is_read() {
    let sales = World::new().catalog_service().sales(customer(), PERFORMANCE).await;
    assert_refused!(sales, CatalogError::Forbidden);
}

#[tokio::test]
async fn another_promoter_sees_no_sales() {
    let mut world = World::new();
    world.performance_is_of(Some(CONCERT));
    world.concert_is_read(1, Some(concert()));
    assert_refused!(world.catalog_service().sales(other_promoter(), PERFORMANCE).await, CatalogError::Forbidden);
}

#[tokio::test]
async fn a_performance_that_does_not_exist_has_no_sales() {
    let mut world = World::new();
    world.performance_is_of(None);
    assert_refused!(world.catalog_service().sales(promoter(), PERFORMANCE).await, CatalogError::PerformanceNotFound);

    let mut world = World::new();
    world.performance_is_of(Some(CONCERT));
    world.concert_is_read(1, Some(concert()));
    world.sales_are_read(None);
    assert_refused!(world.catalog_service().sales(promoter(), PERFORMANCE).await, CatalogError::PerformanceNotFound);
}

// What everybody sees

#[tokio::test]
async fn bookable_concerts_are_those_bookable_now() {
    for (bookable_only, bookable_at) in [(true, Some(instant(0))), (false, None)] {
        let mut world = World::new();
        let (request, page) = (PageRequest::first(20), Page { items: vec![summary(concert())], next: Some(CONCERT) });
        let answer = page.clone();
        let lists = world.catalog.expect_concerts().with(eq(bookable_at), eq(request.clone()));
        lists.times(1).return_once(|_, _| Ok(answer));
        assert_eq!(world.catalog_service().concerts(bookable_only, request).await.unwrap(), page);
    }
}

#[tokio::test]
async fn a_concert_is_found_or_not() {
    let mut world = World::new();
    world.concert_is_read(1, Some(concert()));
    assert_eq!(world.catalog_service().concert(CONCERT).await.unwrap(), summary(concert()));

    let mut world = World::new();
    world.concert_is_read(1, None);
    assert_refused!(world.catalog_service().concert(CONCERT).await, CatalogError::ConcertNotFound);

    let mut world = World::new();
    world.catalog.expect_concert().times(1).return_once(|_| Err(StorageError::Busy));
    assert_refused!(world.catalog_service().concert(CONCERT).await, CatalogError::Storage(StorageError::Busy));
}

// What the admitted see

type Performances = Page<PerformanceSummary, PerformanceKey>;

impl World {
    async fn performances(self, concert_id: ConcertId) -> Result<Performances, CatalogError> {
        let service = self.catalog_service();
        let admitted = service.admit_to_concert(place(), concert_id).await?;
        service.performances(admitted, true, PageRequest::first(20)).await
    }

    async fn performance(self) -> Result<PerformanceSummary, CatalogError> {
        let service = self.catalog_service();
        let admitted = service.admit_to_performance(place(), PERFORMANCE).await?;
        service.performance(admitted).await
    }

    async fn seats(self) -> Result<SeatMap, CatalogError> {
        let service = self.catalog_service();
        let admitted = service.admit_to_performance(place(), PERFORMANCE).await?;
        service.seats(admitted).await
    }

    /// The performance is of the place's concert, and the place stands so.
    fn gate_before_performance(&mut self, standing: Standing) {
        self.performance_is_of(Some(CONCERT));
        self.ticket_stands(standing);
    }
}

fn seat_map() -> SeatMap {
    SeatMap::at(instant(0), PERFORMANCE, std::sync::Arc::default(), [].into(), &[])
}

#[tokio::test]
async fn the_admitted_see_the_performances() {
    let mut world = World::new();
    world.ticket_stands(active());
    let page = Page { items: vec![performance()], next: None };
    let answer = page.clone();
    let lists = world.catalog.expect_performances().with(eq(CONCERT), eq(true), eq(PageRequest::first(20)));
    lists.times(1).return_once(|_, _, _| Ok(answer));
    assert_eq!(world.performances(CONCERT).await.unwrap(), page);
}

#[tokio::test]
async fn whoever_is_not_admitted_sees_no_performances() {
    let mut world = World::new();
    world.ticket_stands(waiting());
    assert_refused!(world.performances(CONCERT).await, CatalogError::Gate(GateError::NotActive { position: Some(9) }));

    let mut world = World::new();
    world.ticket_stands(Standing::Expired);
    assert_refused!(world.performances(CONCERT).await, CatalogError::Gate(GateError::Expired));
}

#[tokio::test]
async fn the_performances_of_another_concert_are_not_behind_this_gate_and_those_of_none_do_not_exist() {
    for exists in [true, false] {
        let mut world = World::new();
        let found = exists.then(|| summary(Concert { id: OTHER_CONCERT, ..concert() }));
        world.catalog.expect_concert().with(eq(OTHER_CONCERT)).times(1).return_once(|_| Ok(found));
        let listed = world.performances(OTHER_CONCERT).await;
        if exists {
            assert_refused!(listed, CatalogError::Gate(GateError::Invalid));
        } else {
            assert_refused!(listed, CatalogError::ConcertNotFound);
        }
    }
}

#[tokio::test]
async fn the_admitted_see_a_performance_and_its_seats() {
    let mut world = World::new();
    world.gate_before_performance(active());
    world.catalog.expect_performance().with(eq(PERFORMANCE)).times(1).return_once(|_| Ok(Some(performance())));
    assert_eq!(world.performance().await.unwrap(), performance());

    let map = seat_map();
    let answer = map.clone();
    let mut world = World::new();
    world.gate_before_performance(active());
    world.catalog.expect_seats().with(eq(PERFORMANCE)).times(1).return_once(|_| Ok(Some(answer)));
    assert_eq!(world.seats().await.unwrap(), map);
}

#[tokio::test]
async fn seats_are_seen_also_while_only_a_hold_extends_the_admission() {
    let map = seat_map();
    let mut world = World::at(instant(700));
    world.gate_before_performance(Standing::Active { admitted_until: instant(600), active_until: instant(800) });
    world.catalog.expect_seats().times(1).return_once(|_| Ok(Some(map)));
    assert!(world.seats().await.is_ok());
}

#[tokio::test]
async fn whoever_is_not_admitted_sees_neither_a_performance_nor_its_seats() {
    for standing in [waiting(), Standing::Expired] {
        let mut world = World::new();
        world.gate_before_performance(standing);
        assert_refused!(world.performance().await, CatalogError::Gate(_));

        let mut world = World::new();
        world.gate_before_performance(standing);
        assert_refused!(world.seats().await, CatalogError::Gate(_));
    }
}

#[tokio::test]
async fn the_token_of_another_concert_shows_neither_a_performance_nor_its_seats() {
    let mut world = World::new();
    world.performance_is_of(Some(OTHER_CONCERT));
    assert_refused!(world.performance().await, CatalogError::Gate(GateError::Invalid));

    let mut world = World::new();
    world.performance_is_of(Some(OTHER_CONCERT));
    assert_refused!(world.seats().await, CatalogError::Gate(GateError::Invalid));
}

#[tokio::test]
async fn a_performance_that_does_not_exist_is_told_before_the_room_is_asked() {
    let mut world = World::new();
    world.performance_is_of(None);
    assert_refused!(world.performance().await, CatalogError::PerformanceNotFound);

    let mut world = World::new();
    world.performance_is_of(None);
    assert_refused!(world.seats().await, CatalogError::PerformanceNotFound);
}

#[tokio::test]
async fn a_performance_that_vanishes_behind_the_gate_is_not_found() {
    let mut world = World::new();
    world.gate_before_performance(active());
    world.catalog.expect_performance().times(1).return_once(|_| Ok(None));
    assert_refused!(world.performance().await, CatalogError::PerformanceNotFound);

    let mut world = World::new();
    world.gate_before_performance(active());
    world.catalog.expect_seats().times(1).return_once(|_| Ok(None));
    assert_refused!(world.seats().await, CatalogError::PerformanceNotFound);
}
