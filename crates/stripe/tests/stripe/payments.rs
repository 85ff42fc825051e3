//! What is Stripe's alone.

use std::time::Duration;

use boxoffice_domain::{
    Clock, EntropySource, Points,
    fixtures::TestEntropy,
    gateway::{
        ClientAction, DeclineReason, GatewayAnswer, GatewayError, GatewayReference, GatewayRefund, GatewayRequest,
        GatewayState, PaymentGateway, RefundVerdict,
    },
};
use boxoffice_testkit::faulty_stripe::{Act, Fault};
use chrono::TimeDelta;

use crate::support::Stage;

fn declined(reason: DeclineReason) -> GatewayState {
    GatewayState::Declined(reason)
}

fn refund(charge: &GatewayRequest, amount: i64) -> GatewayRefund {
    let amount = Points::new(amount).unwrap();
    GatewayRefund { refund_id: TestEntropy.uuid().into(), charge: charge.clone(), amount }
}

fn action(answer: &GatewayAnswer) -> &ClientAction {
    let GatewayState::ActionRequired(action) = &answer.state else { panic!("{answer:?}") };
    action
}

#[tokio::test]
async fn each_card_has_its_answer() {
    for (method, expected) in [
        ("pm_card_visa", GatewayState::Approved),
        ("pm_card_processing", GatewayState::Processing),
        ("pm_card_chargeDeclined", declined(DeclineReason::Refused)),
        ("pm_card_chargeDeclinedInsufficientFunds", declined(DeclineReason::InsufficientFunds)),
        ("pm_card_chargeDeclinedExpiredCard", declined(DeclineReason::ExpiredCard)),
        ("pm_card_chargeDeclinedIncorrectCvc", declined(DeclineReason::IncorrectDetails)),
        ("pm_of_nobody", declined(DeclineReason::UnknownMethod)),
    ] {
        let stage = Stage::new().await;
        let charge = stage.charge(Some(method));
        // The same however often, and by its key.
        for _ in 0..2 {
            let answer = stage.gateway.begin(&charge).await.unwrap();
            assert_eq!(answer.state, expected, "{method}");
            assert_eq!(answer.reference.is_none(), method == "pm_of_nobody");
        }
        assert!(stage.stripe.books().len() <= 1);
    }
}

#[tokio::test]
async fn a_charge_without_a_way_to_pay_is_paid_by_the_page() {
    let stage = Stage::new().await;
    let charge = stage.charge(None);
    let answer = stage.gateway.begin(&charge).await.unwrap();
    assert!(action(&answer).client_secret.contains("_secret_"));
    assert_eq!(action(&answer).redirect_url, None);
    // A card that is refused on the page can be followed by another, so the charge is not declined.
    let intent = answer.reference.clone().unwrap();
    assert!(stage.stripe.act(intent.as_str(), false));
    assert_eq!(stage.gateway.query(&charge).await.unwrap().unwrap(), answer);
    assert!(stage.stripe.act(intent.as_str(), true));
    // The key repeats what was answered first; the adapter answers what holds now.
    assert_eq!(stage.gateway.begin(&charge).await.unwrap().state, GatewayState::Approved);
}

#[tokio::test]
async fn a_buyer_who_has_to_confirm_learns_where_and_may_fail() {
    let stage = Stage::new().await;
    let charge = stage.charge(Some("pm_card_authenticationRequired"));
    let answer = stage.gateway.begin(&charge).await.unwrap();
    assert!(action(&answer).redirect_url.as_ref().unwrap().starts_with("https://bank.example/"));
    assert!(stage.stripe.act(answer.reference.unwrap().as_str(), false));
    let answer = stage.gateway.query(&charge).await.unwrap().unwrap();
    assert_eq!(answer.state, declined(DeclineReason::AuthenticationFailed));
    assert_eq!(stage.stripe.books()[0].status, "canceled");
}

