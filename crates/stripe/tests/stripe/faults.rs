//! What a server, or the network before it, does wrong.

use std::{error::Error, sync::Arc, time::Duration};

use boxoffice_domain::{
    Clock, EntropySource, Points,
    fixtures::TestEntropy,
    gateway::{
        DeclineReason, GatewayAnswer, GatewayError, GatewayRefund, GatewayRequest, GatewayState, PaymentGateway,
        RefundVerdict,
    },
};
use boxoffice_stripe::StripeGateway;
use boxoffice_testkit::{
    faulty_stripe::{Act, Fault},
    localstripe::{CARD_GOOD, LocalStripe},
    message_sink::MessageSink,
    tcp_proxy::{CutAt, TcpProxy},
};
use tokio::time::Instant;

use crate::support::{MachineClock, Stage, TIMEOUT, settings};

/// How many requests the adapter sends for one, at most.
const TRIES_MAX: usize = 5;

fn is_approved(outcome: &Result<GatewayAnswer, GatewayError>) -> bool {
    matches!(outcome, Ok(GatewayAnswer { state: GatewayState::Approved, .. }))
}

/// A refund of 1,000 points.
fn refund(charge: &GatewayRequest) -> GatewayRefund {
    let amount = Points::new(1_000).unwrap();
    GatewayRefund { refund_id: TestEntropy.uuid().into(), charge: charge.clone(), amount }
}

#[tokio::test]
async fn what_passes_by_itself_is_asked_again_at_once() {
    for fault in [
        Fault::CutBefore,
        Fault::CutAfter,
        Fault::Locked,
        Fault::KeyInUse,
        Fault::TooMany(None),
        Fault::Broken(None),
        Fault::Broken(Some(true)),
    ] {
        let stage = Stage::new().await;
        stage.stripe.misbehave(Act::Create, [fault, fault]);
        let charge = stage.charge(Some("pm_card_visa"));
        let outcome = stage.gateway.begin(&charge).await;
        assert!(is_approved(&outcome), "{fault:?}: {outcome:?}");
        assert_eq!(stage.stripe.count(Act::Create), 3, "{fault:?}");
        assert_eq!(stage.stripe.taken(charge.charge_id), 10_000, "{fault:?}");

        stage.stripe.misbehave(Act::Refund, [fault]);
        let verdict = stage.gateway.refund(&refund(&charge)).await;
        assert!(matches!(verdict, Ok(RefundVerdict::Accepted)), "{fault:?}: {verdict:?}");
        assert_eq!(stage.stripe.given_back(charge.charge_id), 1_000, "{fault:?}");
    }
}

#[tokio::test]
async fn what_does_not_pass_is_asked_for_a_bounded_number_of_times() {
    for fault in [Fault::CutBefore, Fault::Locked, Fault::KeyInUse, Fault::TooMany(None), Fault::Broken(None)] {
        let stage = Stage::new().await;
        stage.stripe.misbehave(Act::Create, [fault; 2 * TRIES_MAX]);
        let charge = stage.charge(Some("pm_card_visa"));
        let outcome = stage.gateway.begin(&charge).await;
        assert!(matches!(outcome, Err(GatewayError::Failed(_))), "{fault:?}: {outcome:?}");
        assert_eq!(stage.stripe.count(Act::Create), TRIES_MAX, "{fault:?}");
        assert_eq!(stage.stripe.taken(charge.charge_id), 0);
    }
}

