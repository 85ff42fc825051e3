//! Every refusal of a hold, a payment, a cancellation and a charge has its code.

use axum::http::StatusCode;
use boxoffice_domain::{
    StorageError,
    catalog::SalesWindow,
    fixtures::{instant, selling_rules},
    gateway::{GatewayError, GatewayVerdict, MockPaymentGateway},
    wallet::MockWallets,
};
use boxoffice_http::Code;
use serde_json::json;

use crate::world::{BALANCE, NOTHING, PRICE, World, ask_cancel, ask_charge, ask_hold, ask_pay, mock};

#[tokio::test]
async fn a_hold_is_refused_with_its_code() {
    let mut world = World::new().await;
    let (router, token, elsewhere) = (world.router(), world.token().await, world.token_elsewhere().await);
    let show = world.show.performance_id.uuid();
    world.stage.holds(&world.show, world.stranger, &["A-1-1"]).await;
    ask_hold(&token, show, &["A-1-2"]).key("k").send(&router).await.succeeds(StatusCode::CREATED);
    let five = ["A-1-1", "A-1-2", "A-1-3", "A-1-4", "A-1-5"];
    for (ask, code, member, expected) in [
        (ask_hold(&token, NOTHING, &["A-1-1"]), Code::PerformanceNotFound, "seats", json!(null)),
        (ask_hold(&elsewhere, show, &["A-1-1"]), Code::QueueTokenInvalid, "seats", json!(null)),
        (ask_hold(&token, show, &["Z-9-9", "A-1-1"]), Code::SeatNotFound, "seats", json!(["Z-9-9"])),
        (ask_hold(&token, show, &["A-1-3", "A-1-1"]), Code::SeatUnavailable, "seats", json!(["A-1-1"])),
        (ask_hold(&token, show, &five[1..]), Code::SeatLimitReached, "limit", json!(4)),
        (ask_hold(&token, show, &five), Code::TooManySeats, "limit", json!(4)),
        (ask_hold(&token, show, &["A-1-3"]).key("k"), Code::IdempotencyKeyReused, "seats", json!(null)),
    ] {
        assert_eq!(ask.send(&router).await.refuses(code)[member], expected, "{code:?}");
    }
    for (open, close, code) in [(1, 2, Code::SaleNotOpen), (-2, -1, Code::SaleClosed)] {
        let sales = SalesWindow::new(instant(open), instant(close)).unwrap();
        world.change_concert(|concert| concert.sales = sales).await;
        ask_hold(&token, show, &["A-1-3"]).send(&router).await.refuses(code);
        world.ask_join().send(&router).await.refuses(code);
    }
}

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

#[tokio::test]
async fn a_charge_is_refused_with_its_code() {
    let mut world = World::new().await;
    world.gateway = mock(|gateway: &mut MockPaymentGateway| {
        gateway.expect_charge().times(1).returning(|_| Err(GatewayError::TimedOut));
        gateway.expect_charge().times(1).returning(|_| Ok(GatewayVerdict::Declined));
    });
    for code in [Code::GatewayFailed, Code::ChargeDeclined] {
        assert!(world.answer(ask_charge(5, "k")).await.refuses(code)["charge_id"].is_string());
    }
    world.stage.charge(world.customer, selling_rules().balance_points_max.get() - BALANCE).await;
    world.answer(ask_charge(5, "other")).await.refuses(Code::BalanceLimitReached);
    world.stage.storage.wallets = mock(|wallets: &mut MockWallets| {
        wallets.expect_begin_charge().returning(|_| Err(StorageError::failed("secret").into()));
    });
    world.answer(ask_charge(5, "other")).await.refuses(Code::Internal);
}
