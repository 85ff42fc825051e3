//! Holding seats and cancelling reservations.

use axum::http::StatusCode;
use boxoffice_domain::{
    Timestamp,
    idempotency::Made,
    page::Page,
    reservations::{self},
};
use boxoffice_http::Code;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{PERFORMANCE, World, get, held, post};

#[tokio::test]
async fn seats_are_held() {
    let mut world = World::admitted(|_| {});
    world.reservations.expect_hold().returning(|_| Ok(Made::now(held())));
    world.waiting_room.expect_keep_until().returning(|_, _, _| Ok(()));
    let ask = post("/v1/reservations", json!({"performance_id": PERFORMANCE, "seats": ["A-1-1", "A-1-2"]}));
    let answer = world.answer(ask.queued("queue")).await;
    let reservation = answer.succeeds(StatusCode::CREATED);
    let location = format!("/v1/reservations/{}", reservation["id"].as_str().unwrap());
    assert_eq!(answer.header("location"), Some(location.as_str()));
    assert_eq!((&reservation["status"], &reservation["total_amount"]), (&json!("held"), &json!(110_000)));
    assert_eq!(reservation["held_until"], "2027-01-15T08:05:00Z");
    assert_eq!(reservation["seats"][1], json!({"label": "A-1-2", "price": 55_000}));
}

#[tokio::test]
async fn a_repeated_hold_gets_the_first_response_though_it_has_expired() {
    let mut world = World::admitted(|_| {});
    world.reservations.expect_hold().returning(|_| {
        let mut view = held();
        // It was held an hour before the clock of this world.
        let earlier = |at: Timestamp| at - chrono::TimeDelta::hours(1);
        view.reservation.created_at = earlier(view.reservation.created_at);
        view.reservation.held_until = earlier(view.reservation.held_until);
        view.reservation.state = reservations::ReservationState::Held { until: view.reservation.held_until };
        Ok(Made::before(view))
    });
    world.reservations.expect_held_until().returning(|_, _| Ok(None));
    let ask = post("/v1/reservations", json!({"performance_id": PERFORMANCE, "seats": ["A-1-1", "A-1-2"]}));
    let answer = world.answer(ask.queued("queue").key("k")).await;
    let reservation = answer.succeeds(StatusCode::CREATED);
    assert_eq!(answer.header("idempotency-replayed"), Some("true"));
    assert_eq!((&reservation["status"], &reservation["held_until"]), (&json!("held"), &json!("2027-01-15T07:05:00Z")));
}

#[tokio::test]
async fn a_selection_of_seats_is_checked() {
    let hold = |seats: Value| {
        let body = json!({"performance_id": PERFORMANCE, "seats": seats});
        World::new().answer(post("/v1/reservations", body).queued("queue"))
    };
    let violation = |pointer: &str, code: &str| vec![(pointer.to_owned(), code.to_owned())];
    assert_eq!(hold(json!([])).await.violations(), violation("/seats", "seats_empty"));
    assert_eq!(hold(json!(["A-1-1", "A-1-2", "A-1-1"])).await.violations(), violation("/seats/2", "seat_repeated"));
    assert_eq!(hold(json!(["A-1-1", "A1"])).await.violations(), violation("/seats/1", "seat_label"));
    assert_eq!(hold(json!(["A-1-1", 7])).await.violations(), violation("/seats/1", "wrong_type"));
    let body = json!({"performance_id": "7", "seats": ["A-1-1"]});
    let answer = World::new().answer(post("/v1/reservations", body).queued("queue")).await;
    assert_eq!(answer.violations(), violation("/performance_id", "wrong_format"));
}

#[tokio::test]
async fn reservations_are_listed_found_and_cancelled() {
    let mut world = World::new();
    world.reservations.expect_list().returning(|_, status, _| {
        assert_eq!(status, Some(reservations::ReservationStatus::Held));
        Ok(Page { items: vec![held()], next: None })
    });
    world.reservations.expect_find().returning(|_, _| Ok(Some(held())));
    world.reservations.expect_cancel().returning(|_| {
        let mut view = held();
        view.reservation.state = reservations::ReservationState::Cancelled { payment_id: None, idempotency: None };
        Ok(Made::now(view))
    });
    let router = world.router();
    let list = get("/v1/reservations?status=held").signed_in("customer").send(&router).await;
    assert_eq!(list.succeeds(StatusCode::OK)["items"][0]["status"], "held");
    get("/v1/reservations?status=gone").signed_in("customer").send(&router).await.refuses(Code::MalformedRequest);
    let path = format!("/v1/reservations/{}", Uuid::nil());
    get(&path).signed_in("customer").send(&router).await.succeeds(StatusCode::OK);
    let cancelled = post(format!("{path}/cancel"), Value::Null).signed_in("customer").send(&router).await;
    let cancelled = cancelled.succeeds(StatusCode::OK);
    assert_eq!((&cancelled["status"], &cancelled["held_until"]), (&json!("cancelled"), &Value::Null));
}
