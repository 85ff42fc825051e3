use boxoffice_application::{fingerprint, reservations::HoldSeatsError, waiting_room::GateError};
use boxoffice_contracts::storage::label;
use boxoffice_domain::{
    ActError, PerformanceId, StorageError,
    catalog::MockCatalog,
    fixtures::{cancel_request, instant},
    idempotency::{KeyReused, Made},
    reservations::{
        CancelError, CancelRefusal, HoldRefusal, HoldRequest, MockReservations, ReservationState, ReservationStatus,
    },
    waiting_room::{MockWaitingRoom, QueuePlace, Standing, WaitingRoom, WaitingRoomError},
};
use uuid::Uuid;

use crate::support::{ADMISSION_SECONDS, World, assert_refused, mock, under};

const SEAT: &[&str] = &["A-1-1"];
const HOLD_SECONDS: i64 = 300;

impl World {
    /// As [`Self::admitted`], a second before the admission ends.
    async fn nearly_over(&self) -> QueuePlace {
        let place = self.admitted().await;
        self.stage.clock.set(instant(ADMISSION_SECONDS - 1));
        place
    }

    /// Holds [`SEAT`] under the key `k` in the storage alone, as a server that ends before it tells the waiting room.
    async fn holds_in_storage(&self) {
        let request = self.show.hold_request(self.buyer, SEAT);
        let request = HoldRequest { idempotency: Some(self.key_for("k", SEAT)), ..request };
        self.stage.hold(request).await.unwrap();
    }
}

// Holding

#[tokio::test]
async fn an_admitted_account_gets_its_seats_and_then_its_admission_lasts_as_long_as_the_hold() {
    let world = World::new().await;
    let place = world.nearly_over().await;
    let made = world.hold(place, SEAT, None).await.unwrap();
    let held = &made.value.reservation;
    assert!(!made.replayed);
    assert_eq!((held.account_id, held.concert_id), (world.buyer, world.show.concert.id));
    assert_eq!((held.performance_id, &held.seats[0].label), (world.show.performance_id, &label("A-1-1")));
    assert_eq!(held.held_until, instant(ADMISSION_SECONDS - 1 + HOLD_SECONDS));
    assert_eq!(world.stage.reservation(held).await, *held);
    let (admitted_until, active_until) = (instant(ADMISSION_SECONDS), held.held_until);
    assert_eq!(world.standing(place).await, Standing::Active { admitted_until, active_until });
}

#[tokio::test]
async fn an_admission_that_could_not_be_lengthened_does_not_undo_the_hold() {
    let mut world = World::new().await;
    let place = world.admitted().await;
    world.make_waiting_room_forgetful(place).await;
    let held = world.held(place, "A-1-1").await;
    assert_eq!(world.stage.status(&held).await, ReservationStatus::Held);
}

#[tokio::test]
async fn a_repeated_hold_lengthens_the_admission_to_what_is_held_now() {
    let world = World::new().await;
    let place = world.nearly_over().await;
    world.stage.clock.set(instant(ADMISSION_SECONDS - 2));
    world.holds_in_storage().await;
    world.stage.clock.set(instant(ADMISSION_SECONDS - 1));
    let later = world.stage.holds(&world.show, world.buyer, &["A-1-2"]).await;
    assert!(world.hold(place, SEAT, Some("k")).await.unwrap().replayed);
    assert_eq!(world.active_until(place).await, later.held_until);
}

#[tokio::test]
async fn a_repeated_hold_is_answered_also_if_nothing_is_held_now_or_that_cannot_be_read() {
    let mut world = World::new().await;
    let place = world.nearly_over().await;
    let first = world.hold(place, SEAT, Some("k")).await.unwrap().value;
    world.stage.cancel(cancel_request(&first.reservation)).await.unwrap();
    world.queues.keep_until(place.concert_id, place.account_id, None).await.unwrap();
    assert_eq!(world.hold(place, SEAT, Some("k")).await.unwrap(), Made::before(first.clone()));
    assert_eq!(world.active_until(place).await, instant(ADMISSION_SECONDS));

    let again = Made::before(first);
    let answer = again.clone();
    world.stage.storage.reservations = mock(|reservations: &mut MockReservations| {
        reservations.expect_hold().return_once(|_| Ok(answer));
        reservations.expect_held_until().times(1).return_once(|_, _| Err(StorageError::Busy));
    });
    assert_eq!(world.hold(place, SEAT, Some("k")).await.unwrap(), again);
}

