//! Queues that follow their sales.

use boxoffice_application::{
    WaitingRoomService,
    waiting_room::{GateError, JoinError, Purpose},
};
use boxoffice_domain::{
    AccountId, ConcertId, StorageError,
    accounts::Role,
    catalog::{Availability, Concert, ConcertSearch, ConcertSummary, MockCatalog, SalesWindow, SearchWords, Stock},
    page::{Page, PageRequest},
    reservations::Reservation,
    waiting_room::{MockWaitingRoom, QueuePlace, QueueReason, QueueStatus, Recall, SaleEnd, Standing, WaitingRoom},
};
use chrono::TimeDelta;
use uuid::Uuid;

use crate::support::{World, assert_refused, identity, mock};

impl World {
    /// One is admitted at a time, and an account may have all seats.
    async fn small(admitted: u32) -> Self {
        let mut world = Self::new().await;
        world.change_concert(|concert| (concert.max_active, concert.max_seats_per_account) = (admitted, 100)).await;
        world
    }

    /// Another account holds all seats.
    async fn all_held(&self) -> Reservation {
        let rich = self.stage.account_with(100_000).await;
        let request = self.show.hold_request_for(rich, self.show.labels());
        self.stage.hold(request).await.unwrap().value.reservation
    }

    async fn try_to_join(&self, account_id: AccountId) -> Result<bool, JoinError> {
        let identity = identity(account_id, Role::Customer);
        Ok(self.waiting_room_service().join(identity, self.show.concert.id, None).await?.1)
    }

    /// What buyers are shown of the concert.
    async fn availability(&self) -> (Availability, usize) {
        let service = self.catalog_service();
        let summary = service.concert(self.show.concert.id).await.unwrap();
        let search = ConcertSearch { bookable: Some(true), ..ConcertSearch::default() };
        let listed = service.concerts(&search, PageRequest::first(5)).await.unwrap().items.len();
        (service.view(summary).await.unwrap().availability, listed)
    }
}

/// The status of a place, a moment after it was asked for.
async fn followed(service: &WaitingRoomService, world: &World, place: QueuePlace) -> QueueStatus {
    service.status(place).await.unwrap();
    world.stage.clock.advance_seconds(1);
    service.follow_sales().await.unwrap();
    service.status(place).await.unwrap().status
}

#[tokio::test]
async fn a_queue_waits_while_all_is_held_and_ends_when_all_is_sold_until_a_seat_comes_back() {
    let world = World::small(1).await;
    let (admitted, waiting) = (world.admitted().await, world.join(world.stage.account().await).await);
    let service = world.waiting_room_service();
    assert_eq!(followed(&service, &world, waiting).await.reason, None);
    assert_eq!(world.availability().await, (Availability::Available, 1));

    let held = world.all_held().await;
    world.queues.leave(&admitted).await.unwrap();
    let again = world.join(world.buyer).await;
    assert_eq!(followed(&service, &world, again).await.reason, Some(QueueReason::AllHeld));
    assert_eq!(world.availability().await, (Availability::Held, 1));

    world.stage.pays(&held).await;
    let sold_out =
        QueueStatus { place: again, standing: Standing::Expired, reason: Some(QueueReason::Ended(SaleEnd::SoldOut)) };
    assert_eq!(followed(&service, &world, again).await, sold_out);
    assert_refused!(service.admit(again, again.concert_id, Purpose::Continue).await, GateError::Expired);
    assert_refused!(world.try_to_join(world.buyer).await, JoinError::Ended(SaleEnd::SoldOut));
    assert_eq!(world.availability().await, (Availability::SoldOut, 0));

    world.stage.cancels(&held).await;
    assert!(world.try_to_join(world.buyer).await.unwrap());
    assert_eq!(world.availability().await, (Availability::Available, 1));
}

