use boxoffice_application::{reservations::HoldSeatsError, waiting_room::GateError};
use boxoffice_domain::{
    ActError, ReservationId, StorageError,
    catalog::NotOnSale,
    fixtures::{self, instant},
    idempotency::{Idempotency, KeyReused, Made},
    page::{Page, PageRequest},
    reservations::{
        CancelError, CancelRefusal, CancelRequest, HOLD_SECONDS_DEFAULT, HoldRefusal, HoldRequest, ReservationState,
        ReservationStatus, ReservationView, SeatLabel, SeatSelection,
    },
    waiting_room::{Recall, Standing, WaitingRoomError},
};
use mockall::{Sequence, predicate::eq};

use crate::support::{
    ACCOUNT, CONCERT, NEW_ID, OTHER_CONCERT, PAYMENT, PERFORMANCE, RESERVATION, World, active, asked, assert_refused,
    customer, held, key, place, reservation, waiting,
};

fn label(text: &str) -> SeatLabel {
    SeatLabel::new(text).unwrap()
}

/// The key `k` as it comes with a request for this seat.
fn asked_for(seat: &str) -> Idempotency {
    asked("k", seat)
}

/// The reservation that was made under the key `k` for this seat.
fn made_before(seat: &str, state: ReservationState) -> ReservationView {
    let mut view = reservation(state);
    view.reservation.idempotency = Some(asked_for(seat));
    view
}

impl World {
    /// The performance is of the place's concert, and the place stands so.
    fn gate_before_seats(&mut self, standing: Standing) {
        self.performance_is_of(Some(CONCERT));
        self.ticket_stands(standing);
    }

    fn storage_holds(&mut self, made: Made<ReservationView>) {
        self.makes_an_id();
        self.reservations.expect_hold().times(1).return_once(|_| Ok(made));
    }

    fn storage_refuses_to_hold(&mut self, refusal: HoldRefusal) {
        self.makes_an_id();
        self.reservations.expect_hold().times(1).return_once(|_| Err(ActError::Refused(refusal)));
    }

    fn key_names_hold(&mut self, found: Option<ReservationView>) {
        self.reservations.expect_find_by_key().with(eq(ACCOUNT), eq(key("k"))).times(1).return_once(|_, _| Ok(found));
    }

    async fn hold(self, idempotency: Option<Idempotency>) -> Result<Made<ReservationView>, HoldSeatsError> {
        let seats = SeatSelection::new(vec![label("A-1-1")]).unwrap();
        self.reservation_service().hold(place(), PERFORMANCE, seats, idempotency).await
    }
}

// Holding

#[tokio::test]
async fn an_admitted_account_gets_its_seats_and_then_its_admission_lasts_as_long_as_the_hold() {
    let (mut world, mut order) = (World::new(), Sequence::new());
    world.gate_before_seats(active());
    world.makes_an_id();
    let request = HoldRequest {
        reservation_id: ReservationId::new(NEW_ID),
        account_id: ACCOUNT,
        concert_id: CONCERT,
        performance_id: PERFORMANCE,
        seats: SeatSelection::new(vec![label("A-1-1")]).unwrap(),
        hold_seconds: HOLD_SECONDS_DEFAULT,
        idempotency: None,
    };
    let holds = world.reservations.expect_hold().with(eq(request));
    holds.times(1).in_sequence(&mut order).return_once(|_| Ok(Made::now(held())));
    let keeps = world.waiting_room.expect_keep_until().with(eq(CONCERT), eq(ACCOUNT), eq(Some(instant(300))));
    keeps.times(1).in_sequence(&mut order).return_once(|_, _, _| Ok(()));
    assert_eq!(world.hold(None).await.unwrap(), Made::now(held()));
}

