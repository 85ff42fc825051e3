use std::sync::Arc;

use boxoffice_application::{
    draw,
    waiting_room::{GateError, JoinError, Purpose, QueueView},
};
use boxoffice_domain::{
    Network, StorageError,
    accounts::{AccountEmail, MockAccountEmails, MockAccounts},
    catalog::{MockCatalog, NotOnSale, SalesWindow},
    fixtures::instant,
    mail::EmailAddress,
    payments::MockPayments,
    waiting_room::{
        Draw, JoinRequest, Joined, MockWaitingRoom, QueuePlace, QueueStatus, QueueTerms, Recall, RestoreRequest,
        SaleReading, Standing, Visit, WaitingRoom, WaitingRoomError,
    },
};
use chrono::TimeDelta;
use mockall::predicate::eq;

use crate::support::{ADMISSION_SECONDS, World, assert_refused, mock};

const DRAW: Draw = Draw::new([7; 32]);

impl World {
    async fn try_join(&self) -> Result<(QueueView, bool), JoinError> {
        self.waiting_room_service().join(self.buyer(), self.show.concert.id, None).await
    }

    async fn check(&self, place: QueuePlace, purpose: Purpose) -> Result<(), GateError> {
        self.waiting_room_service().admit(place, place.concert_id, purpose).await
    }

    async fn status(&self, place: QueuePlace) -> Result<Standing, GateError> {
        let view = self.waiting_room_service().status(place).await?;
        assert_eq!(view.status.place, place);
        Ok(view.status.standing)
    }

    /// The concert has a draw, and its sale opens at [`instant`] 50 and closes at 100.
    async fn has_a_draw(&mut self) {
        let sales = SalesWindow::new(instant(50), instant(100)).unwrap();
        self.change_concert(|concert| (concert.draw, concert.sales) = (Some(DRAW), sales)).await;
    }
}

fn waits(standing: Standing, at: u64) -> bool {
    matches!(standing, Standing::Waiting { position, .. } if position == Some(at))
}

// Joining

#[tokio::test]
async fn if_there_is_a_draw_an_account_joins_with_its_number() {
    let mut world = World::new().await;
    world.has_a_draw().await;
    let (place, account_id) = (world.admitted().await, world.buyer);
    let standing = world.status(place).await.unwrap();
    assert!(matches!(standing, Standing::Waiting { position: None, .. }), "there is no order before the draw");
    let admitted = world.check(place, Purpose::Continue).await;
    assert_refused!(admitted, GateError::NotActive { position: None });

    // The waiting room decides whether the number still counts, so it gets one after the draw too.
    let concert = &world.show.concert;
    let (terms, draw) = (concert.queue_terms(), Some(draw::number(&DRAW, account_id)));
    let request = JoinRequest { concert_id: concert.id, account_id, terms, draw, network: None };
    world.waiting_room = mock(|room: &mut MockWaitingRoom| {
        let joined = Joined { status: QueueStatus { place, standing, reason: None }, newly: true };
        // How the sale stood comes along, too.
        let without_sale = move |found: &JoinRequest| {
            let terms = QueueTerms { sale: SaleReading::NONE, ..found.terms };
            JoinRequest { terms, ..*found } == request
        };
        room.expect_join().withf(without_sale).times(2).returning(move |_| Ok(joined));
    });
    for now in [0, 50] {
        world.stage.clock.set(instant(now));
        assert_eq!(world.admitted().await, place);
    }
}

#[tokio::test]
async fn joining_gives_a_token_of_the_same_place_each_time_in_a_queue_with_the_limit_of_the_concert() {
    let mut world = World::new().await;
    let place = world.waiting().await;
    let service = world.waiting_room_service();
    let (view, newly) = world.try_join().await.unwrap();
    assert_eq!((view.status.place, newly), (place, false));
    assert!(waits(view.status.standing, 1), "{:?}", view.status);
    assert_eq!(service.place(world.buyer(), &view.token.0).unwrap(), place);

    let stranger = world.stranger().await;
    assert_refused!(service.place(stranger, &view.token.0), GateError::Invalid);
    assert_refused!(service.place(world.buyer(), "forged"), GateError::Invalid);
    assert!(service.join(stranger, world.show.concert.id, None).await.unwrap().1);
}