#[tokio::test]
async fn a_queue_waits_when_the_opening_is_moved_away_and_goes_on_as_the_sale_opens() {
    let mut world = World::small(1).await;
    let (admitted, waiting) = (world.admitted().await, world.join(world.stage.account().await).await);
    let service = world.waiting_room_service();
    assert_eq!(followed(&service, &world, waiting).await.reason, None);

    let opens_at = world.stage.now() + TimeDelta::hours(1);
    let sales = SalesWindow::new(opens_at, opens_at + TimeDelta::hours(1)).unwrap();
    world.change_concert(|concert| concert.sales = sales).await;
    let service = world.waiting_room_service();
    assert_eq!(followed(&service, &world, waiting).await.reason, Some(QueueReason::NotOpen));
    world.queues.leave(&admitted).await.unwrap();
    assert!(matches!(world.standing(waiting).await, Standing::Waiting { position: Some(1), .. }));
    assert_refused!(service.admit(waiting, waiting.concert_id, Purpose::Look).await, GateError::NotActive { .. });

    world.stage.clock.set(opens_at);
    let status = followed(&service, &world, waiting).await;
    assert!(matches!(status.standing, Standing::Active { .. }), "{status:?}");
}

#[tokio::test]
async fn when_a_hold_lapses_the_next_is_admitted() {
    let world = World::small(1).await;
    let admitted = world.admitted().await;
    let waiting = world.join(world.stage.account().await).await;
    let held = world.all_held().await;
    let service = world.waiting_room_service();
    assert_eq!(followed(&service, &world, waiting).await.reason, Some(QueueReason::AllHeld));
    world.queues.leave(&admitted).await.unwrap();
    assert!(matches!(world.standing(waiting).await, Standing::Waiting { position: Some(1), .. }));
    world.stage.clock.set(held.held_until);
    assert!(matches!(followed(&service, &world, waiting).await.standing, Standing::Active { .. }));
}

#[tokio::test]
async fn a_queue_ends_with_its_sale_and_with_the_start_of_its_last_performance_and_held_seats_are_paid_all_the_same() {
    let world = World::small(1).await;
    let (sales, starts_at) = (world.show.concert.sales, world.show.starts_at);
    for (closes_at, end) in [(sales.close_at(), SaleEnd::Closed), (starts_at + TimeDelta::days(1), SaleEnd::Started)] {
        let mut world = World::small(1).await;
        let sales = SalesWindow::new(sales.open_at(), closes_at).unwrap();
        world.change_concert(|concert| concert.sales = sales).await;
        let ends_at = closes_at.min(starts_at);
        world.stage.clock.set(ends_at - TimeDelta::seconds(100));
        let (buyer, waiting) = (world.admitted().await, world.join(world.stage.account().await).await);
        let held = world.held(buyer, "A-1-1").await;
        world.stage.clock.set(ends_at);
        let ended = world.waiting_room_service().status(waiting).await.unwrap().status;
        assert_eq!((ended.standing, ended.reason), (Standing::Expired, Some(QueueReason::Ended(end))));
        match (world.try_to_join(world.stage.account().await).await, end) {
            (Err(JoinError::NotOnSale(_)), SaleEnd::Closed) => {}
            (Err(JoinError::Ended(found)), end) => assert_eq!(found, end),
            (other, _) => panic!("{other:?}"),
        }
        assert_eq!(world.availability().await, (Availability::Closed, 0));
        if end == SaleEnd::Closed {
            world.pay(buyer, &held, "k").await.unwrap();
        }
        let left = world.waiting_room_service().status(buyer).await.unwrap().status;
        let expected = if end == SaleEnd::Closed { Standing::Expired } else { world.standing(buyer).await };
        assert_eq!(left.standing, expected);
    }
}

#[tokio::test]
async fn a_concert_without_a_performance_is_not_joined() {
    let mut world = World::new().await;
    let concert = world.stage.show().await.concert;
    let summary = ConcertSummary::new(concert.clone(), &[]);
    let shown = summary.clone();
    world.stage.storage.catalog = mock(|catalog: &mut MockCatalog| {
        catalog.expect_concert().returning(move |_| Ok(Some(summary.clone())));
    });
    assert_refused!(world.try_to_join(world.buyer).await, JoinError::NoPerformance);
    assert_eq!(world.catalog_service().view(shown).await.unwrap().availability, Availability::NotYet);
}

