use boxoffice_application::{
    Identity, WaitingRoomService, draw,
    waiting_room::{GateError, JoinError, Purpose, QueueView},
};
use boxoffice_domain::{
    StorageError, Timestamp,
    catalog::{Concert, NotOnSale},
    fixtures::instant,
    waiting_room::{
        JoinRequest, Joined, PlaceNumber, QueuePlace, QueueStatus, QueueTerms, QueueToken, Recall, RestoreRequest,
        Standing, WaitingRoomError,
    },
};
use mockall::{Sequence, predicate::eq};

use crate::support::{
    ACCOUNT, CONCERT, DRAW, OTHER_CONCERT, STRANGER, World, active, assert_refused, concert, customer, drawn_concert,
    place, waiting,
};

impl World {
    fn seals_the_place(&mut self) {
        self.queue_tokens.expect_seal().with(eq(place())).times(1).return_once(|_| QueueToken("sealed".to_owned()));
    }

    fn room_joins(&mut self, newly: bool) {
        let terms = concert().queue_terms();
        let request = JoinRequest { concert_id: CONCERT, account_id: ACCOUNT, terms, draw: None };
        let status = QueueStatus { place: place(), standing: waiting() };
        self.waiting_room.expect_join().with(eq(request)).times(1).return_once(move |_| Ok(Joined { status, newly }));
    }

    fn place_is_forgotten(&mut self) {
        self.waiting_room.expect_status().with(eq(place())).times(1).return_once(|_| Ok(Recall::Forgotten));
    }

    fn place_was_spent(&mut self, spent: bool) {
        let (account, place) = (eq(ACCOUNT), eq(place().number));
        self.payments
            .expect_has_spent()
            .with(account, eq(CONCERT), place)
            .times(1)
            .return_once(move |_, _, _| Ok(spent));
    }

    pub(crate) fn account_holds_until(&mut self, held_until: Option<Timestamp>) {
        self.reservations
            .expect_held_until()
            .with(eq(ACCOUNT), eq(CONCERT))
            .times(1)
            .return_once(move |_, _| Ok(held_until));
    }

    fn room_restores(&mut self, standing: Standing) {
        let status = QueueStatus { place: place(), standing };
        let request = RestoreRequest { place: place(), terms: concert().queue_terms(), draw: None };
        self.waiting_room.expect_restore().with(eq(request)).times(1).return_once(move |_| Ok(status));
    }
}

fn view(standing: Standing) -> QueueView {
    QueueView { token: QueueToken("sealed".to_owned()), status: QueueStatus { place: place(), standing } }
}

// Joining

#[tokio::test]
async fn where_there_is_a_draw_one_joins_before_the_sale_with_a_number() {
    // The room knows best whether the number still counts, so it is told afterwards too.
    for now in [instant(0), instant(50), instant(99)] {
        let mut world = World::at(now);
        world.concert_is_read(1, Some(drawn_concert()));
        let terms = QueueTerms { opens_at: Some(instant(50)), ..concert().queue_terms() };
        let draw = Some(draw::number(&DRAW, ACCOUNT));
        let request = JoinRequest { concert_id: CONCERT, account_id: ACCOUNT, terms, draw };
        let status = QueueStatus { place: place(), standing: waiting() };
        world
            .waiting_room
            .expect_join()
            .with(eq(request))
            .times(1)
            .return_once(move |_| Ok(Joined { status, newly: true }));
        world.seals_the_place();
        let joined = world.waiting_room_service().join(customer(), CONCERT).await.unwrap();
        assert_eq!(joined, (view(waiting()), true));
    }
    let mut world = World::at(instant(100));
    world.concert_is_read(1, Some(drawn_concert()));
    let joined = world.waiting_room_service().join(customer(), CONCERT).await;
    assert_refused!(joined, JoinError::NotOnSale(NotOnSale::Closed));
}

#[tokio::test]
async fn joining_gives_a_sealed_place_in_a_queue_that_admits_as_many_as_the_concert_says() {
    let mut world = World::new();
    world.concert_is_read(1, Some(concert()));
    world.room_joins(true);
    world.seals_the_place();
    let joined = world.waiting_room_service().join(customer(), CONCERT).await.unwrap();
    assert_eq!(joined, (view(waiting()), true));
}

#[tokio::test]
async fn joining_again_tells_the_same_place_and_that_it_is_not_new() {
    let mut world = World::new();
    world.concert_is_read(1, Some(concert()));
    world.room_joins(false);
    world.seals_the_place();
    let joined = world.waiting_room_service().join(customer(), CONCERT).await.unwrap();
    assert_eq!(joined, (view(waiting()), false));
}

