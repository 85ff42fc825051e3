//! The contract of [`PaymentGateway`].

use boxoffice_domain::{
    fixtures,
    gateway::{
        GatewayRequest,
        GatewayVerdict::{Approved, Declined},
        PaymentGateway,
    },
};
use futures::future::join_all;

/// Makes a test of each function of the contract, in the module that calls it. The argument is an
/// `async fn() -> impl Subject`.
#[macro_export]
macro_rules! payment_gateway_contract {
    ($subject:expr) => {
        $crate::contract_tests! { payment_gateway, $subject;
            a_charge_gets_its_verdict
            a_charge_is_decided_once
            a_charge_without_a_verdict_can_be_asked_for_again
            money_whose_answer_was_lost_is_not_taken_twice
        }
    };
}

/// What the other side does with a charge when it is asked for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Behaviour {
    /// Takes the money.
    Approves,
    /// Refuses to take it.
    Declines,
    /// Fails without a decision; asked again, it approves.
    FailsOnce,
    /// Takes the money, but its answer does not arrive, or arrives too late.
    LosesTheAnswer,
}

/// A gateway that is tested, with the other side that it asks: the sandbox of a provider, or a server of the test.
pub trait Subject: Send + Sync {
    /// The gateway.
    fn gateway(&self) -> &dyn PaymentGateway;

    /// Makes this a charge with which the other side does what `behaviour` says. A sandbox often goes by the amount, a
    /// server of the test by the charge's id.
    fn arrange(&self, charge: GatewayRequest, behaviour: Behaviour) -> GatewayRequest;

    /// How many points the other side has taken in all, if the test can see it.
    fn points_taken(&self) -> Option<i64> {
        None
    }
}

fn charge(subject: &impl Subject, behaviour: Behaviour) -> GatewayRequest {
    let charge = fixtures::charge_request(10_000);
    let (charge_id, account_id) = (charge.charge_id, charge.account_id);
    subject.arrange(GatewayRequest { charge_id, account_id, amount: charge.amount.points() }, behaviour)
}

fn assert_taken(subject: &impl Subject, expected: i64) {
    if let Some(taken) = subject.points_taken() {
        assert_eq!(taken, expected, "the points that were taken");
    }
}

/// A refusal is a verdict, and not a failure.
pub async fn a_charge_gets_its_verdict<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    let (approved, declined) = (charge(&subject, Behaviour::Approves), charge(&subject, Behaviour::Declines));
    assert_eq!(subject.gateway().charge(approved).await.expect("a verdict"), Approved);
    assert_eq!(subject.gateway().charge(declined).await.expect("a verdict"), Declined);
    assert_taken(&subject, approved.amount.get());
}

/// However often a charge is asked for, also at once, its verdict stays the same and its money is taken once. Another
/// charge of the same account and amount is another one.
pub async fn a_charge_is_decided_once<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    for (behaviour, verdict) in [(Behaviour::Approves, Approved), (Behaviour::Declines, Declined)] {
        let charge = charge(&subject, behaviour);
        for outcome in join_all((0..10).map(|_| subject.gateway().charge(charge))).await {
            assert_eq!(outcome.expect("a verdict"), verdict);
        }
        assert_eq!(subject.gateway().charge(charge).await.expect("a verdict"), verdict);
    }
    let (first, second) = (charge(&subject, Behaviour::Approves), charge(&subject, Behaviour::Approves));
    let second = GatewayRequest { account_id: first.account_id, ..second };
    for charge in [first, second] {
        assert_eq!(subject.gateway().charge(charge).await.expect("a verdict"), Approved);
    }
    assert_taken(&subject, 3 * first.amount.get());
}

/// A failure of the other side is an error and never a verdict. The same charge gets one later.
pub async fn a_charge_without_a_verdict_can_be_asked_for_again<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    let charge = charge(&subject, Behaviour::FailsOnce);
    subject.gateway().charge(charge).await.expect_err("no verdict");
    assert_taken(&subject, 0);
    assert_eq!(subject.gateway().charge(charge).await.expect("a verdict"), Approved);
    assert_taken(&subject, charge.amount.get());
}

/// A gateway gives up waiting, so that its caller is not kept for ever. Asked again, it returns what was decided.
pub async fn money_whose_answer_was_lost_is_not_taken_twice<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    let charge = charge(&subject, Behaviour::LosesTheAnswer);
    subject.gateway().charge(charge).await.expect_err("no answer");
    for _ in 0..2 {
        assert_eq!(subject.gateway().charge(charge).await.expect("a verdict"), Approved);
    }
    assert_taken(&subject, charge.amount.get());
}
