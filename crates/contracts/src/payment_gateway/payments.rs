//! Charges that are begun, asked for and given up.

use boxoffice_domain::{
    Points,
    gateway::{GatewayAnswer, GatewayError, GatewayRequest, GatewayState},
};
use futures::future::join_all;

use super::{Ability, Behaviour, Subject, assert_stands, assert_taken, can, charge, is_declined, named, paid};

/// How often a charge is asked for at once.
const AT_ONCE: usize = 10;

fn is_approved(answer: &GatewayAnswer) -> bool {
    answer.state == GatewayState::Approved
}

/// Begins a charge until there is an answer: an instance asks again after an error.
async fn begun(subject: &impl Subject, charge: &GatewayRequest) -> GatewayAnswer {
    let mut last = None;
    for _ in 0..5 {
        match subject.gateway().begin(charge).await {
            Ok(answer) => return answer,
            Err(error) => last = Some(error),
        }
    }
    panic!("no answer: {last:?}");
}

/// The money is taken, the payment has a name, and is found with and without it.
pub async fn a_payment_is_approved<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    let charge = paid(&subject).await;
    assert_stands(&subject, &charge, is_approved).await;
    assert_taken(&subject, &charge, charge.amount.get()).await;
}

/// A refusal is an answer, and not a failure. It stays, and nobody can pay the charge afterwards.
pub async fn a_payment_is_declined_for_good<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    let charge = charge(&subject, Behaviour::Declines).await;
    let answer = subject.gateway().begin(&charge).await.expect("an answer");
    assert!(is_declined(&answer), "{answer:?}");
    if answer.reference.is_some() {
        let charge = named(&charge, &answer);
        assert_stands(&subject, &charge, is_declined).await;
        assert!(!subject.act(&charge, &answer, true).await, "a declined charge can be paid");
        assert!(is_declined(&begun(&subject, &charge).await));
    }
    if can(&subject, Ability::KnowsChargesAgain) {
        assert_eq!(begun(&subject, &charge).await, answer, "the reason stays too");
    }
    assert_taken(&subject, &charge, 0).await;
}

/// Absence is no failure.
pub async fn a_charge_that_was_never_begun_is_unknown<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    let charge = charge(&subject, Behaviour::Approves).await;
    assert_eq!(subject.gateway().query(&charge).await.expect("an answer"), None);
}

async fn begin_and_wait_for_the_buyer(subject: &impl Subject) -> (GatewayRequest, GatewayAnswer) {
    let charge = charge(subject, Behaviour::WantsTheBuyer).await;
    let answer = subject.gateway().begin(&charge).await.expect("an answer");
    let GatewayState::ActionRequired(action) = &answer.state else { panic!("{answer:?}") };
    assert!(!action.client_secret.is_empty());
    let charge = named(&charge, &answer);
    assert_stands(subject, &charge, |again| again.state == answer.state).await;
    assert_taken(subject, &charge, 0).await;
    (charge, answer)
}

/// The money is taken when the buyer has acted, and not before.
pub async fn a_buyer_who_has_to_act_can_pay<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    if !can(&subject, Ability::WantsTheBuyer) {
        return;
    }
    let (charge, answer) = begin_and_wait_for_the_buyer(&subject).await;
    assert!(subject.act(&charge, &answer, true).await);
    assert_stands(&subject, &charge, is_approved).await;
    assert!(is_approved(&begun(&subject, &charge).await), "what is begun again is answered as it stands now");
    if can(&subject, Ability::KnowsChargesAgain) {
        let unnamed = GatewayRequest { reference: None, ..charge.clone() };
        assert!(is_approved(&begun(&subject, &unnamed).await), "without its name too");
    }
    assert_taken(&subject, &charge, charge.amount.get()).await;
}

/// The charge is declined then, or the buyer may try again; the money is not taken.
pub async fn a_buyer_who_fails_to_act_has_not_paid<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    if !can(&subject, Ability::WantsTheBuyer) {
        return;
    }
    let (charge, answer) = begin_and_wait_for_the_buyer(&subject).await;
    assert!(subject.act(&charge, &answer, false).await);
    assert_stands(&subject, &charge, |answer| !is_approved(answer)).await;
    assert!(is_declined(&subject.gateway().abandon(&charge).await.expect("an answer")));
    assert!(!subject.act(&charge, &answer, true).await, "a declined charge can be paid");
    assert_taken(&subject, &charge, 0).await;
}

/// A failure of the other side is an error and never an answer. An adapter may ask again by itself before it gives up.
pub async fn a_failure_without_a_decision_can_be_asked_again<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    if can(&subject, Ability::Fails) {
        is_asked_again(&subject, Behaviour::FailsOnce).await;
    }
}

