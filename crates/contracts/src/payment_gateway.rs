//! The contract of [`PaymentGateway`].

use async_trait::async_trait;
use boxoffice_domain::{
    Points, Timestamp, fixtures,
    gateway::{GatewayAnswer, GatewayRefund, GatewayRequest, GatewayState, HeaderField, PaymentGateway},
};

mod messages;
mod payments;
mod refunds;

pub use messages::*;
pub use payments::*;
pub use refunds::*;

/// Makes a test of each function of the contract, in the module that calls it. The argument is an
/// `async fn() -> impl Subject`.
#[macro_export]
macro_rules! payment_gateway_contract {
    ($subject:expr) => {
        $crate::contract_tests! { payment_gateway, $subject;
            a_payment_is_approved
            a_payment_is_declined_for_good
            a_charge_that_was_never_begun_is_unknown
            a_buyer_who_has_to_act_can_pay
            a_buyer_who_fails_to_act_has_not_paid
            a_failure_without_a_decision_can_be_asked_again
            a_time_out_before_the_effect_can_be_asked_again
            a_time_out_after_the_effect_takes_money_once
            the_same_charge_takes_money_once
            another_amount_under_the_same_id_is_a_conflict
            a_charge_that_is_abandoned_before_it_begins_is_never_paid
            a_charge_that_is_abandoned_while_the_buyer_acts_is_never_paid
            a_charge_that_is_abandoned_after_it_was_paid_stays_paid
            money_is_given_back_once
            money_is_given_back_in_parts_and_no_more_than_was_taken
            another_amount_under_the_same_refund_is_a_conflict
            money_that_was_not_taken_is_not_given_back
            a_message_may_arrive_before_the_answer
            a_message_may_arrive_twice_and_out_of_order
            a_forged_message_is_refused
            a_message_is_refused_after_its_time
            the_books_agree_with_what_was_done
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
    /// Takes the money when the buyer has acted.
    WantsTheBuyer,
    /// Fails without a decision; asked again, it approves.
    FailsOnce,
    /// The request is lost before anything happens; asked again, it approves.
    LosesTheRequest,
    /// Takes the money, but its answer does not arrive, or arrives too late.
    LosesTheAnswer,
}

/// Something that a stand-in for the other side may be unable to do. The real one can do all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ability {
    /// To let the buyer act: [`Behaviour::WantsTheBuyer`].
    WantsTheBuyer,
    /// To fail when a test wants it: [`Behaviour::FailsOnce`].
    Fails,
    /// To lose requests and answers when a test wants it.
    LosesAnswers,
    /// To know a charge again that it is asked to begin a second time.
    KnowsChargesAgain,
    /// To know a charge that was abandoned before it was begun.
    KnowsAbandonedCharges,
    /// To refuse to give back more than it has taken.
    RefusesExcess,
}

impl Ability {
    /// All there are.
    pub const ALL: [Self; 6] = [
        Self::WantsTheBuyer,
        Self::Fails,
        Self::LosesAnswers,
        Self::KnowsChargesAgain,
        Self::KnowsAbandonedCharges,
        Self::RefusesExcess,
    ];
}

/// Fails if an ability is lacked by all subjects on which an adapter is tested: a scenario would run nowhere.
pub fn assert_nothing_is_left_out(lacks_of_subjects: &[&[Ability]]) {
    for ability in Ability::ALL {
        let is_tested = lacks_of_subjects.iter().any(|lacks| !lacks.contains(&ability));
        assert!(is_tested, "no subject can do {ability:?}, so its scenarios run nowhere");
    }
}

/// A message that the other side has sent.
#[derive(Clone, Debug)]
pub struct Message {
    /// The head of the request.
    pub fields: Vec<HeaderField>,
    /// Its body.
    pub body: Vec<u8>,
}

/// A gateway that is tested, with the other side that it asks: the sandbox of a provider, or a server of the test. Subjects
/// may share the other side.
#[async_trait]
pub trait Subject: Send + Sync {
    /// The gateway.
    fn gateway(&self) -> &dyn PaymentGateway;

    /// What the other side cannot do. Scenarios that need it return at once, and have to run on another subject: see
    /// [`assert_nothing_is_left_out`].
    fn lacks(&self) -> &'static [Ability] {
        &[]
    }

    /// The time of the gateway and of the other side.
    fn now(&self) -> Timestamp;

    /// Makes this a charge with which the other side does what `behaviour` says. A sandbox goes by the way to pay or the
    /// amount, a server of the test by the charge's id.
    async fn arrange(&self, charge: GatewayRequest, behaviour: Behaviour) -> GatewayRequest;

    /// Acts for the buyer, who was answered that there is something to do, and confirms the payment or fails to. Returns
    /// whether the other side let the buyer act.
    async fn act(&self, charge: &GatewayRequest, answer: &GatewayAnswer, confirms: bool) -> bool;

    /// How many points the other side has taken for a charge, if the test can see it.
    async fn taken(&self, charge: &GatewayRequest) -> Option<i64>;

    /// How many points it has given back of a charge, if the test can see it.
    async fn given_back(&self, charge: &GatewayRequest) -> Option<i64>;

    /// Whether the other side sends messages. The gateway of one that does not refuses all of them.
    fn sends_messages(&self) -> bool {
        false
    }

    /// The messages about a charge so far, at least `count`, for which it waits.
    async fn messages(&self, charge: &GatewayRequest, count: usize) -> Vec<Message> {
        let _ = (charge, count);
        Vec::new()
    }
}