#[tokio::test]
async fn what_is_processing_is_neither_paid_nor_given_up() {
    let stage = Stage::new().await;
    let charge = stage.charge(Some("pm_card_processing"));
    stage.gateway.begin(&charge).await.unwrap();
    let abandoned = stage.gateway.abandon(&charge).await;
    assert!(matches!(abandoned, Err(GatewayError::Failed(_))), "{abandoned:?}");
    assert!(stage.stripe.decide(charge.charge_id, true));
    assert_eq!(stage.gateway.query(&charge).await.unwrap().unwrap().state, GatewayState::Approved);
    assert_eq!(stage.gateway.abandon(&charge).await.unwrap().state, GatewayState::Approved);
}

/// Whatever of the two comes first, no money is taken for what was answered as abandoned.
#[tokio::test]
async fn a_request_that_arrives_after_the_charge_was_abandoned_takes_no_money() {
    for method in [Some("pm_card_visa"), None] {
        let stage = Stage::new().await;
        let charge = stage.charge(method);
        let answer = stage.gateway.abandon(&charge).await.unwrap();
        assert_eq!(answer.state, declined(DeclineReason::Abandoned));
        assert_eq!(stage.gateway.begin(&charge).await.unwrap(), answer, "{method:?}");
        assert_eq!(stage.stripe.taken(charge.charge_id), 0);
        assert!(stage.stripe.books().iter().all(|payment| payment.status == "canceled"));
    }
}

#[tokio::test]
async fn the_reference_of_another_charge_is_a_conflict_and_one_that_is_unknown_is_a_failure() {
    let stage = Stage::new().await;
    let (first, second) = (stage.charge(Some("pm_card_visa")), stage.charge(Some("pm_card_visa")));
    let reference = stage.gateway.begin(&first).await.unwrap().reference;
    for (of_other, expects_conflict) in [
        (GatewayRequest { reference: reference.clone(), ..second.clone() }, true),
        (GatewayRequest { reference: reference.clone(), account_id: second.account_id, ..first.clone() }, true),
        (GatewayRequest { reference: GatewayReference::new("pi_unknown"), ..first.clone() }, false),
        (GatewayRequest { reference: GatewayReference::new("../refunds"), ..first.clone() }, false),
    ] {
        let refunded = stage.gateway.refund(&refund(&of_other, 1)).await;
        // What another gateway has taken cannot be given back by this one.
        let is_of_another = of_other.reference.as_ref().is_some_and(|name| !name.as_str().starts_with("pi_"));
        assert_eq!(matches!(refunded, Ok(RefundVerdict::Refused)), is_of_another);
        let outcomes = [
            stage.gateway.begin(&of_other).await.map(drop),
            stage.gateway.query(&of_other).await.map(drop),
            stage.gateway.abandon(&of_other).await.map(drop),
        ];
        let outcomes = outcomes.into_iter().chain((!is_of_another).then(|| refunded.map(drop)));
        for outcome in outcomes {
            let is_conflict = matches!(outcome, Err(GatewayError::Conflict));
            assert!(outcome.is_err() && is_conflict == expects_conflict, "{outcome:?}");
        }
    }
    assert_eq!((stage.stripe.books().len(), stage.stripe.given_back(first.charge_id)), (1, 0));
}

/// Stripe forgets keys after a day: what is older is found, or is not begun.
#[tokio::test]
async fn a_charge_of_yesterday_is_not_begun_a_second_time() {
    let stage = Stage::new().await;
    let (paid, unknown) = (stage.charge(Some("pm_card_visa")), stage.charge(Some("pm_card_visa")));
    stage.gateway.begin(&paid).await.unwrap();
    stage.clock.advance(TimeDelta::hours(25));
    stage.stripe.forget_keys();
    assert_eq!(stage.gateway.begin(&paid).await.unwrap().state, GatewayState::Approved);
    for answer in [stage.gateway.begin(&unknown).await, stage.gateway.abandon(&unknown).await] {
        assert_eq!(answer.unwrap(), GatewayAnswer { reference: None, state: declined(DeclineReason::Abandoned) });
    }
    assert_eq!(stage.stripe.books().len(), 1);
}