/// The adapter gives up waiting, or asks again by itself; in the end the charge is paid once.
pub async fn a_time_out_before_the_effect_can_be_asked_again<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    if can(&subject, Ability::LosesAnswers) {
        is_asked_again(&subject, Behaviour::LosesTheRequest).await;
    }
}

/// As before: that the money was taken already changes nothing.
pub async fn a_time_out_after_the_effect_takes_money_once<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    if can(&subject, Ability::LosesAnswers) {
        is_asked_again(&subject, Behaviour::LosesTheAnswer).await;
    }
}

async fn is_asked_again(subject: &impl Subject, behaviour: Behaviour) {
    let charge = charge(subject, behaviour).await;
    match subject.gateway().begin(&charge).await {
        Ok(answer) => assert!(is_approved(&answer), "{answer:?}"),
        Err(GatewayError::TimedOut | GatewayError::Failed(_)) => {}
        Err(error) => panic!("{error:?}"),
    }
    for _ in 0..2 {
        assert!(is_approved(&begun(subject, &charge).await));
    }
    let unnamed = subject.gateway().query(&charge).await.expect("an answer").expect("a payment");
    assert!(is_approved(&unnamed));
    assert_taken(subject, &charge, charge.amount.get()).await;
}

/// However often a charge is begun, also at once, its answer stays and its money is taken once. Another charge of the same
/// account and amount is another one.
pub async fn the_same_charge_takes_money_once<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    if !can(&subject, Ability::KnowsChargesAgain) {
        return;
    }
    let first = charge(&subject, Behaviour::Approves).await;
    let second = charge(&subject, Behaviour::Approves).await;
    let second = GatewayRequest { account_id: first.account_id, ..second };
    for charge in [&first, &second] {
        let answers: Vec<_> = join_all((0..AT_ONCE).map(|_| subject.gateway().begin(charge))).await;
        let answer = begun(&subject, charge).await;
        assert!(is_approved(&answer));
        for earlier in answers.into_iter().flatten() {
            assert_eq!(earlier, answer);
        }
        assert_eq!(begun(&subject, &named(charge, &answer)).await, answer);
        assert_taken(&subject, charge, charge.amount.get()).await;
    }
}

/// Nothing is taken for the second amount.
pub async fn another_amount_under_the_same_id_is_a_conflict<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    let charge = paid(&subject).await;
    let amount = Points::new(2 * charge.amount.get()).expect("not negative");
    let other = GatewayRequest { amount, ..charge.clone() };
    let mut outcomes = vec![subject.gateway().begin(&other).await.map(Some), subject.gateway().query(&other).await];
    if can(&subject, Ability::KnowsChargesAgain) {
        let unnamed = GatewayRequest { reference: None, ..other };
        outcomes.push(subject.gateway().begin(&unnamed).await.map(Some));
    }
    for outcome in outcomes {
        assert!(matches!(outcome, Err(GatewayError::Conflict)), "{outcome:?}");
    }
    assert_taken(&subject, &charge, charge.amount.get()).await;
}

/// It is declined, however often. A later request to begin it is refused, and no money is taken.
pub async fn a_charge_that_is_abandoned_before_it_begins_is_never_paid<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    let charge = charge(&subject, Behaviour::Approves).await;
    for _ in 0..2 {
        assert!(is_declined(&subject.gateway().abandon(&charge).await.expect("an answer")));
    }
    if !can(&subject, Ability::KnowsAbandonedCharges) {
        return;
    }
    match subject.gateway().begin(&charge).await {
        Ok(answer) => assert!(is_declined(&answer), "{answer:?}"),
        Err(error) => assert!(matches!(error, GatewayError::Conflict), "{error:?}"),
    }
    assert_taken(&subject, &charge, 0).await;
}

/// The buyer cannot pay any more, and the charge is declined however it is asked for.
pub async fn a_charge_that_is_abandoned_while_the_buyer_acts_is_never_paid<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    if !can(&subject, Ability::WantsTheBuyer) {
        return;
    }
    let (charge, answer) = begin_and_wait_for_the_buyer(&subject).await;
    for _ in 0..2 {
        assert!(is_declined(&subject.gateway().abandon(&charge).await.expect("an answer")));
    }
    assert!(!subject.act(&charge, &answer, true).await, "an abandoned charge can be paid");
    assert_stands(&subject, &charge, is_declined).await;
    assert!(is_declined(&begun(&subject, &charge).await));
    assert_taken(&subject, &charge, 0).await;
}

/// It comes too late: the charge is approved.
pub async fn a_charge_that_is_abandoned_after_it_was_paid_stays_paid<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    let charge = paid(&subject).await;
    let unnamed = GatewayRequest { reference: None, ..charge.clone() };
    for request in [&charge, &unnamed] {
        assert!(is_approved(&subject.gateway().abandon(request).await.expect("an answer")));
    }
    assert_taken(&subject, &charge, charge.amount.get()).await;
}