#[tokio::test]
async fn nobody_joins_the_queue_of_a_concert_that_does_not_exist() {
    let mut world = World::new();
    world.concert_is_read(1, None);
    assert_refused!(world.waiting_room_service().join(customer(), CONCERT).await, JoinError::ConcertNotFound);
}

async fn join_at(now: Timestamp) -> Result<(QueueView, bool), JoinError> {
    let mut world = World::at(now);
    world.concert_is_read(1, Some(concert()));
    world.waiting_room_service().join(customer(), CONCERT).await
}

#[tokio::test]
async fn nobody_joins_before_the_sale_opens() {
    assert_refused!(join_at(instant(-101)).await, JoinError::NotOnSale(NotOnSale::NotOpen));
}

#[tokio::test]
async fn nobody_joins_from_the_instant_at_which_the_sale_closes() {
    assert_refused!(join_at(instant(100)).await, JoinError::NotOnSale(NotOnSale::Closed));
}

#[tokio::test]
async fn one_can_join_at_the_first_instant_of_the_sale() {
    let mut world = World::at(instant(-100));
    world.concert_is_read(1, Some(concert()));
    world.room_joins(true);
    world.seals_the_place();
    assert!(world.waiting_room_service().join(customer(), CONCERT).await.is_ok());
}

#[tokio::test]
async fn a_full_queue_takes_nobody_and_no_token_is_sealed() {
    let mut world = World::new();
    world.concert_is_read(1, Some(concert()));
    world.waiting_room.expect_join().times(1).return_once(|_| Err(WaitingRoomError::Full));
    let joined = world.waiting_room_service().join(customer(), CONCERT).await;
    assert_refused!(joined, JoinError::WaitingRoom(WaitingRoomError::Full));
}

#[tokio::test]
async fn nobody_joins_while_the_concert_cannot_be_read() {
    let mut world = World::new();
    world.catalog.expect_concert().times(1).return_once(|_| Err(StorageError::Busy));
    let joined = world.waiting_room_service().join(customer(), CONCERT).await;
    assert_refused!(joined, JoinError::Storage(StorageError::Busy));
}

// Opening a token

fn open(sealed: Option<QueuePlace>) -> Result<QueuePlace, GateError> {
    let mut world = World::new();
    world.queue_tokens.expect_open().with(eq("sealed")).times(1).return_once(move |_| sealed);
    let identity: Identity = customer();
    world.waiting_room_service().place(identity, "sealed")
}

#[test]
fn a_token_of_the_caller_gives_its_place() {
    assert_eq!(open(Some(place())).unwrap(), place());
}

#[test]
fn a_forged_token_is_invalid() {
    assert_refused!(open(None), GateError::Invalid);
}

#[test]
fn the_token_of_another_account_is_invalid() {
    assert_refused!(open(Some(QueuePlace { account_id: STRANGER, ..place() })), GateError::Invalid);
}

// Status

#[tokio::test]
async fn a_status_is_what_the_room_knows_and_asks_nothing_of_the_storage() {
    for standing in [waiting(), active()] {
        let mut world = World::new();
        world.ticket_stands(standing);
        world.seals_the_place();
        assert_eq!(world.waiting_room_service().status(place()).await.unwrap(), view(standing));
    }
}

#[tokio::test]
async fn the_status_of_an_expired_place_is_told_and_not_refused() {
    let mut world = World::new();
    world.ticket_stands(Standing::Expired);
    world.seals_the_place();
    assert_eq!(world.waiting_room_service().status(place()).await.unwrap(), view(Standing::Expired));
}

#[tokio::test]
async fn a_failing_room_gives_no_status() {
    let mut world = World::new();
    world.waiting_room.expect_status().times(1).return_once(|_| Err(StorageError::Busy.into()));
    let status = world.waiting_room_service().status(place()).await;
    assert_refused!(status, GateError::WaitingRoom(WaitingRoomError::Storage(StorageError::Busy)));
}

// A line that was lost

#[tokio::test]
async fn a_forgotten_place_gets_its_place_back_in_a_queue_that_admits_as_many_as_before() {
    let mut world = World::new();
    world.place_is_forgotten();
    world.place_was_spent(false);
    world.concert_is_read(1, Some(concert()));
    world.room_restores(waiting());
    world.account_holds_until(None);
    world.seals_the_place();
    assert_eq!(world.waiting_room_service().status(place()).await.unwrap(), view(waiting()));
}

