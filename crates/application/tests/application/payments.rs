use boxoffice_application::{payments::PayError, waiting_room::GateError};
use boxoffice_domain::{
    ActError, PaymentId, StorageError, Timestamp,
    fixtures::instant,
    idempotency::{Idempotency, KeyReused, Made},
    page::{Page, PageRequest},
    payments::{PayRefusal, PayRequest, Payment, PaymentMethod, PaymentSource, PaymentState, PaymentView, Receipt},
    reservations::{ReservationState, ReservationView},
    waiting_room::{PlaceNumber, Recall, Standing, WaitingRoomError},
};
use mockall::{Sequence, predicate::eq};

use crate::support::{
    ACCOUNT, CONCERT, NEW_ID, OTHER_CONCERT, PAYMENT, RESERVATION, World, active, asked, assert_refused, customer,
    held, key, place, points, reservation, waiting,
};

fn asked_to_pay() -> Idempotency {
    asked("k", "pay")
}

fn paid() -> PaymentView {
    let mut reservation = reservation(ReservationState::Confirmed { payment_id: PAYMENT });
    reservation.reservation.updated_at = instant(10);
    let payment = Payment {
        id: PAYMENT,
        account_id: ACCOUNT,
        concert_id: CONCERT,
        reservation_id: RESERVATION,
        amount: points(55_000),
        source: PaymentSource::Wallet { balance_after: points(5_000) },
        paid_at: instant(10),
        state: PaymentState::Completed,
        queue_place: Some(place().number),
        idempotency: asked_to_pay(),
    };
    PaymentView { payment, reservation }
}

fn settled(other_held_until: Option<Timestamp>) -> Receipt {
    Receipt { payment: paid(), other_held_until }
}

impl World {
    fn storage_settles(&mut self, made: Made<Receipt>) {
        self.makes_an_id();
        self.payments.expect_pay().times(1).return_once(|_| Ok(made));
    }

    fn place_is_spent(&mut self) {
        self.waiting_room.expect_spend().with(eq(CONCERT), eq(ACCOUNT)).times(1).return_once(|_, _| Ok(()));
    }

    fn key_names_payment(&mut self, found: Option<PaymentView>) {
        self.payments.expect_find_by_key().with(eq(ACCOUNT), eq(key("k"))).times(1).return_once(|_, _| Ok(found));
    }

    fn reservation_is(&mut self, found: Option<ReservationView>) {
        self.reservations.expect_find().with(eq(ACCOUNT), eq(RESERVATION)).times(1).return_once(|_, _| Ok(found));
    }

    async fn pay(self) -> Result<Made<PaymentView>, PayError> {
        self.payment_service().pay(place(), RESERVATION, asked_to_pay()).await
    }
}

// Paying

#[tokio::test]
async fn a_payment_is_stored_and_then_the_place_is_spent() {
    let (mut world, mut order) = (World::new(), Sequence::new());
    world.ticket_stands(active());
    world.makes_an_id();
    let request = PayRequest {
        payment_id: PaymentId::new(NEW_ID),
        reservation_id: RESERVATION,
        account_id: ACCOUNT,
        concert_id: CONCERT,
        queue_place: Some(place().number),
        method: PaymentMethod::Wallet,
        idempotency: asked_to_pay(),
    };
    let settles = world.payments.expect_pay().with(eq(request));
    settles.times(1).in_sequence(&mut order).return_once(|_| Ok(Made::now(settled(None))));
    let spends = world.waiting_room.expect_spend().with(eq(CONCERT), eq(ACCOUNT));
    spends.times(1).in_sequence(&mut order).return_once(|_, _| Ok(()));
    assert_eq!(world.pay().await.unwrap(), Made::now(paid()));
}

#[tokio::test]
async fn while_other_seats_are_held_the_admission_lasts_until_they_lapse_instead_of_being_spent() {
    let mut world = World::new();
    world.ticket_stands(active());
    world.storage_settles(Made::now(settled(Some(instant(310)))));
    let keeps = world.waiting_room.expect_keep_until().with(eq(CONCERT), eq(ACCOUNT), eq(Some(instant(310))));
    keeps.times(1).return_once(|_, _, _| Ok(()));
    assert_eq!(world.pay().await.unwrap(), Made::now(paid()));
}

#[tokio::test]
async fn what_is_held_can_be_paid_while_only_the_hold_extends_the_admission() {
    let mut world = World::at(instant(700));
    world.ticket_stands(Standing::Active { admitted_until: instant(600), active_until: instant(800) });
    world.storage_settles(Made::now(settled(None)));
    world.place_is_spent();
    assert!(world.pay().await.is_ok());
}

