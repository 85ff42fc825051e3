use boxoffice_application::{
    Visitor,
    catalog::CatalogError,
    reservations::{HoldSeats, HoldSeatsError},
    waiting_room::GateError,
};
use boxoffice_contracts::storage::label;
use boxoffice_domain::{accounts::Role, fixtures::instant, seats::SeatSelection};
use chrono::TimeDelta;

use crate::support::{World, admin, assert_refused, identity, other_promoter};

/// The promoter of the concert and admins need no token, whatever is the matter with the sale or with a token that they
/// have. All others do, and nothing is read of the storage to know that of a buyer.
#[tokio::test]
async fn staff_look_behind_the_gate_at_any_time_without_a_token() {
    let mut world = World::new().await;
    let (concert_id, id) = (world.show.concert.id, world.show.performance_id);
    let sales = world.show.concert.sales;
    world.change_concert(|concert| concert.paused = true).await;
    for now in [sales.open_at() - TimeDelta::seconds(1), instant(0), sales.close_at()] {
        world.stage.clock.set(now);
        for staff in [world.promoter(), admin()] {
            let service = world.catalog_service();
            assert!(service.admit_to_concert(staff, concert_id).await.is_ok(), "{staff:?} at {now}");
            assert!(service.admit_to_performance(staff, id).await.is_ok(), "{staff:?} at {now}");
        }
        let service = world.catalog_service();
        let refused = service.admit_to_performance(other_promoter(), id).await;
        assert_refused!(refused, CatalogError::Gate(GateError::Missing));
        let refused = service.admit_to_concert(other_promoter(), concert_id).await;
        assert_refused!(refused, CatalogError::Gate(GateError::Missing));
    }

    // A token that opens nothing takes nothing away.
    world.stage.clock.set(instant(0));
    let elsewhere = world.join_queue_of(world.stage.show().await.concert.id, world.show.promoter_id).await;
    let visitor = Visitor::in_queue(world.promoter(), elsewhere);
    assert!(world.catalog_service().admit_to_performance(visitor, id).await.is_ok());
    let visitor = Visitor::in_queue(identity(world.show.promoter_id, Role::Customer), elsewhere);
    let refused = world.catalog_service().admit_to_performance(visitor, id).await;
    assert_refused!(refused, CatalogError::Gate(GateError::Invalid));

    // Neither does a queue that cannot be asked.
    let place = world.join_queue_of(concert_id, world.show.promoter_id).await;
    let queues = world.waiting_room.clone();
    world.lose_waiting_room();
    let visitor = Visitor::in_queue(world.promoter(), place);
    assert!(world.catalog_service().admit_to_performance(visitor, id).await.is_ok());
    let visitor = Visitor::in_queue(identity(world.show.promoter_id, Role::Customer), place);
    let refused = world.catalog_service().admit_to_performance(visitor, id).await;
    assert_refused!(refused, CatalogError::Gate(GateError::WaitingRoom(_)));
    world.waiting_room = queues;

    // Looking is all that needs no token.
    let hold = HoldSeats { performance_id: id, seats: SeatSelection::new(vec![label("A-1-1")]).unwrap() };
    let held = world.reservation_service().hold(world.promoter(), hold, None).await;
    assert_refused!(held, HoldSeatsError::Gate(GateError::Missing));

    let expired = world.expired().await;
    world.close_storage();
    let refused = world.catalog_service().admit_to_concert(expired, concert_id).await;
    assert_refused!(refused, CatalogError::Gate(GateError::Expired));
}
