//! The payment gateway of boxoffice over [Stripe](https://docs.stripe.com/api).
//!
//! A charge is a payment intent whose metadata name it; [`StripeGateway`] says how they correspond. `docs/gateways.md`
//! describes what an adapter for another provider has to do.

mod api;
mod connection;
mod decline;
mod intents;
mod notifications;
mod objects;
mod payments;
mod records;
mod refunds;
mod settings;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use boxoffice_domain::{
    Clock, Timestamp,
    gateway::{
        GatewayAnswer, GatewayError, GatewayRecord, GatewayRefund, GatewayRequest, HeaderField, Notification,
        NotificationRefusal, PaymentGateway, RefundVerdict,
    },
};

use api::StripeApi;
pub use settings::{API_BASE_URL, InvalidSettings, Secret, StripeSettings};

/// Won have no decimals: Stripe's amount is the number of won, and so of points.
const CURRENCY: &str = "krw";

/// Takes and gives back money over Stripe.
///
/// | boxoffice | Stripe |
/// | --- | --- |
/// | charge | payment intent, with `charge_id` and `account_id` in its metadata, made under the key `charge-<id>` |
/// | way to pay | payment method `pm_…`, with which the intent is confirmed as it is made |
/// | declined | canceled intent: one that was only refused could still be paid with its client secret |
/// | refund | refund, with `refund_id` in its metadata, made under the key `refund-<id>` |
/// | notification | event, signed with `Stripe-Signature` |
///
/// # Asking late
///
/// Stripe forgets keys after 24 hours. `begin` of a charge that was recorded more than 23 hours ago makes no payment intent: it answers with the one that is
/// there, or that the charge was abandoned. So every intent is made within 24 hours of its charge, where `query` looks for
/// it, and while its key is remembered.
pub struct StripeGateway {
    api: StripeApi,
    settings: StripeSettings,
    clock: Arc<dyn Clock>,
}

impl StripeGateway {
    /// Makes a gateway. It asks Stripe nothing yet.
    pub fn new(settings: StripeSettings, clock: Arc<dyn Clock>) -> Result<Self, InvalidSettings> {
        Ok(Self { api: StripeApi::new(&settings)?, settings, clock })
    }
}

impl fmt::Debug for StripeGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StripeGateway").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[async_trait]
impl PaymentGateway for StripeGateway {
    async fn begin(&self, request: &GatewayRequest) -> Result<GatewayAnswer, GatewayError> {
        self.begin_payment(request).await
    }

    async fn query(&self, request: &GatewayRequest) -> Result<Option<GatewayAnswer>, GatewayError> {
        self.query_payment(request).await
    }

    async fn abandon(&self, request: &GatewayRequest) -> Result<GatewayAnswer, GatewayError> {
        self.abandon_payment(request).await
    }

    async fn refund(&self, refund: &GatewayRefund) -> Result<RefundVerdict, GatewayError> {
        self.refund_payment(refund).await
    }

    fn verify_notification(
        &self,
        fields: &[HeaderField],
        body: &[u8],
        now: Timestamp,
    ) -> Result<Notification, NotificationRefusal> {
        notifications::verify(&self.settings.webhook_secrets, fields, body, now)
    }

    async fn records(
        &self,
        from: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<GatewayRecord>, GatewayError> {
        self.list_records(from, until, limit).await
    }
}
