//! A server that was restarted, and the queues that it has lost.

use std::sync::Arc;

use boxoffice_domain::{
    fixtures::{TestClock, instant},
    waiting_room::{PlaceNumber, QueuePlace, QueueStatus, Recall, Standing},
};
use boxoffice_waiting_room::Settings;

use super::{in_memory, restarted};
<<<<<<< HEAD
use crate::support::{Instance, account, concert, settings, terms};

#[tokio::test]
async fn a_lost_queue_re_forms_in_the_old_order_before_newcomers() {
    let (clock, places, server) = restarted(20).await;
    let newcomer = server.join(100).await;
    assert!(matches!(newcomer.standing, Standing::Waiting { position: Some(1), estimated_wait_seconds: None, .. }));
    assert!(newcomer.place.number > places[19].number);
    for index in (0..20).map(|step| step * 7 % 20) {
        assert_eq!(server.recall(&places[index]).await, Recall::Forgotten);
        assert!(matches!(server.poll(&places[index]).await, Standing::Waiting { .. }), "none is admitted yet");
    }
    for (position, place) in (1..).zip(places.iter().chain([&newcomer.place])) {
        assert_eq!(server.position(place).await, position);
    }
    clock.advance_seconds(4);
    assert_eq!(server.advance().await, Some(instant(15)));
    assert_eq!(server.position(&places[0]).await, 1);
    clock.advance_seconds(1);
    server.advance().await;
    for place in &places[..3] {
        assert!(server.is_active(place).await);
    }
    assert_eq!(server.position(&places[3]).await, 1);
    assert_eq!(server.position(&newcomer.place).await, 18);
}

#[tokio::test]
async fn an_account_that_comes_back_changes_the_standing_of_those_behind() {
    let (_, places, server) = restarted(2).await;
    server.poll(&places[1]).await;
    let version = server.version().await;
    server.poll(&places[0]).await;
    assert_ne!(server.version().await, version);
}
=======
use crate::support::{account, concert};
>>>>>>> w/queue

#[tokio::test]
async fn the_end_of_re_forming_is_known_without_a_queue() {
    let clock = Arc::new(TestClock::new());
    let server = in_memory(&clock, settings());
    assert_eq!(server.advance().await, Some(instant(5)));
    clock.advance_seconds(5);
    assert_eq!(server.advance().await, None);
    assert!(matches!(server.join(1).await.standing, Standing::Active { .. }));
}

#[tokio::test]
async fn a_place_of_this_process_that_is_unknown_is_over() {
    let (_, places, server) = restarted(1).await;
    let known = server.join(7).await.place;
    let unknown = QueuePlace { account_id: account(8), number: PlaceNumber(known.number.0 + 1_000), ..known };
    assert!(server.is_expired(&unknown).await);
    let elsewhere = QueuePlace { concert_id: concert(2), ..unknown };
    assert!(matches!(server.recall(&elsewhere).await, Recall::Known(QueueStatus { standing: Standing::Expired, .. })));
    let elsewhere = QueuePlace { concert_id: concert(2), ..places[0] };
    assert_eq!(server.recall(&elsewhere).await, Recall::Forgotten);
}

#[tokio::test]
<<<<<<< HEAD
async fn a_place_that_was_given_twice_is_shared_in_the_order_of_accounts() {
    let (_, places, server) = restarted(2).await;
    let twin = QueuePlace { account_id: account(8), ..places[0] };
    for place in [&twin, &places[1], &places[0]] {
        server.poll(place).await;
    }
    assert_eq!(server.position(&places[0]).await, 1);
    assert_eq!(server.position(&twin).await, 2);
    assert_eq!(server.position(&places[1]).await, 3);
}

#[tokio::test]
async fn a_lost_queue_re_forms_in_the_order_drawn() {
    let clock = Arc::new(TestClock::new());
    let drawn = QueueTerms { opens_at: Some(instant(100)), ..terms(1) };
    let lost = Instance { terms: drawn, ..in_memory(&clock, settings()) };
    let mut places = Vec::new();
    for number in [3, 1, 4, 2] {
        places.push(lost.join(number).await.place);
    }
    clock.set(instant(100));
    let late = lost.join(0).await.place;
    clock.set(instant(110));
    let server = Instance { terms: drawn, ..in_memory(&clock, settings()) };
    for place in [&late, &places[2], &places[0], &places[3], &places[1]] {
        server.poll(place).await;
    }
    let in_order = [places[1], places[3], places[0], places[2], late];
    for (position, place) in (1..).zip(&in_order) {
        assert_eq!(server.position(place).await, position);
    }

    // It may also be lost before it opens.
    clock.set(instant(50));
    let server = Instance { terms: drawn, ..in_memory(&clock, Settings { reform_seconds: 0, ..settings() }) };
    for place in &places {
        assert!(matches!(server.poll(place).await, Standing::Waiting { position: None, .. }));
    }
    clock.set(instant(100));
    assert!(server.is_active(&places[1]).await);
    assert_eq!(server.position(&places[3]).await, 1);
}

#[tokio::test]
async fn an_emptied_queue_restores_nobody() {
    let (clock, places, server) = restarted(5).await;
    clock.advance_seconds(5);
    assert!(server.is_active(&places[0]).await);
    for place in &places[1..4] {
        server.poll(place).await;
    }
    assert_eq!(server.waiting_room.empty(concert(1)).await.expect("empties"), 1);
    assert!(server.is_expired(&places[4]).await, "it was forgotten at the moment");
    assert!(server.is_expired(&places[3]).await);
    assert!(server.is_active(&places[0]).await && server.is_active(&places[2]).await);
    server.leave(&places[0]).await;
    assert!(server.is_expired(&places[0]).await);

    // Also where nobody has come back yet.
    let (clock, places, server) = restarted(2).await;
    assert_eq!(server.waiting_room.empty(concert(1)).await.expect("empties"), 0);
    assert!(server.is_expired(&places[0]).await);
    clock.advance_seconds(5);
    assert!(matches!(server.join(0).await.standing, Standing::Active { .. }));
}

#[tokio::test]
async fn a_pause_outlasts_a_restart_and_lets_holders_of_seats_back_in() {
    let (clock, places, server) = restarted(3).await;
    let server = Instance { terms: QueueTerms { paused: true, ..server.terms }, ..server };
    for place in &places {
        server.poll(place).await;
    }
    clock.advance_seconds(5);
    assert_eq!(server.position(&places[0]).await, 1);
    server.keep_until(&places[1], Some(instant(310))).await;
    assert!(server.is_active(&places[1]).await);
    assert_eq!(server.position(&places[2]).await, 2);
}

#[tokio::test]
=======
>>>>>>> w/queue
async fn an_old_place_is_not_restored_for_ever() {
    let (clock, places, server) = restarted(2).await;
    let day = i64::from(settings().restorable_seconds);
    clock.set(instant(day) - chrono::TimeDelta::microseconds(1));
    assert!(server.is_active(&places[0]).await);
    clock.set(instant(day));
    assert!(server.is_active(&places[0]).await, "what was restored stays");
    assert!(server.is_expired(&places[1]).await);
}