#[tokio::test]
async fn a_key_is_kept_with_what_was_asked_under_it() {
    let mut world = World::new();
    world.gate_before_seats(active());
    world.makes_an_id();
    let holds = world.reservations.expect_hold().withf(|request| request.idempotency == Some(asked_for("A-1-1")));
    holds.times(1).return_once(|_| Ok(Made::before(held())));
    world.account_holds_until(None);
    assert!(world.hold(Some(asked_for("A-1-1"))).await.unwrap().replayed);
}

#[tokio::test]
async fn an_admission_that_could_not_be_lengthened_does_not_undo_the_hold() {
    let mut world = World::new();
    world.gate_before_seats(active());
    world.storage_holds(Made::now(held()));
    world.waiting_room.expect_keep_until().times(1).return_once(|_, _, _| Err(StorageError::Busy.into()));
    assert_eq!(world.hold(None).await.unwrap(), Made::now(held()));
}

/// Whoever held at first may have died in between; the account may have held others since, or nothing any more.
#[tokio::test]
async fn a_repeated_hold_lengthens_the_admission_to_what_is_held_now() {
    for held_now in [Some(instant(400)), None] {
        let mut world = World::new();
        world.gate_before_seats(active());
        world.storage_holds(Made::before(held()));
        world.account_holds_until(held_now);
        if held_now.is_some() {
            let keeps = world.waiting_room.expect_keep_until().with(eq(CONCERT), eq(ACCOUNT), eq(held_now));
            keeps.times(1).return_once(|_, _, _| Ok(()));
        }
        assert_eq!(world.hold(Some(asked_for("A-1-1"))).await.unwrap(), Made::before(held()));
    }
    let mut world = World::new();
    world.gate_before_seats(active());
    world.storage_holds(Made::before(held()));
    world.reservations.expect_held_until().times(1).return_once(|_, _| Err(StorageError::Busy));
    assert_eq!(world.hold(Some(asked_for("A-1-1"))).await.unwrap(), Made::before(held()));
}

#[tokio::test]
async fn an_unknown_performance_is_told_before_the_room_is_asked() {
    let mut world = World::new();
    world.performance_is_of(None);
    assert_refused!(world.hold(None).await, HoldSeatsError::Refused(HoldRefusal::PerformanceNotFound));
}

#[tokio::test]
async fn a_performance_whose_concert_cannot_be_read_is_a_failure_of_the_storage() {
    let mut world = World::new();
    world.catalog.expect_concert_of().times(1).return_once(|_| Err(StorageError::Busy));
    assert_refused!(world.hold(None).await, HoldSeatsError::Storage(StorageError::Busy));
}

#[tokio::test]
async fn the_token_of_another_concert_holds_nothing_and_the_room_is_not_asked() {
    let mut world = World::new();
    world.performance_is_of(Some(OTHER_CONCERT));
    assert_refused!(world.hold(Some(asked_for("A-1-1"))).await, HoldSeatsError::Gate(GateError::Invalid));
}

#[tokio::test]
async fn whoever_waits_holds_nothing() {
    let mut world = World::new();
    world.gate_before_seats(waiting());
    assert_refused!(world.hold(None).await, HoldSeatsError::Gate(GateError::NotActive { position: Some(9) }));
}

#[tokio::test]
async fn an_expired_token_holds_nothing() {
    let mut world = World::new();
    world.gate_before_seats(Standing::Expired);
    assert_refused!(world.hold(None).await, HoldSeatsError::Gate(GateError::Expired));
}

#[tokio::test]
async fn an_admission_that_only_a_hold_extends_holds_nothing_more() {
    // Otherwise one account could keep its admission for ever.
    let mut world = World::at(instant(600));
    world.gate_before_seats(Standing::Active { admitted_until: instant(600), active_until: instant(800) });
    assert_refused!(world.hold(None).await, HoldSeatsError::Gate(GateError::Expired));
}

#[tokio::test]
async fn a_failing_room_lets_nobody_hold_and_a_key_changes_nothing_of_it() {
    let mut world = World::new();
    world.performance_is_of(Some(CONCERT));
    world.waiting_room.expect_status().times(1).return_once(|_| Err(StorageError::Busy.into()));
    let refused = world.hold(Some(asked_for("A-1-1"))).await;
    assert_refused!(refused, HoldSeatsError::Gate(GateError::WaitingRoom(WaitingRoomError::Storage(_))));
}