#[tokio::test]
async fn a_place_that_could_not_be_spent_does_not_undo_the_payment() {
    let mut world = World::new();
    world.ticket_stands(active());
    world.storage_settles(Made::now(settled(None)));
    world.waiting_room.expect_spend().times(1).return_once(|_, _| Err(StorageError::Busy.into()));
    assert_eq!(world.pay().await.unwrap(), Made::now(paid()));
}

#[tokio::test]
async fn an_admission_that_could_not_be_kept_does_not_undo_the_payment() {
    let mut world = World::new();
    world.ticket_stands(active());
    world.storage_settles(Made::now(settled(Some(instant(310)))));
    world.waiting_room.expect_keep_until().times(1).return_once(|_, _, _| Err(StorageError::Busy.into()));
    assert_eq!(world.pay().await.unwrap(), Made::now(paid()));
}

#[tokio::test]
async fn a_refused_payment_touches_neither_the_line_nor_the_hold() {
    let refusals = [
        PayRefusal::InsufficientPoints { balance: points(54_999), required: points(55_000) },
        PayRefusal::ReservationNotFound,
        PayRefusal::AlreadyPaid,
        PayRefusal::Cancelled,
        PayRefusal::HoldExpired,
        PayRefusal::PerformanceStarted,
        PayRefusal::KeyReused(KeyReused),
    ];
    for refusal in refusals {
        let mut world = World::new();
        world.ticket_stands(active());
        world.makes_an_id();
        world.payments.expect_pay().times(1).return_once(move |_| Err(ActError::Refused(refusal)));
        assert_refused!(world.pay().await, PayError::Refused(told) if told == refusal);
    }
}

#[tokio::test]
async fn the_reservation_of_another_concert_is_told_as_an_invalid_token_and_leaves_the_line_alone() {
    let mut world = World::new();
    world.ticket_stands(active());
    world.makes_an_id();
    world.payments.expect_pay().times(1).return_once(|_| Err(ActError::Refused(PayRefusal::WrongConcert)));
    assert_refused!(world.pay().await, PayError::Refused(PayRefusal::WrongConcert));
}

#[tokio::test]
async fn a_payment_whose_outcome_is_unknown_leaves_the_line_alone() {
    let mut world = World::new();
    world.ticket_stands(active());
    world.makes_an_id();
    world.payments.expect_pay().times(1).return_once(|_| Err(StorageError::Busy.into()));
    assert_refused!(world.pay().await, PayError::Storage(StorageError::Busy));
}

#[tokio::test]
async fn a_failing_room_lets_nobody_pay() {
    let mut world = World::new();
    world.waiting_room.expect_status().times(1).return_once(|_| Err(StorageError::Busy.into()));
    assert_refused!(world.pay().await, PayError::Gate(GateError::WaitingRoom(WaitingRoomError::Storage(_))));
}

// Paying again under the same key, with an admission

#[tokio::test]
async fn a_repeated_payment_spends_the_place_that_the_first_answer_may_have_left() {
    // The server ended between the commit and the end of the admission.
    let mut world = World::new();
    world.ticket_stands(active());
    world.storage_settles(Made::before(settled(None)));
    world.place_is_spent();
    assert_eq!(world.pay().await.unwrap(), Made::before(paid()));
}

#[tokio::test]
async fn a_repeated_payment_does_not_spend_the_place_of_a_later_visit() {
    for other_held_until in [None, Some(instant(310))] {
        let mut world = World::new();
        world.ticket_stands(active());
        let mut settlement = settled(other_held_until);
        settlement.payment.payment.queue_place = Some(PlaceNumber(place().number.0 - 1));
        let first = settlement.payment.clone();
        world.storage_settles(Made::before(settlement));
        assert_eq!(world.pay().await.unwrap(), Made::before(first));
    }
}

// Without an admission

/// The world in which the place is expired and its key names no payment.
fn too_late() -> World {
    let mut world = World::new();
    world.ticket_stands(Standing::Expired);
    world.key_names_payment(None);
    world
}

#[tokio::test]
async fn a_repeated_payment_is_answered_as_at_first_although_it_spent_its_token() {
    for standing in [Standing::Expired, waiting()] {
        let mut world = World::new();
        world.ticket_stands(standing);
        world.key_names_payment(Some(paid()));
        assert_eq!(world.pay().await.unwrap(), Made::before(paid()));
    }
}