#[tokio::test]
async fn a_refund_of_yesterday_is_not_made_a_second_time() {
    let stage = Stage::new().await;
    let charge = stage.charge(Some("pm_card_visa"));
    stage.gateway.begin(&charge).await.unwrap();
    let refund = refund(&charge, 1_000);
    assert_eq!(stage.gateway.refund(&refund).await.unwrap(), RefundVerdict::Accepted);
    stage.clock.advance(TimeDelta::hours(25));
    stage.stripe.forget_keys();
    assert_eq!(stage.gateway.refund(&refund).await.unwrap(), RefundVerdict::Accepted);
    assert_eq!(stage.stripe.given_back(charge.charge_id), 1_000);
    assert_eq!(stage.stripe.count(Act::Refund), 1);
    // The bank could not give it back, days later.
    stage.stripe.fail_refunds(charge.charge_id);
    assert_eq!(stage.gateway.refund(&refund).await.unwrap(), RefundVerdict::Refused);
}

/// A charge whose intent was made hours later, and one that is beyond the first page, are found.
#[tokio::test]
async fn a_charge_is_found_wherever_its_intent_is() {
    let stage = Stage::new().await;
    let (soon, late) = (stage.charge(Some("pm_card_visa")), stage.charge(Some("pm_card_visa")));
    stage.gateway.begin(&soon).await.unwrap();
    for _ in 0..250 {
        stage.stripe.pay_elsewhere(1);
    }
    assert_eq!(stage.gateway.query(&soon).await.unwrap().unwrap().state, GatewayState::Approved);
    assert_eq!(stage.stripe.count(Act::List), 3, "pages of 100");
    stage.clock.advance(TimeDelta::hours(22));
    stage.gateway.begin(&late).await.unwrap();
    assert_eq!(stage.gateway.query(&late).await.unwrap().unwrap().state, GatewayState::Approved);
    // The clock of the instance that recorded it was ahead.
    let ahead = stage.charge(Some("pm_card_visa"));
    stage.gateway.begin(&ahead).await.unwrap();
    let ahead = GatewayRequest { created_at: ahead.created_at + TimeDelta::minutes(9), ..ahead };
    assert_eq!(stage.gateway.query(&ahead).await.unwrap().unwrap().state, GatewayState::Approved);
}

/// A shop that sells so much that its intents cannot be listed in time: keys still tell, and so does the search.
#[tokio::test]
async fn a_charge_among_very_many_is_found_and_given_up() {
    let stage = Stage::with_timeout(Duration::from_secs(20)).await;
    let [paid, declined_one, waiting, unknown, late] =
        ["visa", "chargeDeclined", "authenticationRequired", "visa", "visa"]
            .map(|card| stage.charge(Some(&format!("pm_card_{card}"))));
    for charge in [&paid, &declined_one, &waiting] {
        stage.gateway.begin(charge).await.unwrap();
    }
    for _ in 0..2_000 {
        stage.stripe.pay_elsewhere(1);
    }
    assert_eq!(stage.gateway.query(&paid).await.unwrap().unwrap().state, GatewayState::Approved);
    // Nothing was made for a way to pay that does not exist, and the buyer has the answer at once.
    let nobody = stage.charge(Some("pm_of_nobody"));
    let answer = stage.gateway.begin(&nobody).await.unwrap();
    assert_eq!(answer.state, declined(DeclineReason::UnknownMethod));
    // The key has an intent by now that was canceled, and nobody can pay it.
    assert_eq!(stage.gateway.begin(&nobody).await.unwrap().reference, answer.reference);
    assert_eq!(stage.stripe.taken(nobody.charge_id), 0);
    // The search may not know it yet.
    let outcome = stage.gateway.query(&unknown).await;
    assert!(matches!(outcome, Err(GatewayError::Failed(_))), "{outcome:?}");
    assert_eq!(stage.gateway.abandon(&paid).await.unwrap().state, GatewayState::Approved);
    for charge in [&declined_one, &waiting, &unknown] {
        let answer = stage.gateway.abandon(charge).await.unwrap();
        assert!(matches!(answer.state, GatewayState::Declined(_)), "{answer:?}");
        assert_eq!(stage.gateway.begin(charge).await.unwrap().reference, answer.reference);
        assert_eq!(stage.stripe.taken(charge.charge_id), 0);
    }
    stage.clock.advance(TimeDelta::hours(25));
    stage.gateway.abandon(&late).await.unwrap_err();
    stage.clock.advance(TimeDelta::hours(2));
    assert_eq!(stage.gateway.abandon(&late).await.unwrap().state, declined(DeclineReason::Abandoned));
}