#[tokio::test]
async fn a_forgotten_place_that_a_payment_has_spent_is_expired_and_not_restored() {
    let mut world = World::new();
    world.place_is_forgotten();
    world.place_was_spent(true);
    world.seals_the_place();
    assert_eq!(world.waiting_room_service().status(place()).await.unwrap(), view(Standing::Expired));
}

#[tokio::test]
async fn a_forgotten_place_that_a_payment_has_spent_does_not_open_the_gate() {
    let mut world = World::new();
    world.place_is_forgotten();
    world.place_was_spent(true);
    let admitted = world.waiting_room_service().admit(place(), CONCERT, Purpose::Continue).await;
    assert_refused!(admitted, GateError::Expired);
}

#[tokio::test]
async fn a_forgotten_place_of_a_concert_that_is_gone_is_expired_and_not_restored() {
    let mut world = World::new();
    world.place_is_forgotten();
    world.place_was_spent(false);
    world.concert_is_read(1, None);
    world.seals_the_place();
    assert_eq!(world.waiting_room_service().status(place()).await.unwrap(), view(Standing::Expired));
}

#[tokio::test]
async fn a_place_is_not_restored_while_nobody_can_tell_whether_it_was_spent() {
    let mut world = World::new();
    world.place_is_forgotten();
    world.payments.expect_has_spent().times(1).return_once(|_, _, _| Err(StorageError::Busy));
    let status = world.waiting_room_service().status(place()).await;
    assert_refused!(status, GateError::Storage(StorageError::Busy));
}

#[tokio::test]
async fn a_place_is_not_restored_while_its_concert_cannot_be_read() {
    let mut world = World::new();
    world.place_is_forgotten();
    world.place_was_spent(false);
    world.catalog.expect_concert().times(1).return_once(|_| Err(StorageError::Busy));
    let status = world.waiting_room_service().status(place()).await;
    assert_refused!(status, GateError::Storage(StorageError::Busy));
}

#[tokio::test]
async fn a_room_that_fails_to_restore_a_place_gives_no_status() {
    let mut world = World::new();
    world.place_is_forgotten();
    world.place_was_spent(false);
    world.concert_is_read(1, Some(concert()));
    world.waiting_room.expect_restore().times(1).return_once(|_| Err(WaitingRoomError::Full));
    let status = world.waiting_room_service().status(place()).await;
    assert_refused!(status, GateError::WaitingRoom(WaitingRoomError::Full));
}

#[tokio::test]
async fn a_restored_place_that_still_waits_does_not_open_the_gate() {
    let mut world = World::new();
    world.place_is_forgotten();
    world.place_was_spent(false);
    world.concert_is_read(1, Some(concert()));
    world.room_restores(waiting());
    world.account_holds_until(None);
    let admitted = world.waiting_room_service().admit(place(), CONCERT, Purpose::Continue).await;
    assert_refused!(admitted, GateError::NotActive { position: Some(9) });
}

#[tokio::test]
async fn a_restored_place_that_is_admitted_at_once_opens_the_gate() {
    let mut world = World::new();
    world.place_is_forgotten();
    world.place_was_spent(false);
    world.concert_is_read(1, Some(concert()));
    world.room_restores(active());
    world.account_holds_until(None);
    world.waiting_room_service().admit(place(), CONCERT, Purpose::Hold).await.unwrap();
}

#[tokio::test]
async fn who_holds_seats_is_let_in_again_after_the_queue_was_lost() {
    let (mut world, mut order) = (World::new(), Sequence::new());
    let standings = |standing| Ok(Recall::Known(QueueStatus { place: place(), standing }));
    world.waiting_room.expect_status().times(1).in_sequence(&mut order).return_once(|_| Ok(Recall::Forgotten));
    world.place_was_spent(false);
    world.concert_is_read(1, Some(concert()));
    world.room_restores(waiting());
    world.account_holds_until(Some(instant(200)));
    world
        .waiting_room
        .expect_keep_until()
        .with(eq(CONCERT), eq(ACCOUNT), eq(Some(instant(200))))
        .times(1)
        .in_sequence(&mut order)
        .return_once(|_, _, _| Ok(()));
    world.waiting_room.expect_status().times(1).in_sequence(&mut order).return_once(move |_| standings(active()));
    world.waiting_room_service().admit(place(), CONCERT, Purpose::Continue).await.unwrap();
}

#[tokio::test]
async fn a_place_that_ended_is_not_looked_up_among_the_holds() {
    let mut world = World::new();
    world.place_is_forgotten();
    world.place_was_spent(false);
    world.concert_is_read(1, Some(concert()));
    world.room_restores(Standing::Expired);
    let admitted = world.waiting_room_service().admit(place(), CONCERT, Purpose::Continue).await;
    assert_refused!(admitted, GateError::Expired);
}