/// Whether a scenario that needs this runs on the subject.
fn can(subject: &impl Subject, ability: Ability) -> bool {
    !subject.lacks().contains(&ability)
}

const AMOUNT: i64 = 10_000;

/// A new charge with which the other side does this.
async fn charge(subject: &impl Subject, behaviour: Behaviour) -> GatewayRequest {
    let charge = fixtures::charge_request(AMOUNT);
    let charge = GatewayRequest {
        charge_id: fresh(),
        account_id: charge.account_id,
        amount: charge.amount.points(),
        payment_method: None,
        created_at: subject.now(),
        reference: None,
    };
    subject.arrange(charge, behaviour).await
}

/// An id that the other side has never seen, even if it outlives this process.
fn fresh<T: From<uuid::Uuid>>() -> T {
    use boxoffice_domain::{EntropySource, fixtures::TestEntropy};
    TestEntropy.uuid().into()
}

/// The same charge, with the name that the gateway has given it.
fn named(charge: &GatewayRequest, answer: &GatewayAnswer) -> GatewayRequest {
    let reference = answer.reference.clone();
    GatewayRequest { reference: Some(reference.expect("a payment that was begun has a name")), ..charge.clone() }
}

fn refund(charge: &GatewayRequest, amount: i64) -> GatewayRefund {
    GatewayRefund { refund_id: fresh(), charge: charge.clone(), amount: Points::new(amount).expect("not negative") }
}

/// Begins a charge that is approved, and returns it with its name.
async fn paid(subject: &impl Subject) -> GatewayRequest {
    let charge = charge(subject, Behaviour::Approves).await;
    let answer = subject.gateway().begin(&charge).await.expect("an answer");
    assert_eq!(answer.state, GatewayState::Approved);
    named(&charge, &answer)
}

fn is_declined(answer: &GatewayAnswer) -> bool {
    matches!(answer.state, GatewayState::Declined(_))
}

async fn assert_taken(subject: &impl Subject, charge: &GatewayRequest, expected: i64) {
    if let Some(taken) = subject.taken(charge).await {
        assert_eq!(taken, expected, "the points that were taken");
    }
}

async fn assert_given_back(subject: &impl Subject, charge: &GatewayRequest, expected: i64) {
    if let Some(given_back) = subject.given_back(charge).await {
        assert_eq!(given_back, expected, "the points that were given back");
    }
}

/// Asks how a charge stands, without and with the name that the gateway has for it.
async fn assert_stands(subject: &impl Subject, charge: &GatewayRequest, expected: impl Fn(&GatewayAnswer) -> bool) {
    let unnamed = GatewayRequest { reference: None, ..charge.clone() };
    for request in [&unnamed, charge] {
        let answer = subject.gateway().query(request).await.expect("an answer").expect("a payment");
        assert!(expected(&answer), "{answer:?} for {request:?}");
    }
}