#[tokio::test]
async fn each_refusal_of_a_hold_is_told_as_it_is_and_the_admission_stays_as_it_was() {
    let refusals = [
        HoldRefusal::PerformanceNotFound,
        HoldRefusal::PerformanceStarted,
        HoldRefusal::NotOnSale(NotOnSale::NotOpen),
        HoldRefusal::NotOnSale(NotOnSale::Closed),
        HoldRefusal::SeatNotFound(vec![label("A-1-1")]),
        HoldRefusal::SeatLimitReached { limit: 4 },
        HoldRefusal::SeatUnavailable(fixtures::seats(&["A-1-1"])),
        HoldRefusal::KeyReused(KeyReused),
    ];
    for refusal in refusals {
        let mut world = World::new();
        world.gate_before_seats(active());
        world.storage_refuses_to_hold(refusal.clone());
        assert_refused!(world.hold(None).await, HoldSeatsError::Refused(told) if told == refusal);
    }
}

#[tokio::test]
async fn a_concert_that_turns_out_to_be_another_is_told_as_an_invalid_token() {
    let mut world = World::new();
    world.gate_before_seats(active());
    world.storage_refuses_to_hold(HoldRefusal::WrongConcert);
    assert_refused!(world.hold(None).await, HoldSeatsError::Refused(HoldRefusal::WrongConcert));
}

#[tokio::test]
async fn a_storage_that_takes_no_more_work_holds_nothing() {
    let mut world = World::new();
    world.gate_before_seats(active());
    world.makes_an_id();
    world.reservations.expect_hold().times(1).return_once(|_| Err(StorageError::Busy.into()));
    assert_refused!(world.hold(None).await, HoldSeatsError::Storage(StorageError::Busy));
}

// Holding again under a key, when the token no longer opens the gate

#[tokio::test]
async fn a_repeated_hold_is_answered_as_at_first_also_when_the_token_is_over_and_the_hold_was_paid() {
    let paid = made_before("A-1-1", ReservationState::Confirmed { payment_id: PAYMENT });
    for standing in [Standing::Expired, waiting()] {
        let mut world = World::new();
        world.gate_before_seats(standing);
        world.key_names_hold(Some(paid.clone()));
        let first = made_before("A-1-1", ReservationState::Held { until: instant(300) });
        assert_eq!(world.hold(Some(asked_for("A-1-1"))).await.unwrap(), Made::before(first));
    }
}

#[tokio::test]
async fn a_key_that_names_nothing_does_not_open_the_gate() {
    let mut world = World::new();
    world.gate_before_seats(Standing::Expired);
    world.key_names_hold(None);
    assert_refused!(world.hold(Some(asked_for("A-1-1"))).await, HoldSeatsError::Gate(GateError::Expired));
}

#[tokio::test]
async fn a_key_that_names_another_request_is_told_as_reused() {
    let of_unknown_content = reservation(ReservationState::Expired);
    for found in [made_before("A-1-2", ReservationState::Expired), of_unknown_content] {
        let mut world = World::new();
        world.gate_before_seats(Standing::Expired);
        world.key_names_hold(Some(found));
        let refused = world.hold(Some(asked_for("A-1-1"))).await;
        assert_refused!(refused, HoldSeatsError::Refused(HoldRefusal::KeyReused(KeyReused)));
    }
}

#[tokio::test]
async fn a_key_whose_reservation_cannot_be_read_is_a_failure_of_the_storage() {
    let mut world = World::new();
    world.gate_before_seats(Standing::Expired);
    world.reservations.expect_find_by_key().times(1).return_once(|_, _| Err(StorageError::Busy));
    assert_refused!(world.hold(Some(asked_for("A-1-1"))).await, HoldSeatsError::Storage(StorageError::Busy));
}