#[tokio::test]
async fn what_the_server_says_about_asking_again_is_heeded() {
    let stage = Stage::new().await;
    stage.stripe.misbehave(Act::Create, [Fault::Broken(Some(false))]);
    let charge = stage.charge(Some("pm_card_visa"));
    let outcome = stage.gateway.begin(&charge).await;
    assert!(matches!(outcome, Err(GatewayError::Failed(_))), "{outcome:?}");
    assert_eq!(stage.stripe.count(Act::Create), 1);

    // A pause beyond the time of the act is not begun.
    stage.stripe.misbehave(Act::Create, [Fault::TooMany(Some(60))]);
    let began = Instant::now();
    let outcome = stage.gateway.begin(&charge).await;
    assert!(matches!(outcome, Err(GatewayError::Failed(_))), "{outcome:?}");
    assert!(began.elapsed() < TIMEOUT);
    assert_eq!(stage.stripe.count(Act::Create), 2);

    let stage = Stage::with_timeout(Duration::from_secs(10)).await;
    stage.stripe.misbehave(Act::Create, [Fault::TooMany(Some(1))]);
    let began = Instant::now();
    assert!(is_approved(&stage.gateway.begin(&charge).await));
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn an_answer_that_never_comes_is_waited_for_as_long_as_was_set() {
    for fault in [Fault::SilentBefore, Fault::SilentAfter, Fault::Slow(Duration::from_mins(1))] {
        let stage = Stage::new().await;
        stage.stripe.misbehave(Act::Create, [fault]);
        let charge = stage.charge(Some("pm_card_visa"));
        let began = Instant::now();
        let outcome = stage.gateway.begin(&charge).await;
        assert!(matches!(outcome, Err(GatewayError::TimedOut)), "{fault:?}: {outcome:?}");
        assert!((TIMEOUT..2 * TIMEOUT).contains(&began.elapsed()), "{fault:?}: {:?}", began.elapsed());
        assert!(is_approved(&stage.gateway.begin(&charge).await));
        assert_eq!(stage.stripe.taken(charge.charge_id), 10_000, "{fault:?}");
    }
}

#[tokio::test]
async fn a_slow_answer_within_the_time_is_taken() {
    let stage = Stage::new().await;
    stage.stripe.misbehave(Act::Create, [Fault::Slow(TIMEOUT / 4)]);
    assert!(is_approved(&stage.gateway.begin(&stage.charge(Some("pm_card_visa"))).await));
    assert_eq!(stage.stripe.count(Act::Create), 1);
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_decides_nothing() {
    let stage = Stage::new().await;
    stage.stripe.misbehave(Act::Create, [Fault::Nonsense]);
    let charge = stage.charge(Some("pm_card_visa"));
    let outcome = stage.gateway.begin(&charge).await;
    assert!(matches!(outcome, Err(GatewayError::Failed(_))), "{outcome:?}");
    let answer = stage.gateway.query(&charge).await.unwrap().unwrap();
    assert_eq!(answer.state, GatewayState::Approved);
    assert_eq!(stage.stripe.taken(charge.charge_id), 10_000);

    stage.stripe.misbehave(Act::Refund, [Fault::Nonsense]);
    let refund = refund(&charge);
    stage.gateway.refund(&refund).await.unwrap_err();
    assert_eq!(stage.gateway.refund(&refund).await.unwrap(), RefundVerdict::Accepted);
    assert_eq!(stage.stripe.given_back(charge.charge_id), 1_000);
}

#[tokio::test]
async fn an_answer_about_another_amount_is_a_conflict() {
    let stage = Stage::new().await;
    stage.stripe.misbehave(Act::Create, [Fault::OtherAmount]);
    let outcome = stage.gateway.begin(&stage.charge(Some("pm_card_visa"))).await;
    assert!(matches!(outcome, Err(GatewayError::Conflict)), "{outcome:?}");
}

/// Until the intent of a refused card is canceled, the charge could still be paid, and is not declined.
#[tokio::test]
async fn a_charge_is_declined_only_when_it_cannot_be_paid_any_more() {
    for faults in [vec![Fault::Broken(None); TRIES_MAX], vec![Fault::SilentBefore]] {
        let stage = Stage::new().await;
        stage.stripe.misbehave(Act::Cancel, faults);
        let charge = stage.charge(Some("pm_card_chargeDeclinedExpiredCard"));
        let outcome = stage.gateway.begin(&charge).await;
        assert!(matches!(outcome, Err(GatewayError::Failed(_) | GatewayError::TimedOut)), "{outcome:?}");
        assert_eq!(stage.stripe.books()[0].status, "requires_payment_method");
        let answer = stage.gateway.query(&charge).await.unwrap().unwrap();
        assert_eq!(answer.state, GatewayState::Declined(DeclineReason::ExpiredCard));
        assert_eq!(stage.stripe.books()[0].status, "canceled");
    }
}

/// The buyer's page is faster than the cancellation: the money was taken, and the charge is approved.
#[tokio::test]
async fn a_charge_that_is_paid_while_it_is_canceled_is_approved() {
    let stage = Stage::new().await;
    stage.stripe.misbehave(Act::Cancel, [Fault::Broken(Some(false))]);
    let charge = stage.charge(Some("pm_card_chargeDeclined"));
    stage.gateway.begin(&charge).await.unwrap_err();
    assert!(stage.stripe.act(&stage.stripe.books()[0].id, true));
    assert!(is_approved(&stage.gateway.begin(&charge).await));
    assert_eq!(stage.stripe.taken(charge.charge_id), 10_000);
}

#[tokio::test]
async fn a_server_that_is_away_and_comes_back_is_asked_again() {
    let stage = Stage::new().await;
    let (before, after) = (stage.charge(Some("pm_card_visa")), stage.charge(Some("pm_card_visa")));
    assert!(is_approved(&stage.gateway.begin(&before).await));
    stage.stripe.stop().await;
    let outcome = stage.gateway.begin(&after).await;
    assert!(matches!(outcome, Err(GatewayError::Failed(_))), "{outcome:?}");
    stage.stripe.start_again().await.unwrap();
    for charge in [&before, &after] {
        assert!(is_approved(&stage.gateway.begin(charge).await));
        assert_eq!(stage.stripe.taken(charge.charge_id), 10_000);
    }
}

/// The stand-in that others wrote can be killed, too, and keeps its books.
#[tokio::test]
async fn a_server_that_was_killed_knows_what_it_took() {
    let server = LocalStripe::start().await.unwrap();
    let settings = settings(server.base_url(), Duration::from_secs(20));
    let gateway = StripeGateway::new(settings, Arc::new(MachineClock)).unwrap();
    let method = server.payment_method(CARD_GOOD).await.unwrap();
    let stage = Stage::new().await;
    let charge = GatewayRequest { created_at: MachineClock.now(), ..stage.charge(Some(&method)) };
    assert!(is_approved(&gateway.begin(&charge).await));
    server.kill();
    let outcome = gateway.query(&charge).await;
    assert!(matches!(outcome, Err(GatewayError::Failed(_))), "{outcome:?}");
    server.start_again().await.unwrap();
    assert_eq!(gateway.query(&charge).await.unwrap().unwrap().state, GatewayState::Approved);
    assert_eq!(server.sums(&charge.charge_id.to_string()).await.unwrap(), (10_000, 0));
}

/// The network between, and not the server, loses what is asked or answered.
#[tokio::test]
async fn what_the_network_loses_is_asked_again_and_happens_once() {
    for at in [CutAt::Request, CutAt::Work, CutAt::Answer] {
        let stage = Stage::new().await;
        let (network, base_url) = TcpProxy::before_web(&stage.stripe.base_url()).unwrap();
        let gateway = StripeGateway::new(settings(base_url, TIMEOUT), stage.clock.clone()).unwrap();
        let charge = stage.charge(Some("pm_card_visa"));
        network.cut_when(b"POST /v1/payment_intents HTTP", at, 2);
        let outcome = gateway.begin(&charge).await;
        assert!(is_approved(&outcome), "{at:?}: {outcome:?}");
        assert_eq!((network.cuts(), stage.stripe.taken(charge.charge_id)), (1, 10_000), "{at:?}");

        network.cut_when(b"POST /v1/refunds HTTP", at, 2);
        let verdict = gateway.refund(&refund(&charge)).await;
        assert!(matches!(verdict, Ok(RefundVerdict::Accepted)), "{at:?}: {verdict:?}");
        assert_eq!((network.cuts(), stage.stripe.given_back(charge.charge_id)), (2, 1_000), "{at:?}");
    }
}

/// localstripe ignores idempotency keys, so that what it did must not be asked for twice: only requests that have not
/// reached it, and questions, are cut.
#[tokio::test]
async fn what_the_network_loses_is_asked_again_of_localstripe() {
    let server = LocalStripe::start().await.unwrap();
    let (network, base_url) = TcpProxy::before_web(&server.base_url()).unwrap();
    let gateway = StripeGateway::new(settings(base_url, Duration::from_secs(20)), Arc::new(MachineClock)).unwrap();
    let method = server.payment_method(CARD_GOOD).await.unwrap();
    let stage = Stage::new().await;
    let charge = GatewayRequest { created_at: MachineClock.now(), ..stage.charge(Some(&method)) };
    network.cut_when(b"POST /v1/payment_intents HTTP", CutAt::Request, 2);
    assert!(is_approved(&gateway.begin(&charge).await));
    network.cut_when(b"GET /v1/payment_intents", CutAt::Answer, 2);
    assert_eq!(gateway.query(&charge).await.unwrap().unwrap().state, GatewayState::Approved);
    assert_eq!(network.cuts(), 2);
    assert_eq!(server.sums(&charge.charge_id.to_string()).await.unwrap(), (10_000, 0));
}

/// An endpoint that is given messages takes each for genuine.
#[tokio::test]
async fn messages_are_delivered() {
    let (stage, sink) = (Stage::new().await, MessageSink::start().await.unwrap());
    let delivery = stage.stripe.deliver_to(&sink.url());
    let charge = stage.charge(Some("pm_card_visa"));
    stage.gateway.begin(&charge).await.unwrap();
    stage.gateway.refund(&refund(&charge)).await.unwrap();
    for message in sink.received(&charge.charge_id.to_string(), 2).await {
        let notification = stage.gateway.verify_notification(&message.fields, &message.body, stage.clock.now());
        assert_eq!(notification.unwrap().charge_id, Some(charge.charge_id));
    }
    delivery.abort();
}

/// A secret that was sent, or that came in an answer, is in no text of an error.
#[tokio::test]
async fn errors_show_no_secrets() {
    let stage = Stage::new().await;
    stage.stripe.misbehave(Act::Create, [Fault::Broken(Some(false)), Fault::Nonsense]);
    let charge = stage.charge(Some("pm_card_authenticationRequired"));
    for _ in 0..2 {
        let error = stage.gateway.begin(&charge).await.unwrap_err();
        let causes = std::iter::successors(Some(&error as &dyn Error), |error| Error::source(*error));
        let text: Vec<_> = causes.map(|cause| format!("{cause} {cause:?}")).collect();
        let text = text.join(" ");
        assert!(!text.contains("sk_test") && !text.contains("_secret_") && !text.contains("not shown"), "{text}");
    }
    let answer = stage.gateway.begin(&charge).await.unwrap();
    assert!(!format!("{answer:?}").contains("_secret_"), "{answer:?}");
    assert!(!format!("{:?}", stage.gateway).contains("sk_test"));
}
