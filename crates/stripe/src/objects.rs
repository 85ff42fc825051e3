//! The objects of Stripe's API, as far as the adapter reads them.

use std::collections::HashMap;

use boxoffice_domain::{ChargeId, Points, Timestamp, gateway::GatewayReference};
use chrono::DateTime;
use serde::{Deserialize, de::IgnoredAny};

use crate::api::StripeError;

/// Which charge a payment intent or refund is for.
pub(crate) const CHARGE_ID: &str = "charge_id";
/// Who pays.
pub(crate) const ACCOUNT_ID: &str = "account_id";
/// Which refund it is, in the words of boxoffice.
pub(crate) const REFUND_ID: &str = "refund_id";

/// What boxoffice has written on an object.
pub(crate) type Metadata = HashMap<String, String>;

/// The charge that the metadata name, if they name one.
pub(crate) fn charge_id(metadata: &Metadata) -> Option<ChargeId> {
    metadata.get(CHARGE_ID)?.parse().ok()
}

/// A payment.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct PaymentIntent {
    pub(crate) id: String,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    /// In whole seconds.
    pub(crate) created: i64,
    pub(crate) status: String,
    /// Absent where the key may not see it.
    #[serde(default)]
    client_secret: ClientSecret,
    #[serde(default)]
    pub(crate) metadata: Metadata,
    #[serde(default)]
    pub(crate) next_action: Option<NextAction>,
    #[serde(default)]
    pub(crate) last_payment_error: Option<ErrorObject>,
    #[serde(default)]
    pub(crate) latest_charge: Option<LatestCharge>,
}

impl PaymentIntent {
    /// Its name.
    pub(crate) fn reference(&self) -> Result<GatewayReference, StripeError> {
        GatewayReference::new(self.id.clone()).ok_or(StripeError::Nonsense("the id of a payment intent"))
    }

    /// What the buyer's page needs; empty where the key may not see it.
    pub(crate) fn client_secret(&self) -> String {
        self.client_secret.0.clone().unwrap_or_default()
    }

    /// Where the buyer confirms the payment with a browser.
    pub(crate) fn redirect_url(&self) -> Option<String> {
        self.next_action.as_ref()?.redirect_to_url.as_ref()?.url.clone()
    }

    /// When it was made.
    pub(crate) fn created_at(&self) -> Result<Timestamp, StripeError> {
        DateTime::from_timestamp(self.created, 0).ok_or(StripeError::Nonsense("the time of a payment intent"))
    }

    /// Whether the money was taken.
    pub(crate) fn is_paid(&self) -> bool {
        self.status == "succeeded"
    }
}

/// What lets a buyer pay. `Debug` hides it.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
struct ClientSecret(Option<String>);

impl std::fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientSecret(..)")
    }
}

/// What the buyer has to do.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct NextAction {
    #[serde(default)]
    redirect_to_url: Option<Redirect>,
}

#[derive(Clone, Debug, Deserialize)]
struct Redirect {
    #[serde(default)]
    url: Option<String>,
}

/// The charge of a payment intent in Stripe's sense: its name, or all of it where that was asked for.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum LatestCharge {
    Whole { amount_refunded: i64 },
    Name(IgnoredAny),
}

/// Money that was given back.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Refund {
    pub(crate) id: String,
    pub(crate) amount: i64,
    /// `None` in old versions of the API, for a refund that succeeded.
    pub(crate) status: Option<String>,
    #[serde(default)]
    pub(crate) metadata: Metadata,
}

impl Refund {
    /// Whether the money stays where it is.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self.status.as_deref(), Some("failed" | "canceled"))
    }
}

/// A page of a list, newest first.
#[derive(Debug, Deserialize)]
pub(crate) struct Page<T> {
    pub(crate) data: Vec<T>,
    #[serde(default)]
    pub(crate) has_more: bool,
}

/// What is listed by pages, each of which begins after the last object of the previous one.
pub(crate) trait Listed {
    /// Its name.
    fn id(&self) -> &str;
}

impl Listed for PaymentIntent {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Listed for Refund {
    fn id(&self) -> &str {
        &self.id
    }
}

/// The body of an answer that is an error.
#[derive(Debug, Deserialize)]
pub(crate) struct ErrorBody {
    pub(crate) error: ErrorObject,
}

/// Why Stripe refuses. Its `message` is left out: it is for people, and may repeat what was sent.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct ErrorObject {
    #[serde(default, rename = "type")]
    pub(crate) kind: Option<String>,
    #[serde(default)]
    pub(crate) code: Option<String>,
    #[serde(default)]
    pub(crate) decline_code: Option<String>,
    #[serde(default)]
    pub(crate) param: Option<String>,
    #[serde(default)]
    pub(crate) payment_intent: Option<Box<PaymentIntent>>,
}

/// An amount of Stripe in points.
pub(crate) fn points(amount: i64) -> Result<Points, StripeError> {
    Points::new(amount).map_err(|_| StripeError::Nonsense("a negative amount"))
}