#[tokio::test]
async fn an_account_joins_while_the_sale_is_open_and_earlier_if_there_is_a_draw() {
    let almost = |second| instant(second) - TimeDelta::microseconds(1);
    for draws in [false, true] {
        let mut world = World::new().await;
        world.has_a_draw().await;
        if !draws {
            world.change_concert(|concert| concert.draw = None).await;
        }
        let too_early = (!draws).then_some(NotOnSale::NotOpen { opens_at: instant(50), seconds_left: 1 });
        for (now, refusal) in
            [(almost(50), too_early), (instant(50), None), (almost(100), None), (instant(100), Some(NotOnSale::Closed))]
        {
            world.stage.clock.set(now);
            match world.try_join().await {
                Ok(_) => assert_eq!(refusal, None),
                Err(JoinError::NotOnSale(found)) => assert_eq!(refusal, Some(found)),
                Err(other) => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn an_account_joins_from_the_age_on_that_the_operator_wants() {
    let mut world = World::new().await;
    world.account_age_min = TimeDelta::minutes(10);
    // The buyer's account was made at instant 0.
    world.stage.clock.set(instant(599));
    assert_refused!(world.try_join().await, JoinError::AccountTooNew { seconds_left: 1 });
    world.stage.clock.set(instant(600));
    assert!(world.try_join().await.unwrap().1);

    let mut world = World::new().await;
    world.waiting().await;
    world.stage.storage.accounts = Arc::new(MockAccounts::new());
    assert!(!world.try_join().await.unwrap().1, "nothing is read of an account that waits, and may be of any age");
}

#[tokio::test]
async fn accounts_of_one_network_join_only_so_often() {
    let world = World::new().await;
    let service = world.waiting_room_service();
    let network = Network::of("192.0.2.1".parse().unwrap());
    let join = async |identity| service.join(identity, world.show.concert.id, Some(network)).await;
    for _ in 0..2 {
        join(world.stranger().await).await.unwrap();
    }
    // Two may within an hour, which began at instant 0.
    world.stage.clock.set(instant(3_599));
    assert_refused!(join(world.buyer()).await, JoinError::NetworkFull { seconds_left: 1 });
}

/// Only what is behind the gate is a use of an admission.
#[tokio::test]
async fn asking_for_the_status_uses_no_admission() {
    let mut world = World::new().await;
    let place = world.admitted().await;
    let standing = Standing::Active { admitted_until: instant(600), active_until: instant(600) };
    let status = QueueStatus { place, standing, reason: None };
    world.waiting_room = mock(|room: &mut MockWaitingRoom| {
        let expect = |room: &mut MockWaitingRoom, visit: Visit, times: usize| {
            let known = move |_: &QueuePlace, _: Visit| Ok(Recall::Known(status));
            room.expect_status().withf(move |_, found| *found == visit).times(times).returning(known);
        };
        expect(room, Visit::Poll, 1);
        expect(room, Visit::Use, 3);
    });
    world.status(place).await.unwrap();
    for purpose in [Purpose::Look, Purpose::Continue, Purpose::Hold] {
        world.check(place, purpose).await.unwrap();
    }
}

#[tokio::test]
async fn an_account_does_not_join_an_unknown_concert_or_a_full_queue_or_without_the_storage() {
    let mut world = World::new().await;
    world.waiting_room = mock(|room: &mut MockWaitingRoom| {
        room.expect_join().times(1).return_once(|_| Err(WaitingRoomError::Full));
    });
    assert_refused!(world.try_join().await, JoinError::WaitingRoom(WaitingRoomError::Full));
    for (found, unknown) in [(Ok(None), true), (Err(StorageError::Busy), false)] {
        world.stage.storage.catalog = mock(|catalog: &mut MockCatalog| {
            catalog.expect_concert().times(1).return_once(|_| found);
        });
        match world.try_join().await {
            Err(JoinError::ConcertNotFound) => assert!(unknown),
            refused => assert_refused!(refused, JoinError::Storage(StorageError::Busy)),
        }
    }
}

// Status

#[tokio::test]
async fn a_status_is_what_the_room_knows_and_asks_nothing_of_the_storage() {
    let mut world = World::new().await;
    let expired = world.expired().await;
    let waiting = world.waiting().await;
    world.close_storage();
    assert!(waits(world.status(waiting).await.unwrap(), 1));
    assert_eq!(world.status(expired).await.unwrap(), Standing::Expired);
    world.lose_waiting_room();
    let status = world.status(waiting).await;
    assert_refused!(status, GateError::WaitingRoom(WaitingRoomError::Storage(StorageError::Busy)));
}

// A queue that was lost

#[tokio::test]
async fn a_forgotten_place_comes_back_in_a_queue_with_the_limit_of_the_concert() {
    let mut world = World::new().await;
    let place = world.admitted().await;
    world.lose_queues();
    world.check(place, Purpose::Hold).await.unwrap();

    // Now the queue admits one at a time, and has admitted another account.
    world.lose_queues();
    world.change_concert(|concert| concert.max_active = 1).await;
    world.join(world.stage.account().await).await;
    assert!(waits(world.status(place).await.unwrap(), 1));
    assert_refused!(world.check(place, Purpose::Continue).await, GateError::NotActive { position: Some(1) });
}

#[tokio::test]
async fn a_forgotten_place_that_a_payment_has_spent_is_expired_and_not_restored() {
    let mut world = World::new().await;
    let place = world.admitted().await;
    let held = world.held(place, "A-1-1").await;
    world.pay(place, &held, "k").await.unwrap();
    world.lose_queues();
    assert_eq!(world.status(place).await.unwrap(), Standing::Expired);
    assert_refused!(world.check(place, Purpose::Continue).await, GateError::Expired);
    assert_eq!(world.queues.status(&place, Visit::Poll).await.unwrap(), Recall::Forgotten);
}

#[tokio::test]
async fn a_forgotten_place_is_not_restored_without_its_concert_or_while_the_storage_cannot_be_read() {
    let mut world = World::new().await;
    let place = world.admitted().await;
    world.lose_queues();
    for (found, expired) in [(Ok(None), true), (Err(StorageError::Busy), false)] {
        world.stage.storage.catalog = mock(|catalog: &mut MockCatalog| {
            catalog.expect_concert().times(1).return_once(|_| found);
        });
        match world.status(place).await {
            Ok(standing) => assert!(expired && standing == Standing::Expired),
            Err(error) => assert!(!expired && matches!(error, GateError::Storage(StorageError::Busy)), "{error:?}"),
        }
    }
    world.stage.storage.payments = mock(|payments: &mut MockPayments| {
        payments.expect_has_spent().times(1).return_once(|_, _, _| Err(StorageError::Busy));
    });
    assert_refused!(world.status(place).await, GateError::Storage(StorageError::Busy));
    assert_eq!(world.queues.status(&place, Visit::Poll).await.unwrap(), Recall::Forgotten);
}

#[tokio::test]
async fn a_forgotten_place_from_before_the_emptying_is_not_restored_and_one_with_held_seats_is_admitted_again() {
    let (microsecond, same) = (TimeDelta::microseconds(1), TimeDelta::zero());
    for (holds, emptied_after, gate) in [
        (false, None, "waits"),
        (true, None, "open"),
        (false, Some(microsecond), "expired"),
        (false, Some(same), "waits"),
        (true, Some(microsecond), "open"),
    ] {
        let mut world = World::new().await;
        let place = world.admitted().await;
        if holds {
            world.held(place, "A-1-1").await;
        }
        // A paused queue admits no other account.
        let emptied_at = emptied_after.map(|after| place.joined_at + after);
        world.change_concert(|concert| (concert.paused, concert.emptied_at) = (true, emptied_at)).await;
        world.lose_queues();
        let checked = match world.check(place, Purpose::Continue).await {
            Ok(()) => "open",
            Err(GateError::NotActive { position: Some(1) }) => "waits",
            Err(GateError::Expired) => "expired",
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(checked, gate, "{holds} {emptied_after:?}");
    }
}

#[tokio::test]
async fn a_place_is_restored_with_its_number_and_the_terms_of_its_concert() {
    let mut world = World::new().await;
    world.has_a_draw().await;
    world.change_concert(|concert| concert.paused = true).await;
    let place = world.admitted().await;
    let (terms, draw) = (world.show.concert.queue_terms(), Some(draw::number(&DRAW, world.buyer)));
    let request = RestoreRequest { place, terms, draw, held_until: None };
    for restored in [Ok(QueueStatus { place, standing: Standing::Expired, reason: None }), Err(WaitingRoomError::Full)]
    {
        let full = restored.is_err();
        world.waiting_room = mock(|room: &mut MockWaitingRoom| {
            room.expect_status().returning(|_, _| Ok(Recall::Forgotten));
            room.expect_restore().with(eq(request)).times(1).return_once(|_| restored);
        });
        match world.status(place).await {
            Ok(standing) => assert!(!full && standing == Standing::Expired),
            Err(error) => assert!(full && matches!(error, GateError::WaitingRoom(WaitingRoomError::Full))),
        }
    }
}

// Leaving

#[tokio::test]
async fn leaving_ends_a_place_also_a_forgotten_one_and_is_no_error_again() {
    for forgotten in [false, true] {
        let mut world = World::new().await;
        let place = world.admitted().await;
        if forgotten {
            world.lose_queues();
        }
        for _ in 0..2 {
            world.waiting_room_service().leave(place).await.unwrap();
            assert_eq!(world.standing(place).await, Standing::Expired, "it cannot come back");
        }
    }
}

#[tokio::test]
async fn a_change_of_the_queue_is_waited_for_from_the_version_that_was_seen() {
    let mut world = World::new().await;
    let concert_id = world.show.concert.id;
    world.waiting_room = mock(|room: &mut MockWaitingRoom| {
        room.expect_changed().with(eq(concert_id), eq(3)).times(1).return_once(|_, _| Ok(7));
    });
    assert_eq!(world.waiting_room_service().changed(concert_id, 3).await.unwrap(), 7);
}

#[tokio::test]
async fn the_queues_are_advanced_and_say_when_to_do_so_again() {
    let mut world = World::new().await;
    world.waiting_room = mock(|room: &mut MockWaitingRoom| {
        room.expect_advance().times(1).return_once(|| Ok(Some(instant(9))));
    });
    assert_eq!(world.waiting_room_service().advance().await.unwrap(), Some(instant(9)));
}

#[tokio::test]
async fn leaving_a_room_that_fails_is_an_error() {
    let mut world = World::new().await;
    let place = world.admitted().await;
    world.make_waiting_room_forgetful(place).await;
    assert_refused!(world.waiting_room_service().leave(place).await, GateError::WaitingRoom(_));
    // Without the standing of the place, the room is not asked to end it.
    world.lose_waiting_room();
    assert_refused!(world.waiting_room_service().leave(place).await, GateError::WaitingRoom(_));
}

// The gate

#[tokio::test]
async fn the_place_of_another_concert_is_invalid_and_the_room_is_not_asked() {
    let mut world = World::new().await;
    let (here, elsewhere) = (world.show.concert.id, world.elsewhere().await);
    world.close();
    let admitted = world.waiting_room_service().admit(elsewhere, here, Purpose::Continue).await;
    assert_refused!(admitted, GateError::Invalid);
}

#[tokio::test]
async fn the_gate_is_closed_to_a_place_that_waits_or_is_over() {
    let mut world = World::new().await;
    let (old, here) = (world.expired().await, world.show.concert.id);
    let waiting = world.waiting().await;
    for purpose in [Purpose::Continue, Purpose::Hold] {
        let service = world.waiting_room_service();
        assert_refused!(service.admit(waiting, here, purpose).await, GateError::NotActive { position: Some(1) });
        // It does not help that the account has a newer place.
        assert_refused!(service.admit(old, here, purpose).await, GateError::Expired);
    }
    world.lose_waiting_room();
    assert_refused!(world.check(waiting, Purpose::Continue).await, GateError::WaitingRoom(_));
}

#[tokio::test]
async fn seats_are_newly_held_until_the_admission_ends_and_paid_until_the_last_hold_ends() {
    let mut world = World::new().await;
    let (place, admitted_until) = (world.admitted().await, instant(ADMISSION_SECONDS));
    let active_until = admitted_until + TimeDelta::seconds(200);
    // In the waiting room nothing has ended yet: the service decides.
    let status = QueueStatus { place, standing: Standing::Active { admitted_until, active_until }, reason: None };
    world.waiting_room = mock(|room: &mut MockWaitingRoom| {
        room.expect_status().returning(move |_, _| Ok(Recall::Known(status)));
    });
    for (purpose, until) in [(Purpose::Hold, admitted_until), (Purpose::Continue, active_until)] {
        world.stage.clock.set(until - TimeDelta::microseconds(1));
        world.check(place, purpose).await.unwrap();
        world.stage.clock.set(until);
        assert_refused!(world.check(place, purpose).await, GateError::Expired);
    }
}

#[tokio::test]
async fn a_concert_may_demand_a_verified_address() {
    let mut world = World::new().await;
    let email = |address: Option<&str>| AccountEmail {
        address: address.map(|text| EmailAddress::new(text).unwrap()),
        ..AccountEmail::default()
    };
    world.stage.storage.emails = Arc::new(MockAccountEmails::new());
    assert!(world.try_join().await.unwrap().1, "nothing is read of an account that needs none");

    let mut world = World::new().await;
    world.change_concert(|concert| concert.requires_verified_email = true).await;
    world.stage.storage.emails = mock(|emails: &mut MockAccountEmails| {
        emails.expect_find_email().times(1).returning(move |_| Ok(email(None)));
        emails.expect_find_email().returning(move |_| Ok(email(Some("haneul@example.org"))));
    });
    assert_refused!(world.try_join().await, JoinError::EmailNotVerified);
    assert!(world.try_join().await.unwrap().1);
}