/// The key is the charge's, and tells what was begun even if it cannot be listed.
#[tokio::test]
async fn a_charge_that_the_list_does_not_have_is_given_up_by_its_key() {
    for (method, expected) in [
        (Some("pm_card_visa"), GatewayState::Approved),
        (Some("pm_card_authenticationRequired"), declined(DeclineReason::Abandoned)),
        (None, declined(DeclineReason::Abandoned)),
    ] {
        let stage = Stage::new().await;
        let charge = stage.charge(method);
        stage.gateway.begin(&charge).await.unwrap();
        // Seen from there, nothing was made at its time.
        let elsewhere = GatewayRequest { created_at: charge.created_at + TimeDelta::hours(2), ..charge.clone() };
        assert_eq!(stage.gateway.abandon(&elsewhere).await.unwrap().state, expected, "{method:?}");
        assert_eq!(stage.stripe.books().len(), 1);
    }
}

/// A stand-in that ignores keys makes several intents of one charge: one that was paid counts.
#[tokio::test]
async fn of_several_intents_the_one_that_was_paid_counts() {
    let stage = Stage::new().await;
    stage.stripe.ignore_keys(true);
    let charge = stage.charge(Some("pm_card_visa"));
    stage.stripe.misbehave(Act::Create, [Fault::CutBefore]);
    let unpaid = GatewayRequest { payment_method: None, ..charge.clone() };
    stage.gateway.begin(&unpaid).await.unwrap();
    stage.gateway.begin(&charge).await.unwrap();
    stage.gateway.begin(&unpaid).await.unwrap();
    assert_eq!(stage.stripe.books().len(), 3);
    assert_eq!(stage.gateway.query(&charge).await.unwrap().unwrap().state, GatewayState::Approved);
    assert_eq!(stage.gateway.abandon(&charge).await.unwrap().state, GatewayState::Approved);
    let statuses: Vec<_> = stage.stripe.books().iter().map(|payment| payment.status).collect();
    assert_eq!(statuses, ["canceled", "succeeded", "canceled"], "nobody can pay the others");
}

#[tokio::test]
async fn the_books_are_read_to_their_end_with_the_payments_of_others() {
    let stage = Stage::new().await;
    for _ in 0..205 {
        stage.stripe.pay_elsewhere(700);
    }
    let charge = stage.charge(Some("pm_card_visa"));
    stage.gateway.begin(&charge).await.unwrap();
    stage.gateway.refund(&refund(&charge, 4_000)).await.unwrap();
    let (from, until) = (stage.clock.now(), stage.clock.now() + TimeDelta::seconds(1));
    let records = stage.gateway.records(from, until, 206).await.unwrap();
    assert_eq!(records.iter().filter(|record| record.charge_id.is_none()).count(), 205);
    let of_charge: Vec<_> = records.iter().filter(|record| record.charge_id == Some(charge.charge_id)).collect();
    let [record] = of_charge.as_slice() else { panic!("{of_charge:?}") };
    assert_eq!((record.amount, record.is_paid, record.refunded.get()), (charge.amount, true, 4_000));
    assert!(matches!(stage.gateway.records(from, until, 205).await, Err(GatewayError::Failed(_))));
    let earlier = stage.gateway.records(from - TimeDelta::days(1), from, 206).await.unwrap();
    assert!(earlier.is_empty());
    let after = stage.gateway.records(until, until + TimeDelta::days(1), 206).await.unwrap();
    assert!(after.is_empty());
}
