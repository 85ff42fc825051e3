//! Gateways and charges of tests.

use std::{sync::Arc, time::Duration};

use boxoffice_domain::{
    Clock, EntropySource, Points, Timestamp,
    fixtures::{TestClock, TestEntropy},
    gateway::{GatewayRequest, PaymentMethod},
};
use boxoffice_stripe::{Secret, StripeGateway, StripeSettings};
use boxoffice_testkit::faulty_stripe::{FaultyStripe, SECRET_KEY, WEBHOOK_SECRET};
use url::Url;

/// How long an act may take: long enough for an answer on a busy machine, since only answers that never come take that long.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(2);

/// The time of this machine, which localstripe goes by.
#[derive(Debug)]
pub(crate) struct MachineClock;

impl Clock for MachineClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock of a server that cannot be given another")]
    fn now(&self) -> Timestamp {
        let now: Timestamp = std::time::SystemTime::now().into();
        Timestamp::from_timestamp_micros(now.timestamp_micros()).expect("in range")
    }
}

pub(crate) fn settings(base_url: Url, timeout: Duration) -> StripeSettings {
    let mut settings = StripeSettings::new(Secret::new(SECRET_KEY), vec![Secret::new(WEBHOOK_SECRET)]);
    settings.api_base_url = base_url;
    settings.timeout = timeout;
    settings.retry_pause = Duration::from_millis(10);
    settings
}

/// A gateway with a stand-in for Stripe, whose faults a test chooses.
pub(crate) struct Stage {
    pub(crate) clock: Arc<TestClock>,
    pub(crate) stripe: FaultyStripe,
    pub(crate) gateway: StripeGateway,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with_timeout(TIMEOUT).await
    }

    pub(crate) async fn with_timeout(timeout: Duration) -> Self {
        let clock = Arc::new(TestClock::new());
        let stripe = FaultyStripe::start(clock.clone()).await.expect("a server");
        let gateway = StripeGateway::new(settings(stripe.base_url(), timeout), clock.clone()).expect("a gateway");
        Self { clock, stripe, gateway }
    }

    /// A new charge, paid so.
    pub(crate) fn charge(&self, method: Option<&str>) -> GatewayRequest {
        GatewayRequest {
            charge_id: TestEntropy.uuid().into(),
            account_id: TestEntropy.uuid().into(),
            amount: Points::new(10_000).expect("not negative"),
            payment_method: method.map(method_named),
            created_at: self.clock.now(),
            reference: None,
        }
    }
}

pub(crate) fn method_named(name: &str) -> PaymentMethod {
    PaymentMethod::new(name).expect("a plain name")
}
