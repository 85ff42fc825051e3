use boxoffice_application::{fingerprint, payments::PayError, waiting_room::GateError};
use boxoffice_contracts::storage::pay_request;
use boxoffice_domain::{
    StorageError,
    fixtures::{cancel_request, instant},
    idempotency::{KeyReused, Made},
    payments::{MockPayments, PayRefusal, PayRequest},
    reservations::{MockReservations, Reservation, ReservationStatus},
    waiting_room::{QueuePlace, Standing, WaitingRoom, WaitingRoomError},
};

use crate::support::{ADMISSION_SECONDS, BALANCE, PRICE, World, assert_refused, mock, points, under};

/// A world in which the admitted buyer holds a seat.
async fn world_with_hold() -> (World, QueuePlace, Reservation) {
    let world = World::new().await;
    let place = world.admitted().await;
    let held = world.held(place, "A-1-1").await;
    (world, place, held)
}

/// As [`world_with_hold`], but the admission has ended before the hold.
async fn world_with_hold_alone() -> (World, QueuePlace, Reservation) {
    let (world, place, held) = world_with_hold().await;
    world.queues.leave(&place).await.unwrap();
    (world, place, held)
}

// Paying

#[tokio::test]
async fn a_payment_is_stored_and_then_the_place_is_spent() {
    let (world, place, held) = world_with_hold().await;
    let made = world.pay(place, &held, "k").await.unwrap();
    assert!(!made.replayed);
    let payment = &made.value.payment;
    assert_eq!((payment.account_id, payment.reservation_id), (world.buyer, held.id));
    assert_eq!((payment.concert_id, payment.queue_place), (held.concert_id, Some(place.number)));
    assert_eq!((payment.amount, world.stage.balance(world.buyer).await), (points(PRICE), BALANCE - PRICE));
    let service = world.payment_service();
    assert_eq!(service.find(world.buyer(), payment.id).await.unwrap().as_ref(), Some(&made.value));
    assert_eq!(world.standing(place).await, Standing::Expired);
}

#[tokio::test]
async fn while_other_seats_are_held_the_admission_lasts_until_they_lapse_instead_of_being_spent() {
    let world = World::new().await;
    let place = world.admitted().await;
    world.stage.clock.set(instant(ADMISSION_SECONDS - 100));
    let other = world.held(place, "A-1-1").await;
    world.stage.clock.set(instant(ADMISSION_SECONDS - 1));
    let held = world.held(place, "A-1-2").await;
    assert_eq!(world.active_until(place).await, held.held_until);
    world.pay(place, &held, "k").await.unwrap();
    assert_eq!(world.active_until(place).await, other.held_until);
    // Only the hold extends the admission now.
    world.stage.clock.set(instant(ADMISSION_SECONDS));
    world.pay(place, &other, "l").await.unwrap();
    assert_eq!(world.standing(place).await, Standing::Expired);
}

#[tokio::test]
async fn a_place_that_could_not_be_spent_or_kept_does_not_undo_the_payment() {
    for others in [&[][..], &["A-1-2"]] {
        let (mut world, place, held) = world_with_hold().await;
        for label in others {
            world.held(place, label).await;
        }
        world.make_waiting_room_forgetful(place).await;
        world.pay(place, &held, "k").await.unwrap();
        assert_eq!(world.stage.status(&held).await, ReservationStatus::Confirmed);
    }
}

#[tokio::test]
async fn a_refused_payment_touches_neither_the_queue_nor_the_hold() {
    let world = World::new().await;
    let place = world.join(world.stage.account().await).await;
    let held = world.held(place, "A-1-1").await;
    let before = world.standing(place).await;
    let refusal = PayRefusal::InsufficientPoints { balance: points(0), required: points(PRICE) };
    assert_refused!(world.pay(place, &held, "k").await, PayError::Refused(found) if found == refusal);
    assert_eq!((world.standing(place).await, world.stage.reservation(&held).await), (before, held));
}

#[tokio::test]
async fn a_wrong_place_an_unknown_outcome_and_a_lost_waiting_room_leave_the_place_alone_and_pay_nothing() {
    let (mut world, place, held) = world_with_hold().await;
    let elsewhere = world.elsewhere().await;
    assert_refused!(world.pay(elsewhere, &held, "k").await, PayError::Refused(PayRefusal::WrongConcert));
    assert!(matches!(world.standing(elsewhere).await, Standing::Active { .. }));

    world.stage.storage.payments = mock(|payments: &mut MockPayments| {
        payments.expect_pay().times(1).return_once(|_| Err(StorageError::Busy.into()));
    });
    assert_refused!(world.pay(place, &held, "k").await, PayError::Storage(StorageError::Busy));
    assert!(matches!(world.standing(place).await, Standing::Active { .. }));

    world.lose_waiting_room();
    let paid = world.pay(place, &held, "k").await;
    assert_refused!(paid, PayError::Gate(GateError::WaitingRoom(WaitingRoomError::Storage(_))));
    assert_eq!(world.stage.balance(world.buyer).await, BALANCE);
}

