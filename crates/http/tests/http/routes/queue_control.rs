//! Running the queue of a concert.

use axum::http::StatusCode;
use boxoffice_http::Code;
use serde_json::{Value, json};

use crate::world::{Ask, NOTHING, World, delete, get, patch, post};

fn stats(world: &World, paused: bool, waiting: u64, oldest_wait_seconds: Option<u64>) -> Value {
    let queued = u64::from(waiting > 0);
    json!({
        "concert_id": world.show.concert.id.uuid(), "waiting": waiting, "active": queued, "max_active": 1,
        "paused": paused, "admitted_total": queued, "admitted_per_minute": 0, "no_shows_total": 0,
        "oldest_wait_seconds": oldest_wait_seconds,
    })
}

#[tokio::test]
async fn a_promoter_looks_at_the_queue_pauses_resumes_and_empties_it() {
    let mut world = World::new().await;
    let router = world.router();
    let path = format!("{}/queue", world.concert_path());
    let send = async |ask: Ask| ask.signed_in("promoter").send(&router).await.succeeds(StatusCode::OK);
    let look = || get(format!("{path}/stats"));
    world.change_concert(|concert| concert.max_active = 1).await;
    assert_eq!(send(look()).await, stats(&world, false, 0, None));

    world.waiting_at(3).await;
    world.stage.clock.advance_seconds(61);
    for (act, paused) in [("pause", true), ("resume", false)] {
        let answer = send(post(format!("{path}/{act}"), Value::Null)).await;
        assert_eq!(answer, stats(&world, paused, 3, Some(61)));
        assert_eq!(send(look()).await, answer);
    }
    assert_eq!(send(delete(path.as_str())).await, json!({"removed": 3}));
    assert_eq!(send(look()).await["waiting"], 0);
}

#[tokio::test]
async fn acts_that_change_nothing_keep_the_tag_of_the_concert() {
    let mut world = World::new().await;
    world.waiting_at(1).await;
    let router = world.router();
    let concert = world.concert_path();
    let tag = async || get(concert.as_str()).send(&router).await.header("etag").map(str::to_owned);
    let send = async |ask: Ask| {
        ask.signed_in("promoter").send(&router).await.succeeds(StatusCode::OK);
        tag().await
    };
    let empty = || delete(format!("{concert}/queue"));
    let set_paused = |act: &str| post(format!("{concert}/queue/{act}"), Value::Null);
    let unchanged = tag().await;
    assert_eq!(send(set_paused("resume")).await, unchanged, "it is not paused");
    let same = json!({"max_active": 1, "title": world.show.concert.title.as_str()});
    assert_eq!(send(patch(concert.as_str(), same)).await, unchanged, "these are its values");

    let emptied = send(empty()).await;
    assert_ne!(emptied, unchanged);
    assert_eq!(send(empty()).await, emptied, "none waits any more");
    let paused = send(set_paused("pause")).await;
    assert_ne!(paused, emptied);
    assert_eq!(send(set_paused("pause")).await, paused);
}

#[tokio::test]
async fn a_queue_is_run_by_its_promoter_alone() {
    let world = World::new().await;
    let router = world.router();
    let own = world.show.concert.id.uuid();
    for (concert_id, account, code) in [
        (own, "forged", Code::Unauthenticated),
        (own, "customer", Code::Forbidden),
        (NOTHING, "promoter", Code::ConcertNotFound),
    ] {
        let path = format!("/v1/concerts/{concert_id}/queue");
        for ask in [
            get(format!("{path}/stats")),
            post(format!("{path}/pause"), Value::Null),
            post(format!("{path}/resume"), Value::Null),
            delete(path),
        ] {
            ask.signed_in(account).send(&router).await.refuses(code);
        }
    }
}