#[tokio::test]
async fn a_place_of_a_draw_is_restored_with_its_number_and_how_the_queue_is_run() {
    let mut world = World::new();
    let paused = Concert { paused: true, ..drawn_concert() };
    let terms = QueueTerms { paused: true, opens_at: Some(instant(50)), ..concert().queue_terms() };
    world.place_is_forgotten();
    world.place_was_spent(false);
    world.concert_is_read(1, Some(paused));
    let request = RestoreRequest { place: place(), terms, draw: Some(draw::number(&DRAW, ACCOUNT)) };
    let status = QueueStatus { place: place(), standing: waiting() };
    world.waiting_room.expect_restore().with(eq(request)).times(1).return_once(move |_| Ok(status));
    world.account_holds_until(None);
    world.seals_the_place();
    assert_eq!(world.waiting_room_service().status(place()).await.unwrap(), view(waiting()));
}

#[tokio::test]
async fn a_place_of_before_the_queue_was_emptied_is_not_restored() {
    let joined_at = place().joined_at;
    let mut world = World::new();
    world.place_is_forgotten();
    world.place_was_spent(false);
    let emptied_at = Some(joined_at + chrono::TimeDelta::microseconds(1));
    world.concert_is_read(1, Some(Concert { emptied_at, ..concert() }));
    world.account_holds_until(None);
    world.seals_the_place();
    assert_eq!(world.waiting_room_service().status(place()).await.unwrap(), view(Standing::Expired));

    // One that joined as it was emptied or later is.
    let mut world = World::new();
    world.place_is_forgotten();
    world.place_was_spent(false);
    world.concert_is_read(1, Some(Concert { emptied_at: Some(joined_at), ..concert() }));
    world.room_restores(waiting());
    world.account_holds_until(None);
    world.seals_the_place();
    assert_eq!(world.waiting_room_service().status(place()).await.unwrap(), view(waiting()));
}

#[tokio::test]
async fn whoever_holds_seats_did_not_wait_when_the_queue_was_emptied() {
    let mut world = World::new();
    world.place_is_forgotten();
    world.place_was_spent(false);
    world.concert_is_read(1, Some(Concert { emptied_at: Some(instant(0)), ..concert() }));
    world.reservations.expect_held_until().times(2).returning(|_, _| Ok(Some(instant(200))));
    world.room_restores(waiting());
    world.waiting_room.expect_keep_until().times(1).return_once(|_, _, _| Ok(()));
    let status = QueueStatus { place: place(), standing: active() };
    world.waiting_room.expect_status().times(1).return_once(move |_| Ok(Recall::Known(status)));
    world.waiting_room_service().check(place(), Purpose::Continue).await.unwrap();
}

// Leaving

#[tokio::test]
async fn leaving_takes_the_holder_out() {
    let mut world = World::new();
    world.ticket_stands(active());
    world.waiting_room.expect_leave().with(eq(place())).times(1).return_once(|_| Ok(()));
    world.waiting_room_service().leave(place()).await.unwrap();
}

#[tokio::test]
async fn leaving_with_an_expired_place_is_no_error() {
    let mut world = World::new();
    world.ticket_stands(Standing::Expired);
    world.waiting_room.expect_leave().with(eq(place())).times(1).return_once(|_| Ok(()));
    world.waiting_room_service().leave(place()).await.unwrap();
}

#[tokio::test]
async fn a_forgotten_place_is_known_again_before_it_leaves_so_that_it_cannot_come_back() {
    let (mut world, mut order) = (World::new(), Sequence::new());
    world.place_is_forgotten();
    world.place_was_spent(false);
    world.concert_is_read(1, Some(concert()));
    world.account_holds_until(None);
    let status = QueueStatus { place: place(), standing: waiting() };
    world.waiting_room.expect_restore().times(1).in_sequence(&mut order).return_once(move |_| Ok(status));
    world.waiting_room.expect_leave().with(eq(place())).times(1).in_sequence(&mut order).return_once(|_| Ok(()));
    world.waiting_room_service().leave(place()).await.unwrap();
}

#[tokio::test]
async fn nobody_leaves_a_room_that_cannot_say_where_they_stand() {
    let mut world = World::new();
    world.waiting_room.expect_status().times(1).return_once(|_| Err(StorageError::Busy.into()));
    assert_refused!(world.waiting_room_service().leave(place()).await, GateError::WaitingRoom(_));
}

