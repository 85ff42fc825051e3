//! Joining a queue, and the standing in it.

use axum::http::StatusCode;
use boxoffice_domain::waiting_room::{Joined, QueueStatus, Standing};
use boxoffice_http::Code;
use serde_json::{Value, json};

use crate::world::{CONCERT, World, active, concert, delete, drawn, get, place, post, waiting};

#[tokio::test]
async fn joining_is_201_and_joining_again_200() {
    for (newly, status) in [(true, StatusCode::CREATED), (false, StatusCode::OK)] {
        let world = World::with(|world| {
            world.catalog.expect_concert().returning(|_| Ok(Some(concert(1))));
            let status = QueueStatus { place: place(), standing: waiting(7) };
            world.waiting_room.expect_join().returning(move |_| Ok(Joined { status, newly }));
        });
        let join = post(format!("/v1/concerts/{CONCERT}/queue"), Value::Null).signed_in("customer");
        let expected = json!({
            "token": "queue", "concert_id": CONCERT, "status": "waiting", "position": 7,
            "estimated_wait_seconds": 12, "poll_after_seconds": 2, "joined_at": "2027-01-15T07:59:00Z",
            "active_until": null,
        });
        assert_eq!(world.answer(join).await.succeeds(status), expected);
    }
}

#[tokio::test]
async fn the_queue_shows_that_a_token_is_active_or_expired() {
    let status = |standing| World::standing(standing).answer(get("/v1/queue").queued("queue"));
    let admitted = status(active()).await.succeeds(StatusCode::OK);
    assert_eq!((&admitted["status"], &admitted["position"]), (&json!("active"), &json!(0)));
    assert_eq!(admitted["active_until"], "2027-01-15T08:10:00Z");
    let over = status(Standing::Expired).await.succeeds(StatusCode::OK);
    assert_eq!((&over["status"], &over["position"]), (&json!("expired"), &json!(0)));
    assert_eq!((&over["poll_after_seconds"], &over["active_until"]), (&Value::Null, &Value::Null));
    let mut world = World::standing(active());
    world.waiting_room.expect_leave().times(1).returning(|_| Ok(()));
    world.answer(delete("/v1/queue").queued("queue")).await.succeeds(StatusCode::NO_CONTENT);
}

fn undrawn() -> Standing {
    Standing::Waiting { position: None, estimated_wait_seconds: None, poll_after_seconds: 20 }
}

#[tokio::test]
async fn an_account_that_joins_before_the_draw_has_no_position() {
    let mut world = World::knowing(drawn(60));
    let status = QueueStatus { place: place(), standing: undrawn() };
    world.waiting_room.expect_join().returning(move |request| {
        assert!(request.draw.is_some());
        Ok(Joined { status, newly: true })
    });
    let join = post(format!("/v1/concerts/{CONCERT}/queue"), Value::Null).signed_in("customer");
    let joined = world.answer(join).await.succeeds(StatusCode::CREATED);
    assert_eq!((&joined["status"], joined.get("position")), (&json!("waiting"), Some(&Value::Null)));
    assert_eq!((&joined["estimated_wait_seconds"], &joined["poll_after_seconds"]), (&Value::Null, &json!(20)));

    let without_draw = {
        let mut summary = drawn(60);
        summary.concert.draw = None;
        World::knowing(summary)
    };
    let join = post(format!("/v1/concerts/{CONCERT}/queue"), Value::Null).signed_in("customer");
    without_draw.answer(join).await.refuses(Code::SaleNotOpen);

    let guarded = get(format!("/v1/concerts/{CONCERT}/performances")).queued("queue");
    let refused = World::standing(undrawn()).answer(guarded).await.refuses(Code::QueueTokenNotActive);
    assert_eq!(refused.get("position"), Some(&Value::Null));
}
