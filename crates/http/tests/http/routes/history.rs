//! What the staff did, as its promoter and admins read it.

use axum::http::StatusCode;
use boxoffice_http::Code;
use serde_json::{Value, json};

use crate::world::{NOTHING, World, get, patch, post};

#[tokio::test]
async fn a_promoter_reads_who_did_what_to_a_concert_and_by_which_request() {
    let world = World::new().await;
    let (router, concert) = (world.router(), world.concert_path());
    let change = patch(concert.as_str(), json!({"max_active": 7})).header("x-request-id", "the-change");
    change.signed_in("promoter").send(&router).await.succeeds(StatusCode::OK);
    let pause = post(format!("{concert}/queue/pause"), Value::Null).header("x-request-id", "the-pause");
    pause.signed_in("promoter").send(&router).await.succeeds(StatusCode::OK);

    let history = get(format!("{concert}/history"));
    let page = history.signed_in("promoter").send(&router).await.succeeds(StatusCode::OK);
    let act = |index: usize| {
        let mut act = page["items"][index].clone();
        for field in ["id", "done_at"] {
            assert!(act[field].take().is_string());
        }
        act
    };
    let concert_id = world.show.concert.id.uuid();
    let expected = |kind: &str, request_id: &str, change: Value| {
        json!({
            "id": null, "done_at": null, "account_id": world.show.promoter_id.uuid(), "request_id": request_id,
            "kind": kind, "subject": "concert", "subject_id": concert_id, "concert_id": concert_id,
            "changes": [change],
        })
    };
    let paused = json!({"field": "paused", "before": "false", "after": "true"});
    assert_eq!(act(0), expected("queue_paused", "the-pause", paused));
    let before = world.show.concert.max_active.to_string();
    let limited = json!({"field": "max_active", "before": before, "after": "7"});
    assert_eq!(act(1), expected("concert_changed", "the-change", limited));
    assert_eq!(page["items"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn history_is_for_the_promoter_of_the_concert_and_for_admins() {
    let world = World::new().await;
    let (router, history) = (world.router(), format!("{}/history", world.concert_path()));
    for account in ["customer", "colleague"] {
        get(history.as_str()).signed_in(account).send(&router).await.refuses(Code::Forbidden);
    }
    get(history.as_str()).send(&router).await.refuses(Code::Unauthenticated);
    let unknown = get(format!("/v1/concerts/{NOTHING}/history")).signed_in("admin");
    unknown.send(&router).await.refuses(Code::ConcertNotFound);
    for account in ["customer", "promoter"] {
        get("/v1/history").signed_in(account).send(&router).await.refuses(Code::Forbidden);
    }
    let page = get("/v1/history?limit=2").signed_in("admin").send(&router).await.succeeds(StatusCode::OK);
    assert_eq!(page["items"].as_array().map(Vec::len), Some(2));
    let next = page["next_cursor"].as_str().expect("three were published");
    let rest = get(format!("/v1/history?cursor={next}")).signed_in("admin").send(&router).await;
    assert_eq!(rest.succeeds(StatusCode::OK)["items"].as_array().map(Vec::len), Some(1));
}