#[tokio::test]
async fn a_room_that_fails_to_take_the_holder_out_is_an_error() {
    let mut world = World::new();
    world.ticket_stands(waiting());
    world.waiting_room.expect_leave().times(1).return_once(|_| Err(StorageError::Busy.into()));
    assert_refused!(world.waiting_room_service().leave(place()).await, GateError::WaitingRoom(_));
}

// The gate

#[tokio::test]
async fn the_place_of_another_concert_is_invalid_and_the_room_is_not_asked() {
    let admitted = World::new().waiting_room_service().admit(place(), OTHER_CONCERT, Purpose::Continue).await;
    assert_refused!(admitted, GateError::Invalid);
}

#[tokio::test]
async fn whoever_waits_for_the_draw_is_not_told_a_position() {
    let mut world = World::new();
    world.ticket_stands(Standing::Waiting { position: None, estimated_wait_seconds: None, poll_after_seconds: 20 });
    let admitted = world.waiting_room_service().admit(place(), CONCERT, Purpose::Continue).await;
    assert_refused!(admitted, GateError::NotActive { position: None });
}

#[tokio::test]
async fn whoever_waits_is_told_the_position() {
    let mut world = World::new();
    world.ticket_stands(waiting());
    let admitted = world.waiting_room_service().admit(place(), CONCERT, Purpose::Continue).await;
    assert_refused!(admitted, GateError::NotActive { position: Some(9) });
}

#[tokio::test]
async fn an_expired_place_opens_the_gate_for_nothing() {
    for purpose in [Purpose::Continue, Purpose::Hold] {
        let mut world = World::new();
        world.ticket_stands(Standing::Expired);
        let admitted = world.waiting_room_service().admit(place(), CONCERT, purpose).await;
        assert_refused!(admitted, GateError::Expired);
    }
}

/// Whether the gate is open at `now` to a place that was admitted until 600 and holds seats until 800.
async fn is_open(now: Timestamp, purpose: Purpose) -> bool {
    let mut world = World::at(now);
    world.ticket_stands(Standing::Active { admitted_until: instant(600), active_until: instant(800) });
    let service: WaitingRoomService = world.waiting_room_service();
    match service.check(place(), purpose).await {
        Ok(()) => true,
        Err(GateError::Expired) => false,
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn seats_are_newly_held_until_the_admission_ends_and_not_while_only_a_hold_extends_it() {
    let almost = instant(600) - chrono::TimeDelta::microseconds(1);
    assert!(is_open(almost, Purpose::Hold).await);
    assert!(!is_open(instant(600), Purpose::Hold).await);
    assert!(!is_open(instant(700), Purpose::Hold).await);
}

#[tokio::test]
async fn what_is_held_can_be_paid_until_the_last_hold_ends() {
    let almost = instant(800) - chrono::TimeDelta::microseconds(1);
    assert!(is_open(instant(600), Purpose::Continue).await);
    assert!(is_open(almost, Purpose::Continue).await);
    assert!(!is_open(instant(800), Purpose::Continue).await);
}

#[tokio::test]
async fn an_old_token_stays_expired_when_its_account_has_a_newer_place() {
    // The room is asked about the place in the token, and not about the account.
    let old = QueuePlace { number: PlaceNumber(1), ..place() };
    let mut world = World::new();
    let status = QueueStatus { place: old, standing: Standing::Expired };
    world.waiting_room.expect_status().with(eq(old)).times(1).return_once(move |_| Ok(Recall::Known(status)));
    let admitted = world.waiting_room_service().admit(old, CONCERT, Purpose::Continue).await;
    assert_refused!(admitted, GateError::Expired);
}

#[tokio::test]
async fn a_failing_room_opens_the_gate_to_nobody() {
    let mut world = World::new();
    world.waiting_room.expect_status().times(1).return_once(|_| Err(StorageError::Busy.into()));
    let admitted = world.waiting_room_service().check(place(), Purpose::Continue).await;
    assert_refused!(admitted, GateError::WaitingRoom(_));
}

// The rest

#[tokio::test]
async fn a_change_is_waited_for_from_the_version_that_was_seen() {
    let mut world = World::new();
    world.waiting_room.expect_changed().with(eq(CONCERT), eq(5)).times(1).return_once(|_, _| Ok(6));
    assert_eq!(world.waiting_room_service().changed(CONCERT, 5).await.unwrap(), 6);
}

#[tokio::test]
async fn tidying_tells_when_to_look_again() {
    let mut world = World::new();
    world.waiting_room.expect_advance().times(1).return_once(|| Ok(Some(instant(5))));
    assert_eq!(world.waiting_room_service().advance().await.unwrap(), Some(instant(5)));
}