#[tokio::test]
async fn an_unknown_performance_and_the_token_of_another_concert_are_refused_before_the_room_is_asked() {
    let mut world = World::new().await;
    let place = world.admitted().await;
    world.waiting_room = mock(|_: &mut MockWaitingRoom| {});
    let elsewhere = QueuePlace { concert_id: world.stage.show().await.concert.id, ..place };
    let held = world.hold(elsewhere, SEAT, Some("k")).await;
    assert_refused!(held, HoldSeatsError::Gate(GateError::Invalid));

    world.show.performance_id = PerformanceId::new(Uuid::from_u128(1));
    let held = world.hold(place, SEAT, None).await;
    assert_refused!(held, HoldSeatsError::Refused(HoldRefusal::PerformanceNotFound));
}

#[tokio::test]
async fn nothing_is_held_without_an_admission_also_not_while_only_a_hold_extends_it() {
    let mut world = World::new().await;
    let place = world.expired().await;
    assert_refused!(world.hold(place, SEAT, None).await, HoldSeatsError::Gate(GateError::Expired));
    // A key that names no reservation changes nothing.
    assert_refused!(world.hold(place, SEAT, Some("k")).await, HoldSeatsError::Gate(GateError::Expired));
    let place = world.waiting().await;
    let held = world.hold(place, SEAT, None).await;
    assert_refused!(held, HoldSeatsError::Gate(GateError::NotActive { position: Some(1) }));
    assert_eq!(world.stage.free_labels(&world.show).await, world.show.labels());

    // Otherwise one account could keep its admission for ever.
    let mut world = World::new().await;
    let place = world.nearly_over().await;
    world.hold(place, SEAT, Some("k")).await.unwrap();
    world.stage.clock.set(instant(ADMISSION_SECONDS));
    assert_refused!(world.hold(place, &["A-1-2"], None).await, HoldSeatsError::Gate(GateError::Expired));

    // Without the waiting room, a key that names a reservation changes nothing either.
    world.lose_waiting_room();
    let refused = world.hold(place, SEAT, Some("k")).await;
    assert_refused!(refused, HoldSeatsError::Gate(GateError::WaitingRoom(WaitingRoomError::Storage(_))));
}

#[tokio::test]
async fn a_refused_hold_leaves_the_admission_as_it_was() {
    let world = World::new().await;
    let place = world.nearly_over().await;
    world.stage.holds(&world.show, world.stage.account().await, SEAT).await;
    let refused = world.hold(place, SEAT, None).await;
    assert_refused!(refused, HoldSeatsError::Refused(HoldRefusal::SeatUnavailable { seats, .. }) if seats.len() == 1);
    assert_eq!(world.active_until(place).await, instant(ADMISSION_SECONDS));
}

#[tokio::test]
async fn a_failing_storage_holds_nothing() {
    let mut world = World::new().await;
    let place = world.admitted().await;
    world.stage.storage.reservations = mock(|reservations: &mut MockReservations| {
        reservations.expect_hold().times(1).return_once(|_| Err(StorageError::Busy.into()));
        reservations.expect_find_by_key().times(1).return_once(|_, _| Err(StorageError::Busy));
    });
    assert_refused!(world.hold(place, SEAT, None).await, HoldSeatsError::Storage(StorageError::Busy));
    // The reservation that a key may name cannot be read.
    world.queues.leave(&place).await.unwrap();
    assert_refused!(world.hold(place, SEAT, Some("k")).await, HoldSeatsError::Storage(StorageError::Busy));

    world.stage.storage.catalog = mock(|catalog: &mut MockCatalog| {
        catalog.expect_concert_of().times(1).return_once(|_| Err(StorageError::Busy));
    });
    assert_refused!(world.hold(place, SEAT, None).await, HoldSeatsError::Storage(StorageError::Busy));
}

// Holding again under a key, when the token no longer opens the gate