#[tokio::test]
async fn a_place_that_was_spent_before_the_line_was_lost_holds_nothing() {
    let mut world = World::new();
    world.performance_is_of(Some(CONCERT));
    world.waiting_room.expect_status().times(1).return_once(|_| Ok(Recall::Forgotten));
    world.payments.expect_has_spent().times(1).return_once(|_, _, _| Ok(true));
    assert_refused!(world.hold(None).await, HoldSeatsError::Gate(GateError::Expired));
}

// Cancelling

async fn cancel(answer: Result<Made<ReservationView>, CancelError>) -> Result<Made<ReservationView>, CancelError> {
    let mut world = World::new();
    let request = CancelRequest { reservation_id: RESERVATION, account_id: ACCOUNT, idempotency: None };
    world.reservations.expect_cancel().with(eq(request)).times(1).return_once(|_| answer);
    world.reservation_service().cancel(customer(), RESERVATION, None).await
}

#[tokio::test]
async fn a_reservation_is_cancelled_in_the_name_of_the_caller() {
    let cancelled = Made::now(reservation(ReservationState::Cancelled { payment_id: None, idempotency: None }));
    assert_eq!(cancel(Ok(cancelled.clone())).await.unwrap(), cancelled);
}

#[tokio::test]
async fn each_refusal_of_a_cancellation_is_told_as_it_is() {
    let refusals = [
        CancelRefusal::NotFound,
        CancelRefusal::AlreadyCancelled,
        CancelRefusal::HoldExpired,
        CancelRefusal::Closed,
        CancelRefusal::KeyReused(KeyReused),
    ];
    for refusal in refusals {
        assert_refused!(cancel(Err(ActError::Refused(refusal))).await, CancelError::Refused(told) if told == refusal);
    }
    assert_refused!(cancel(Err(StorageError::Busy.into())).await, CancelError::Storage(StorageError::Busy));
}

#[tokio::test]
async fn a_cancellation_is_named_by_its_key_and_its_reservation() {
    let mut world = World::new();
    let idempotency = Some(asked("k", "cancel"));
    let request = CancelRequest { reservation_id: RESERVATION, account_id: ACCOUNT, idempotency: idempotency.clone() };
    let cancelled = reservation(ReservationState::Cancelled { payment_id: Some(PAYMENT), idempotency: None });
    let again = Made::before(cancelled);
    let answer = again.clone();
    world.reservations.expect_cancel().with(eq(request)).times(1).return_once(|_| Ok(answer));
    let service = world.reservation_service();
    assert_eq!(service.cancel(customer(), RESERVATION, idempotency).await.unwrap(), again);
}

// Reading, and tidying

#[tokio::test]
async fn a_reservation_is_looked_for_among_the_callers_alone() {
    let mut world = World::new();
    world.reservations.expect_find().with(eq(ACCOUNT), eq(RESERVATION)).times(1).return_once(|_, _| Ok(None));
    assert_eq!(world.reservation_service().find(customer(), RESERVATION).await.unwrap(), None);
}

#[tokio::test]
async fn the_list_is_of_the_callers_reservations_of_the_status_asked_for() {
    let mut world = World::new();
    let (status, request) = (Some(ReservationStatus::Held), PageRequest { limit: 5, after: Some(RESERVATION) });
    let page = Page { items: vec![held()], next: None };
    let answer = page.clone();
    let lists = world.reservations.expect_list().with(eq(ACCOUNT), eq(status), eq(request.clone()));
    lists.times(1).return_once(|_, _, _| Ok(answer));
    assert_eq!(world.reservation_service().list(customer(), status, request).await.unwrap(), page);
}

#[tokio::test]
async fn no_more_holds_are_tidied_away_than_the_limit() {
    let mut world = World::new();
    world.reservations.expect_expire_due().with(eq(50)).times(1).return_once(|_| Ok(7));
    assert_eq!(world.reservation_service().expire_due(50).await.unwrap(), 7);
}