#[tokio::test]
async fn a_repeated_payment_is_answered_as_at_first_although_it_was_refunded_since() {
    let mut since = paid();
    since.payment.state = PaymentState::Refunded { refunded_at: instant(90) };
    since.reservation.reservation.state = ReservationState::Cancelled { payment_id: Some(PAYMENT), idempotency: None };
    since.reservation.reservation.updated_at = instant(90);
    let mut world = World::new();
    world.ticket_stands(Standing::Expired);
    world.key_names_payment(Some(since));
    assert_eq!(world.pay().await.unwrap(), Made::before(paid()));
}

#[tokio::test]
async fn a_repeated_payment_is_answered_after_the_line_was_lost() {
    let mut world = World::new();
    world.waiting_room.expect_status().times(1).return_once(|_| Ok(Recall::Forgotten));
    world.payments.expect_has_spent().times(1).return_once(|_, _, _| Ok(true));
    world.key_names_payment(Some(paid()));
    assert_eq!(world.pay().await.unwrap(), Made::before(paid()));
}

#[tokio::test]
async fn a_key_that_paid_another_reservation_is_told_as_reused() {
    let mut other = paid();
    other.payment.idempotency = asked("k", "pay another");
    let mut world = World::new();
    world.ticket_stands(Standing::Expired);
    world.key_names_payment(Some(other));
    assert_refused!(world.pay().await, PayError::Refused(PayRefusal::KeyReused(KeyReused)));
}

#[tokio::test]
async fn whoever_comes_too_late_is_told_about_the_reservation_rather_than_the_token() {
    let expired = ReservationState::Held { until: instant(0) };
    let told = [
        (ReservationState::Confirmed { payment_id: PAYMENT }, PayRefusal::AlreadyPaid),
        (ReservationState::Cancelled { payment_id: None, idempotency: None }, PayRefusal::Cancelled),
        (ReservationState::Expired, PayRefusal::HoldExpired),
        (expired, PayRefusal::HoldExpired),
    ];
    for (state, refusal) in told {
        let mut world = too_late();
        world.reservation_is(Some(reservation(state)));
        assert_refused!(world.pay().await, PayError::Refused(told) if told == refusal);
    }
}

#[tokio::test]
async fn an_expired_token_does_not_pay_a_hold_that_lasts() {
    let mut world = too_late();
    world.reservation_is(Some(held()));
    assert_refused!(world.pay().await, PayError::Gate(GateError::Expired));
}

#[tokio::test]
async fn whoever_waits_does_not_pay_a_hold_that_lasts() {
    let mut world = World::new();
    world.ticket_stands(waiting());
    world.key_names_payment(None);
    world.reservation_is(Some(held()));
    assert_refused!(world.pay().await, PayError::Gate(GateError::NotActive { position: Some(9) }));
}

#[tokio::test]
async fn without_an_admission_a_reservation_that_is_not_the_callers_is_not_found() {
    let mut world = too_late();
    world.reservation_is(None);
    assert_refused!(world.pay().await, PayError::Refused(PayRefusal::ReservationNotFound));
}

#[tokio::test]
async fn without_an_admission_the_reservation_of_another_concert_is_told_as_an_invalid_token() {
    let mut elsewhere = held();
    elsewhere.reservation.concert_id = OTHER_CONCERT;
    let mut world = too_late();
    world.reservation_is(Some(elsewhere));
    assert_refused!(world.pay().await, PayError::Gate(GateError::Invalid));
}

#[tokio::test]
async fn without_an_admission_a_storage_that_cannot_be_read_is_told() {
    let mut world = World::new();
    world.ticket_stands(Standing::Expired);
    world.payments.expect_find_by_key().times(1).return_once(|_, _| Err(StorageError::Busy));
    assert_refused!(world.pay().await, PayError::Storage(StorageError::Busy));

    let mut world = too_late();
    world.reservations.expect_find().times(1).return_once(|_, _| Err(StorageError::Busy));
    assert_refused!(world.pay().await, PayError::Storage(StorageError::Busy));
}

// Reading

#[tokio::test]
async fn a_payment_is_looked_for_among_the_callers_alone() {
    let mut world = World::new();
    world.payments.expect_find().with(eq(ACCOUNT), eq(PAYMENT)).times(1).return_once(|_, _| Ok(None));
    assert_eq!(world.payment_service().find(customer(), PAYMENT).await.unwrap(), None);
}

#[tokio::test]
async fn the_list_is_of_the_callers_payments() {
    let mut world = World::new();
    let (request, page) = (PageRequest { limit: 5, after: Some(PAYMENT) }, Page { items: vec![paid()], next: None });
    let answer = page.clone();
    let lists = world.payments.expect_list().with(eq(ACCOUNT), eq(request.clone()));
    lists.times(1).return_once(|_, _| Ok(answer));
    assert_eq!(world.payment_service().list(customer(), request).await.unwrap(), page);
}