// Paying again under the same key, with an admission

#[tokio::test]
async fn a_repeated_payment_spends_the_place_that_the_first_answer_may_have_left() {
    // The server ended between the commit and the end of the admission.
    let (world, place, held) = world_with_hold().await;
    let idempotency = under("k", fingerprint::pay(held.id));
    let request = PayRequest { queue_place: Some(place.number), idempotency, ..pay_request(&held) };
    let first = world.stage.pay(request).await.unwrap().value.payment;
    assert_eq!(world.pay(place, &held, "k").await.unwrap(), Made::before(first));
    assert_eq!(world.standing(place).await, Standing::Expired);
}

#[tokio::test]
async fn a_repeated_payment_does_not_spend_the_place_of_a_later_visit() {
    let (world, place, held) = world_with_hold().await;
    let first = world.pay(place, &held, "k").await.unwrap().value;
    let later = world.admitted().await;
    assert_eq!(world.pay(later, &held, "k").await.unwrap(), Made::before(first));
    assert!(matches!(world.standing(later).await, Standing::Active { .. }));
}

// Without an admission

#[tokio::test]
async fn a_repeated_payment_is_answered_as_at_first_although_its_token_is_over_and_the_key_pays_nothing_else() {
    let (mut world, place, held) = world_with_hold().await;
    let other = world.held(place, "A-1-2").await;
    let first = Made::before(world.pay(place, &held, "k").await.unwrap().value);
    world.queues.leave(&place).await.unwrap();
    assert_eq!(world.pay(place, &held, "k").await.unwrap(), first);
    assert_refused!(world.pay(place, &other, "k").await, PayError::Refused(PayRefusal::KeyReused(KeyReused)));

    let waiting = world.waiting().await;
    assert_eq!(world.pay(waiting, &held, "k").await.unwrap(), first, "the account waits for a later visit");

    world.stage.cancel(cancel_request(&held)).await.unwrap();
    assert_eq!(world.pay(place, &held, "k").await.unwrap(), first, "refunded since");

    world.lose_queues();
    assert_eq!(world.pay(place, &held, "k").await.unwrap(), first, "the queues were lost");
}

#[tokio::test]
async fn a_payment_that_comes_too_late_is_refused_because_of_the_reservation_rather_than_the_token() {
    let (world, place, held) = world_with_hold().await;
    world.pay(place, &held, "k").await.unwrap();
    assert_refused!(world.pay(place, &held, "late").await, PayError::Refused(PayRefusal::AlreadyPaid));

    let (world, place, held) = world_with_hold_alone().await;
    world.stage.cancel(cancel_request(&held)).await.unwrap();
    assert_refused!(world.pay(place, &held, "late").await, PayError::Refused(PayRefusal::Cancelled));

    let (world, place, held) = world_with_hold_alone().await;
    world.stage.clock.set(held.held_until);
    assert_refused!(world.pay(place, &held, "late").await, PayError::Refused(PayRefusal::HoldExpired));
    world.stage.expire_due(1).await;
    assert_refused!(world.pay(place, &held, "late").await, PayError::Refused(PayRefusal::HoldExpired));
}

#[tokio::test]
async fn a_hold_that_lasts_is_not_paid_without_an_admission() {
    let (world, place, held) = world_with_hold_alone().await;
    assert_refused!(world.pay(place, &held, "k").await, PayError::Gate(GateError::Expired));

    let mut world = World::new().await;
    let held = world.stage.holds(&world.show, world.buyer, &["A-1-1"]).await;
    let place = world.waiting().await;
    assert_refused!(world.pay(place, &held, "k").await, PayError::Gate(GateError::NotActive { position: Some(1) }));
}

#[tokio::test]
async fn without_an_admission_only_the_callers_reservation_of_the_concert_is_looked_at() {
    let (world, place, held) = world_with_hold_alone().await;
    let stranger = QueuePlace { account_id: world.stage.account().await, ..world.expired().await };
    world.queues.leave(&place).await.unwrap();
    assert_refused!(world.pay(stranger, &held, "k").await, PayError::Refused(PayRefusal::ReservationNotFound));

    let elsewhere = world.elsewhere().await;
    world.queues.leave(&elsewhere).await.unwrap();
    assert_refused!(world.pay(elsewhere, &held, "k").await, PayError::Gate(GateError::Invalid));
}

#[tokio::test]
async fn without_an_admission_a_storage_that_cannot_be_read_is_an_error() {
    let (mut world, place, held) = world_with_hold_alone().await;
    world.stage.storage.reservations = mock(|reservations: &mut MockReservations| {
        reservations.expect_find().times(1).return_once(|_, _| Err(StorageError::Busy));
    });
    assert_refused!(world.pay(place, &held, "k").await, PayError::Storage(StorageError::Busy));

    world.stage.storage.payments = mock(|payments: &mut MockPayments| {
        payments.expect_find_by_key().times(1).return_once(|_, _| Err(StorageError::Busy));
    });
    assert_refused!(world.pay(place, &held, "k").await, PayError::Storage(StorageError::Busy));
}
