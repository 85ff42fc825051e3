//! The contract of the port, over two servers: one that others wrote, and one that knows idempotency keys and fails.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use boxoffice_contracts::payment_gateway::{Ability, Behaviour, Message, Subject, assert_nothing_is_left_out};
use boxoffice_domain::{
    Clock, EntropySource, Timestamp,
    fixtures::TestEntropy,
    gateway::{GatewayAnswer, GatewayRequest, PaymentGateway},
};
use boxoffice_stripe::StripeGateway;
use boxoffice_testkit::{
    faulty_stripe::{Act, Fault, SentMessage, WEBHOOK_SECRET},
    localstripe::{CARD_CONFIRMED, CARD_DECLINED, CARD_GOOD, LocalStripe},
    message_sink::MessageSink,
};

use crate::support::{MachineClock, Stage, TIMEOUT, method_named, settings};

/// What localstripe cannot do.
const LOCALSTRIPE_LACKS: &[Ability] = &[
    Ability::Fails,
    Ability::LosesAnswers,
    Ability::KnowsChargesAgain,
    Ability::KnowsAbandonedCharges,
    Ability::RefusesExcess,
];

#[test]
fn every_scenario_runs_somewhere() {
    assert_nothing_is_left_out(&[LOCALSTRIPE_LACKS, &[]]);
}

fn message(sent: SentMessage) -> Message {
    Message { fields: sent.fields, body: sent.body }
}

#[async_trait]
impl Subject for Stage {
    fn gateway(&self) -> &dyn PaymentGateway {
        &self.gateway
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn arrange(&self, charge: GatewayRequest, behaviour: Behaviour) -> GatewayRequest {
        let method = match behaviour {
            Behaviour::Declines => "pm_card_chargeDeclinedInsufficientFunds",
            Behaviour::WantsTheBuyer => "pm_card_authenticationRequired",
            _ => "pm_card_visa",
        };
        // As often as the adapter tries, so that its caller sees the failure too.
        match behaviour {
            Behaviour::FailsOnce => self.stripe.misbehave(Act::Create, [Fault::Broken(None); 5]),
            Behaviour::LosesTheRequest => self.stripe.misbehave(Act::Create, [Fault::SilentBefore]),
            Behaviour::LosesTheAnswer => self.stripe.misbehave(Act::Create, [Fault::SilentAfter]),
            _ => {}
        }
        GatewayRequest { payment_method: Some(method_named(method)), ..charge }
    }

    async fn act(&self, _charge: &GatewayRequest, answer: &GatewayAnswer, confirms: bool) -> bool {
        self.stripe.act(answer.reference.as_ref().expect("a payment").as_str(), confirms)
    }

    async fn taken(&self, charge: &GatewayRequest) -> Option<i64> {
        Some(self.stripe.taken(charge.charge_id))
    }

    async fn given_back(&self, charge: &GatewayRequest) -> Option<i64> {
        Some(self.stripe.given_back(charge.charge_id))
    }

    fn sends_messages(&self) -> bool {
        true
    }

    async fn messages(&self, charge: &GatewayRequest, count: usize) -> Vec<Message> {
        self.stripe.messages(charge.charge_id, count).await.into_iter().map(message).collect()
    }
}

/// localstripe, which all tests share.
struct Local {
    server: &'static LocalStripe,
    sink: MessageSink,
    gateway: StripeGateway,
}

impl Local {
    async fn new() -> Self {
        let server = LocalStripe::shared().await.expect("localstripe");
        let sink = MessageSink::start().await.expect("an endpoint");
        let name = TestEntropy.uuid().simple().to_string();
        server.register_webhook(&name, &sink.url(), WEBHOOK_SECRET).await.expect("a webhook");
        let settings = settings(server.base_url(), Duration::from_secs(20));
        Self { server, sink, gateway: StripeGateway::new(settings, Arc::new(MachineClock)).expect("a gateway") }
    }

    async fn sums(&self, charge: &GatewayRequest) -> (i64, i64) {
        self.server.sums(&charge.charge_id.to_string()).await.expect("the books")
    }
}

#[async_trait]
impl Subject for Local {
    fn gateway(&self) -> &dyn PaymentGateway {
        &self.gateway
    }

    fn lacks(&self) -> &'static [Ability] {
        LOCALSTRIPE_LACKS
    }

    fn now(&self) -> Timestamp {
        MachineClock.now()
    }

    async fn arrange(&self, charge: GatewayRequest, behaviour: Behaviour) -> GatewayRequest {
        let card = match behaviour {
            Behaviour::Declines => CARD_DECLINED,
            Behaviour::WantsTheBuyer => CARD_CONFIRMED,
            _ => CARD_GOOD,
        };
        let method = self.server.payment_method(card).await.expect("a payment method");
        GatewayRequest { payment_method: Some(method_named(&method)), ..charge }
    }

    async fn act(&self, _charge: &GatewayRequest, answer: &GatewayAnswer, confirms: bool) -> bool {
        let intent = answer.reference.as_ref().expect("a payment").as_str();
        let is_done = self.server.authenticate(intent, confirms).await.expect("an answer");
        is_done || self.server.confirm(intent).await.expect("an answer")
    }

    async fn taken(&self, charge: &GatewayRequest) -> Option<i64> {
        Some(self.sums(charge).await.0)
    }

    async fn given_back(&self, charge: &GatewayRequest) -> Option<i64> {
        Some(self.sums(charge).await.1)
    }

    fn sends_messages(&self) -> bool {
        true
    }

    async fn messages(&self, charge: &GatewayRequest, count: usize) -> Vec<Message> {
        self.sink.received(&charge.charge_id.to_string(), count).await.into_iter().map(message).collect()
    }
}

mod over_faulty_stripe {
    boxoffice_contracts::payment_gateway_contract!(async || super::Stage::with_timeout(super::TIMEOUT).await);
}

mod over_localstripe {
    boxoffice_contracts::payment_gateway_contract!(async || super::Local::new().await);
}