#[tokio::test]
async fn a_sale_that_cannot_be_read_keeps_no_other_from_being_followed() {
    let mut world = World::small(1).await;
    let (here, elsewhere) = (world.admitted().await, world.elsewhere().await);
    let summary = world.catalog_service().concert(here.concert_id).await.unwrap();
    let failing = elsewhere.concert_id;
    world.stage.storage.catalog = mock(|catalog: &mut MockCatalog| {
        catalog
            .expect_concert()
            .returning(move |id| if id == failing { Err(StorageError::Busy) } else { Ok(Some(summary.clone())) });
        catalog.expect_stocks().times(1).returning(|_, _| Ok([].into()));
    });
    world.waiting_room = mock(|room: &mut MockWaitingRoom| {
        let place = here;
        room.expect_status().returning(move |_, _| Ok(Recall::Forgotten));
        room.expect_restore().returning(move |_| Ok(QueueStatus { place, standing: Standing::Expired, reason: None }));
        room.expect_set_terms().times(1).withf(move |id, _| *id == here.concert_id).returning(|_, _| Ok(()));
    });
    let service = world.waiting_room_service();
    service.status(here).await.unwrap();
    assert!(service.status(elsewhere).await.is_err());
    service.follow_sales().await.unwrap_err();
}

#[tokio::test]
async fn a_page_of_concerts_that_are_bookable_or_not_is_filled_from_further_pages() {
    let mut world = World::new().await;
    let concert = world.stage.show().await.concert;
    let all: Vec<_> = (1..=6)
        .map(|number| {
            let id = ConcertId::new(Uuid::from_u128(number));
            ConcertSummary::new(Concert { id, ..concert.clone() }, &[world.show.starts_at])
        })
        .collect();
    let number = |id: ConcertId| usize::try_from(id.uuid().as_u128()).unwrap();
    let sold_out = [1, 2, 4];
    world.stage.storage.catalog = mock(|catalog: &mut MockCatalog| {
        catalog.expect_concerts().returning(move |_, page| {
            let rest = all[page.after.map_or(0, number)..].to_vec();
            Ok(Page::from_rows(rest.into_iter().take(page.limit as usize + 1).collect(), page.limit, |summary| {
                summary.concert.id
            }))
        });
        catalog.expect_stocks().returning(move |ids, _| {
            let stock = |id: &ConcertId| {
                let available = u64::from(!sold_out.contains(&number(*id)));
                (*id, Stock { total: 1, available, held: 0 })
            };
            Ok(ids.iter().map(stock).collect())
        });
    });
    let service = world.catalog_service();
    for (bookable, expected) in [(true, [vec![3, 5], vec![6]]), (false, [vec![1, 2], vec![4]])] {
        let search = ConcertSearch { bookable: Some(bookable), ..ConcertSearch::default() };
        let (mut pages, mut after) = (Vec::new(), None);
        loop {
            let page = service.concerts(&search, PageRequest { limit: 2, after }).await.unwrap();
            pages.push(page.items.iter().map(|view| number(view.summary.concert.id)).collect::<Vec<_>>());
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(pages, expected, "{bookable}");
    }
}

#[tokio::test]
async fn words_are_searched_for_and_the_plain_list_is_not_a_search() {
    let world = World::new().await;
    let service = world.catalog_service();
    let found = async |words: &str| {
        let search = ConcertSearch { words: SearchWords::new(words).unwrap(), ..ConcertSearch::default() };
        service.concerts(&search, PageRequest::first(5)).await.unwrap().items.len()
    };
    let title = world.show.concert.title.as_str();
    assert_eq!((found(title).await, found("없는 콘서트").await), (1, 0));
    let dates = service.dates(world.show.concert.id).await.unwrap();
    assert_eq!(dates.iter().map(|date| date.id).collect::<Vec<_>>(), [world.show.performance_id]);
}
