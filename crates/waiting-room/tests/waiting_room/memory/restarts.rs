//! A server that was restarted, and the queues that it has lost.

use std::sync::Arc;

use boxoffice_domain::{
    fixtures::{TestClock, instant},
    waiting_room::{PlaceNumber, QueuePlace, QueueStatus, Recall, Standing},
};

use super::in_memory;
use crate::support::{account, concert, settings};

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
    let clock = Arc::new(TestClock::new());
    let earlier = in_memory(&clock, settings()).join(1).await.place;
    clock.advance_seconds(10);
    let server = in_memory(&clock, settings());
    let known = server.join(7).await.place;
    let unknown = QueuePlace { account_id: account(8), number: PlaceNumber(known.number.0 + 1_000), ..known };
    assert!(server.is_expired(&unknown).await);
    let elsewhere = QueuePlace { concert_id: concert(2), ..unknown };
    assert!(matches!(server.recall(&elsewhere).await, Recall::Known(QueueStatus { standing: Standing::Expired, .. })));
    let elsewhere = QueuePlace { concert_id: concert(2), ..earlier };
    assert_eq!(server.recall(&elsewhere).await, Recall::Forgotten);
}

#[tokio::test]
async fn an_old_place_is_not_restored_for_ever() {
    let clock = Arc::new(TestClock::new());
    let places = in_memory(&clock, settings()).join_many(2).await;
    clock.advance_seconds(10);
    let server = in_memory(&clock, settings());
    let day = i64::from(settings().restorable_seconds);
    clock.set(instant(day) - chrono::TimeDelta::microseconds(1));
    assert!(server.is_active(&places[0]).await);
    clock.set(instant(day));
    assert!(server.is_active(&places[0]).await, "what was restored stays");
    assert!(server.is_expired(&places[1]).await);
}
