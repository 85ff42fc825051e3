//! Each refusal of a payment and of a cancellation has its code.

use axum::http::StatusCode;
use boxoffice_domain::fixtures::instant;
use boxoffice_http::Code;
use serde_json::json;

use crate::world::{NOTHING, PRICE, World, ask_cancel, ask_hold, ask_pay};

#[tokio::test]
async fn a_payment_and_a_cancellation_are_refused_with_their_codes() {
    let world = World::new().await;
    let (router, token, elsewhere) = (world.router(), world.token().await, world.token_elsewhere().await);
    let soon = world.stage.another_performance(&world.show, instant(60)).await;
    let holds = async |show, label| world.stage.holds(show, world.customer, &[label]).await;
    let (started, played) = (holds(&soon, "A-1-1").await.id.uuid(), holds(&soon, "A-1-2").await);
    world.stage.pays(&played).await;
    let (cancelled, paid) = (holds(&world.show, "A-1-1").await.id.uuid(), holds(&world.show, "A-1-2").await.id.uuid());
    ask_cancel(cancelled).send(&router).await.succeeds(StatusCode::OK);
    let poor = world.stage.holds(&world.show, world.stranger, &["A-1-3"]).await.id.uuid();
    let token_of_stranger = world.token_of(world.stranger).await;
    let refused = ask_pay(&token_of_stranger, poor, "pay").signed_in("stranger").send(&router).await;
    let problem = refused.refuses(Code::InsufficientPoints);
    assert_eq!((&problem["balance"], &problem["required"]), (&json!(0), &json!(PRICE)));
    ask_pay(&elsewhere, paid, "pay").send(&router).await.refuses(Code::QueueTokenInvalid);
    ask_pay(&token, paid, "pay").send(&router).await.succeeds(StatusCode::CREATED);

    world.stage.clock.advance_seconds(61);
    let lapsed = holds(&world.show, "A-1-4").await.id.uuid();
    for (ask, code) in [
        (ask_pay(&token, NOTHING, "k"), Code::ReservationNotFound),
        (ask_pay(&token, paid, "k"), Code::ReservationAlreadyPaid),
        (ask_pay(&token, cancelled, "k"), Code::ReservationCancelled),
        (ask_pay(&token, cancelled, "pay"), Code::IdempotencyKeyReused),
        (ask_pay(&token, started, "k"), Code::PerformanceStarted),
        (ask_hold(&token, soon.performance_id.uuid(), &["A-1-3"]), Code::PerformanceStarted),
        (ask_cancel(NOTHING), Code::ReservationNotFound),
        (ask_cancel(cancelled), Code::ReservationCancelled),
        (ask_cancel(played.id.uuid()), Code::CancellationClosed),
    ] {
        ask.send(&router).await.refuses(code);
    }
    world.stage.clock.advance_seconds(300);
    for ask in [ask_pay(&token, lapsed, "k"), ask_cancel(lapsed)] {
        ask.send(&router).await.refuses(Code::HoldExpired);
    }
}
