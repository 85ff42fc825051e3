//! Joining a queue, and the standing in it.

use std::net::SocketAddr;

use axum::{Extension, extract::ConnectInfo, http::StatusCode};
use boxoffice_domain::{
    StorageError,
    catalog::SalesWindow,
    fixtures::instant,
    waiting_room::{Draw, MockWaitingRoom, Offer, QueueTerms, SaleEnd, SaleReading, WaitingRoom, WaitingRoomError},
};
use boxoffice_http::Code;
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::world::{World, delete, get, mock};

#[tokio::test]
async fn joining_is_201_and_joining_again_200() {
    let mut world = World::new().await;
    world.change_concert(|concert| concert.max_active = 1).await;
    world.join(world.stranger).await;
    let router = world.router();
    for status in [StatusCode::CREATED, StatusCode::OK] {
        let joined = world.ask_join().send(&router).await.succeeds(status);
        let expected = json!({
            "token": world.token().await, "concert_id": world.show.concert.id.uuid(), "status": "waiting",
            "position": 1, "estimated_wait_seconds": null, "poll_after_seconds": joined["poll_after_seconds"],
            "joined_at": "2027-01-15T08:00:00Z", "active_until": null,
        });
        assert_eq!(joined, expected);
    }
}

#[tokio::test]
async fn the_queue_shows_that_a_token_is_active_or_expired() {
    let world = World::new().await;
    let (router, token) = (world.router(), world.token().await);
    let status = || get("/v1/queue").queued(&token);
    let admitted = status().send(&router).await.succeeds(StatusCode::OK);
    assert_eq!((&admitted["status"], &admitted["position"]), (&json!("active"), &json!(0)));
    assert_eq!(admitted["active_until"], "2027-01-15T08:10:00Z");
    delete("/v1/queue").queued(&token).send(&router).await.succeeds(StatusCode::NO_CONTENT);
    let over = status().send(&router).await.succeeds(StatusCode::OK);
    assert_eq!((&over["status"], &over["position"]), (&json!("expired"), &json!(0)));
    assert_eq!((&over["poll_after_seconds"], &over["active_until"]), (&Value::Null, &Value::Null));
}

/// Why a place stands where it does, and why a queue cannot be joined.
#[tokio::test]
async fn the_queue_says_that_all_is_held_and_how_it_has_ended() {
    let mut world = World::new().await;
    let (token, ahead) = world.waiting_at(1).await;
    let (customer, router) = (ahead[0], world.router());
    let status = || get("/v1/queue").queued(&token);
    assert_eq!(status().send(&router).await.succeeds(StatusCode::OK).get("reason"), None);
    let offers = async |seconds, offer| {
        let sale = SaleReading { read_at: instant(seconds), offer, ends: None };
        let terms = QueueTerms { sale, ..world.show.concert.queue_terms() };
        world.queues.set_terms(world.show.concert.id, terms).await.unwrap();
    };
    offers(1, Offer::AllHeld).await;
    world.queues.leave(&customer).await.unwrap();
    let waits = status().send(&router).await.succeeds(StatusCode::OK);
    assert_eq!((&waits["status"], &waits["reason"]), (&json!("waiting"), &json!("all_held")));
    assert_eq!((&waits["position"], &waits["estimated_wait_seconds"]), (&json!(1), &Value::Null));
    for (seconds, end, reason, code) in [
        (2, SaleEnd::SoldOut, "sold_out", Code::SoldOut),
        (4, SaleEnd::Closed, "sale_closed", Code::SaleClosed),
        (6, SaleEnd::Started, "performance_started", Code::PerformanceStarted),
    ] {
        let token = world.token().await;
        offers(seconds, Offer::Nothing(end)).await;
        let ended = get("/v1/queue").queued(&token).send(&router).await.succeeds(StatusCode::OK);
        assert_eq!((&ended["status"], &ended["reason"]), (&json!("expired"), &json!(reason)));
        // Another instance may not know yet, and lets the queue decide.
        world.ask_join().send(&router).await.refuses(code);
        get(world.seats_path()).queued(&token).send(&router).await.refuses(Code::QueueTokenExpired);
        offers(seconds + 1, Offer::Seats).await;
    }
}

#[tokio::test]
async fn a_waiting_room_that_fails_or_is_full_is_unavailable() {
    let mut world = World::new().await;
    let token = world.token().await;
    world.waiting_room = mock(|room: &mut MockWaitingRoom| {
        room.expect_join().returning(|_| Err(WaitingRoomError::Full));
        room.expect_status().returning(|_, _| Err(StorageError::Busy.into()));
    });
    for ask in [world.ask_join(), get("/v1/queue").queued(&token), get(world.seats_path()).queued(&token)] {
        world.answer(ask).await.refuses(Code::Unavailable);
    }
}

#[tokio::test]
async fn an_account_that_is_too_new_learns_when_it_may_join() {
    let mut world = World::new().await;
    world.account_age_min = TimeDelta::minutes(10);
    let refused = world.answer(world.ask_join()).await;
    refused.refuses(Code::AccountTooNew);
    assert_eq!(refused.header("retry-after"), Some("600"));
}

#[tokio::test]
async fn accounts_of_one_network_join_only_so_often() {
    let world = World::new().await;
    let router = world.router();
    let join = async |account: &str, address: &str| {
        let address: SocketAddr = address.parse().unwrap();
        world.ask_join().signed_in(account).send(&router.clone().layer(Extension(ConnectInfo(address)))).await
    };
    join("customer", "192.0.2.1:1").await.succeeds(StatusCode::CREATED);
    let refused = join("stranger", "192.0.2.99:1").await;
    refused.refuses(Code::QueueJoinsLimited);
    assert_eq!(refused.header("retry-after"), Some("3600"));
    join("customer", "192.0.2.99:1").await.succeeds(StatusCode::OK);
    join("stranger", "192.0.3.1:1").await.succeeds(StatusCode::CREATED);
}

#[tokio::test]
async fn an_account_that_joins_before_the_draw_has_no_position() {
    let mut world = World::new().await;
    world.change_concert(|concert| concert.sales = SalesWindow::new(instant(60), instant(3_600)).unwrap()).await;
    let refused = world.answer(world.ask_join()).await;
    assert_eq!(refused.refuses(Code::SaleNotOpen)["opens_at"], "2027-01-15T08:01:00Z");
    assert_eq!(refused.header("retry-after"), Some("60"));
    world.change_concert(|concert| concert.draw = Some(Draw::new([7; 32]))).await;
    let joined = world.answer(world.ask_join()).await.succeeds(StatusCode::CREATED);
    assert_eq!((&joined["status"], joined.get("position")), (&json!("waiting"), Some(&Value::Null)));
    assert_eq!((&joined["estimated_wait_seconds"], &joined["poll_after_seconds"]), (&Value::Null, &json!(20)));

    let guarded = get(format!("{}/performances", world.concert_path())).queued(joined["token"].as_str().unwrap());
    let refused = world.answer(guarded).await.refuses(Code::QueueTokenNotActive);
    assert_eq!(refused.get("position"), Some(&Value::Null));
}