#[tokio::test]
async fn a_repeated_hold_is_answered_as_at_first_also_when_the_token_is_over_and_the_hold_was_paid() {
    let mut world = World::new().await;
    let place = world.admitted().await;
    let first = world.hold(place, SEAT, Some("k")).await.unwrap().value;
    world.pay(place, &first.reservation, "k").await.unwrap();
    assert_eq!(world.hold(place, SEAT, Some("k")).await.unwrap(), Made::before(first.clone()));
    let refused = world.hold(place, &["A-1-2"], Some("k")).await;
    assert_refused!(refused, HoldSeatsError::Refused(HoldRefusal::KeyReused(KeyReused)));

    let waiting = world.waiting().await;
    assert_eq!(world.hold(waiting, SEAT, Some("k")).await.unwrap(), Made::before(first));

    // Also where the queues were lost, a place that was spent holds nothing.
    world.lose_queues();
    assert_refused!(world.hold(place, SEAT, None).await, HoldSeatsError::Gate(GateError::Expired));
}

// Cancelling

#[tokio::test]
async fn a_reservation_is_cancelled_by_its_owner_and_once_under_a_key() {
    let mut world = World::new().await;
    let place = world.admitted().await;
    let held = world.held(place, "A-1-1").await;
    let (service, stranger) = (world.reservation_service(), world.stranger().await);
    let cancelled = service.cancel(stranger, held.id, None).await;
    assert_refused!(cancelled, CancelError::Refused(CancelRefusal::NotFound));

    let key = Some(under("k", fingerprint::cancel(held.id)));
    let cancelled = service.cancel(world.buyer(), held.id, key.clone()).await.unwrap();
    assert!(matches!(cancelled.value.reservation.state, ReservationState::Cancelled { payment_id: None, .. }));
    let again = service.cancel(world.buyer(), held.id, key).await.unwrap();
    assert_eq!((cancelled.replayed, again), (false, Made::before(cancelled.value)));

    world.stage.storage.reservations = mock(|reservations: &mut MockReservations| {
        reservations.expect_cancel().times(1).return_once(|_| Err(StorageError::Busy.into()));
    });
    let cancelled = world.reservation_service().cancel(world.buyer(), held.id, None).await;
    assert_refused!(cancelled, ActError::Storage(StorageError::Busy));
}

#[tokio::test]
async fn giving_up_what_is_held_leaves_the_admission_that_there_would_be_without_it() {
    let world = World::new().await;
    let place = world.nearly_over().await;
    let (first, second) = (world.held(place, "A-1-1").await, world.held(place, "A-1-2").await);
    let cancel = async |id| world.reservation_service().cancel(world.buyer(), id, None).await.unwrap();
    cancel(first.id).await;
    assert_eq!(world.active_until(place).await, second.held_until);
    cancel(second.id).await;
    assert_eq!(world.active_until(place).await, instant(ADMISSION_SECONDS));
    world.stage.clock.set(instant(ADMISSION_SECONDS));
    assert_eq!(world.standing(place).await, Standing::Expired);
}

#[tokio::test]
async fn an_admission_that_could_not_be_shortened_does_not_undo_a_cancellation() {
    let mut world = World::new().await;
    let place = world.admitted().await;
    let held = world.held(place, "A-1-1").await;
    world.make_waiting_room_forgetful(place).await;
    world.reservation_service().cancel(world.buyer(), held.id, None).await.unwrap();
    assert_eq!(world.stage.status(&held).await, ReservationStatus::Cancelled);
}

// Finding and expiring

#[tokio::test]
async fn an_account_finds_its_reservation_and_lapsed_holds_expire_so_many_at_a_time() {
    let world = World::new().await;
    let place = world.admitted().await;
    let held = world.held(place, "A-1-1").await;
    world.held(place, "A-1-2").await;
    world.held(place, "A-1-3").await;
    let service = world.reservation_service();
    let found = service.find(world.buyer(), held.id).await.unwrap();
    assert_eq!(found.map(|view| view.reservation), Some(held.clone()));
    assert_eq!(service.find(world.stranger().await, held.id).await.unwrap(), None);

    world.stage.clock.set(held.held_until);
    assert_eq!(service.expire_due(2).await.unwrap(), 2);
    assert_eq!(service.expire_due(2).await.unwrap(), 1);
    assert_eq!(service.expire_due(2).await.unwrap(), 0);
}
