//! Running the queue of a concert.

use axum::http::StatusCode;
use boxoffice_domain::{ConcertId, StorageError, fixtures::instant, waiting_room::QueueStats};
use boxoffice_http::Code;
use serde_json::{Value, json};

use crate::world::{Ask, CONCERT, World, concert, delete, get, post};

fn counted(world: &mut World) {
    world.waiting_room.expect_stats().returning(|_| {
        Ok(Some(QueueStats {
            waiting: 900,
            active: 500,
            admitted_total: 1_200,
            admitted_last_minute: 60,
            no_shows_total: 12,
            oldest_joined_at: Some(instant(-61)),
        }))
    });
}

fn path(tail: &str) -> String {
    format!("/v1/concerts/{CONCERT}/queue{tail}")
}

fn stats_expected(paused: bool) -> Value {
    json!({
        "concert_id": CONCERT, "waiting": 900, "active": 500, "max_active": 500, "paused": paused,
        "admitted_total": 1_200, "admitted_per_minute": 60, "no_shows_total": 12, "oldest_wait_seconds": 61,
    })
}

#[tokio::test]
async fn the_promoter_sees_the_state_of_the_queue() {
    let mut world = World::knowing(concert(3));
    counted(&mut world);
    let stats = world.answer(get(path("/stats")).signed_in("promoter")).await.succeeds(StatusCode::OK);
    assert_eq!(stats, stats_expected(false));

    let mut world = World::knowing(concert(3));
    world.waiting_room.expect_stats().returning(|_| Ok(None));
    let stats = world.answer(get(path("/stats")).signed_in("promoter")).await.succeeds(StatusCode::OK);
    assert_eq!((&stats["waiting"], &stats["oldest_wait_seconds"]), (&json!(0), &Value::Null));
}

#[tokio::test]
async fn pausing_and_resuming_reach_the_queue_and_show_its_state() {
    for (act, paused) in [("/pause", true), ("/resume", false)] {
        let mut summary = concert(3);
        summary.concert.paused = !paused;
        let mut world = World::knowing(summary);
        counted(&mut world);
        world.waiting_room.expect_set_terms().times(1).returning(move |id, terms| {
            assert_eq!((id, terms.paused, terms.version), (ConcertId::new(CONCERT), paused, 4));
            Ok(())
        });
        let answer = world.answer(post(path(act), Value::Null).signed_in("promoter")).await;
        assert_eq!(answer.succeeds(StatusCode::OK), stats_expected(paused));
    }
}

#[tokio::test]
async fn emptying_says_how_many_were_removed() {
    let mut world = World::knowing(concert(3));
    world.waiting_room.expect_empty().times(1).returning(|_| Ok(41));
    let answer = world.answer(delete(path("")).signed_in("promoter")).await;
    assert_eq!(answer.succeeds(StatusCode::OK), json!({"removed": 41}));
}

#[tokio::test]
async fn a_queue_is_run_by_its_promoter_alone() {
    let acts: [fn() -> Ask; 4] = [
        || get(path("/stats")),
        || post(path("/pause"), Value::Null),
        || post(path("/resume"), Value::Null),
        || delete(path("")),
    ];
    for act in acts {
        World::new().answer(act()).await.refuses(Code::Unauthenticated);
        World::new().answer(act().signed_in("customer")).await.refuses(Code::Forbidden);
        let mut of_the_house = concert(3);
        of_the_house.concert.promoter_id = None;
        World::knowing(of_the_house).answer(act().signed_in("promoter")).await.refuses(Code::Forbidden);
        let unknown = World::with(|world| {
            world.catalog.expect_concert().returning(|_| Ok(None));
        });
        unknown.answer(act().signed_in("promoter")).await.refuses(Code::ConcertNotFound);
        let mut world = World::knowing(concert(3));
        world.waiting_room.expect_stats().returning(move |_| Err(StorageError::Busy.into()));
        world.waiting_room.expect_set_terms().returning(move |_, _| Err(StorageError::Busy.into()));
        world.waiting_room.expect_empty().returning(move |_| Err(StorageError::Busy.into()));
        world.answer(act().signed_in("promoter")).await.refuses(Code::Unavailable);
    }
}
