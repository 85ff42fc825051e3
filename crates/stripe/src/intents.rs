//! Payment intents: how they are made, and how the one of a charge is found.

use boxoffice_domain::{
    Timestamp,
    gateway::{GatewayReference, GatewayRequest},
};
use chrono::TimeDelta;
use tokio::time::Instant;
use url::Url;

use crate::{
    CURRENCY, StripeGateway,
    api::{Form, Most, StripeError},
    objects::{ACCOUNT_ID, CHARGE_ID, Page, PaymentIntent, charge_id},
};

pub(crate) const INTENTS: &str = "/v1/payment_intents";
/// How far the clock of an instance may be ahead of Stripe's: an intent seems that much older than its charge.
const CLOCK_DIFFERENCE: TimeDelta = TimeDelta::minutes(10);
/// An intent is made soon after its charge; the first search ends here, so that it is short in most cases.
const SOON: TimeDelta = TimeDelta::minutes(10);
/// When a charge is too old to be begun. Stripe remembers a key for a day.
const BEGUN_WITHIN: TimeDelta = TimeDelta::hours(23);
/// No intent is made later than this, with an hour for the clocks and for requests on their way.
const FOUND_WITHIN: TimeDelta = TimeDelta::hours(24);
/// Stripe's search knows an intent after a minute, and after an hour at worst.
const SEARCHED_WITHIN: TimeDelta = TimeDelta::hours(26);
/// Stripe makes one intent of a charge; a stand-in that ignores keys may make more. What does not fit on so many pages
/// takes longer to list than an act may.
const MOST: Most = Most { objects: 100, pages: 20 };

impl StripeGateway {
    /// Whether a charge is too old to be begun.
    pub(crate) fn is_late(&self, request: &GatewayRequest) -> bool {
        self.clock.now() > request.created_at + BEGUN_WITHIN
    }

    /// Makes an intent under the key of a charge, or returns the one that was made of the same form, as it is now: Stripe
    /// repeats what it answered when the key was used first.
    pub(crate) async fn make(
        &self,
        form: &Form,
        request: &GatewayRequest,
        deadline: Instant,
    ) -> Result<PaymentIntent, StripeError> {
        let key = format!("charge-{}", request.charge_id);
        let answer = self.api.post::<PaymentIntent>(INTENTS, form, Some(&key), deadline).await?;
        if answer.is_replayed { self.retrieve(&answer.object.reference()?, deadline).await } else { Ok(answer.object) }
    }

    /// The payment intent of this name.
    pub(crate) async fn retrieve(
        &self,
        reference: &GatewayReference,
        deadline: Instant,
    ) -> Result<PaymentIntent, StripeError> {
        self.api.get(&format!("{INTENTS}/{}", path_segment(reference.as_str())?), &Form::default(), deadline).await
    }

    /// All payment intents of a charge, the one that tells most first: one that was paid, one that Stripe decides about, one
    /// that can still be paid, one that is canceled.
    ///
    /// Stripe cannot list by metadata, so this reads the intents that were made around the time of the charge: of 10 minutes
    /// before to 10 minutes after and, if it is not among them, to 24 hours after. None is made later, see
    /// [`StripeGateway`]. If a shop makes too many to read, Stripe's search is asked. It lags behind, so that it knows of
    /// none counts two hours later; until then that is [`StripeError::TooMany`].
    pub(crate) async fn find(
        &self,
        request: &GatewayRequest,
        deadline: Instant,
    ) -> Result<Vec<PaymentIntent>, StripeError> {
        let mut found = match self.find_by_time(request, deadline).await {
            Err(StripeError::TooMany) => self.search(request, deadline).await?,
            found => found?,
        };
        found.sort_by_key(|intent| match intent.status.as_str() {
            "succeeded" => 0,
            "processing" => 1,
            "canceled" => 3,
            _ => 2,
        });
        Ok(found)
    }

    async fn find_by_time(
        &self,
        request: &GatewayRequest,
        deadline: Instant,
    ) -> Result<Vec<PaymentIntent>, StripeError> {
        let (from, soon) = (request.created_at - CLOCK_DIFFERENCE, request.created_at + SOON);
        let found = self.find_between(request, from, soon, deadline).await?;
        if found.is_empty() && self.clock.now() + CLOCK_DIFFERENCE > soon {
            return self.find_between(request, soon, request.created_at + FOUND_WITHIN, deadline).await;
        }
        Ok(found)
    }

    async fn find_between(
        &self,
        request: &GatewayRequest,
        from: Timestamp,
        until: Timestamp,
        deadline: Instant,
    ) -> Result<Vec<PaymentIntent>, StripeError> {
        let query = Form::default().with("created[gte]", &from.timestamp()).with("created[lte]", &until.timestamp());
        let of_charge = |intent| Some(intent).filter(|intent| is_of(intent, request));
        self.api.list(INTENTS, &query, MOST, || deadline, of_charge).await
    }

    async fn search(&self, request: &GatewayRequest, deadline: Instant) -> Result<Vec<PaymentIntent>, StripeError> {
        let query = format!("metadata['{CHARGE_ID}']:'{}'", request.charge_id);
        let query = Form::default().with("query", &query).with("limit", "100");
        let page: Page<PaymentIntent> = self.api.get(&format!("{INTENTS}/search"), &query, deadline).await?;
        let found: Vec<_> = page.data.into_iter().filter(|intent| is_of(intent, request)).collect();
        let is_known_by_now = self.clock.now() > request.created_at + SEARCHED_WITHIN;
        if found.is_empty() && !is_known_by_now { Err(StripeError::TooMany) } else { Ok(found) }
    }
}

fn is_of(intent: &PaymentIntent, request: &GatewayRequest) -> bool {
    charge_id(&intent.metadata) == Some(request.charge_id)
}

/// The form of an intent that is not confirmed. Cards are confirmed on the buyer's page, without leaving it.
pub(crate) fn new_intent(request: &GatewayRequest) -> Form {
    Form::default()
        .with("amount", &request.amount)
        .with("currency", CURRENCY)
        .with("payment_method_types[]", "card")
        .with(format!("metadata[{CHARGE_ID}]"), &request.charge_id)
        .with(format!("metadata[{ACCOUNT_ID}]"), &request.account_id)
}

/// The form of an intent that is confirmed with the way to pay that was chosen, if one was.
pub(crate) fn confirmed_intent(request: &GatewayRequest, return_url: Option<&Url>) -> Form {
    let form = new_intent(request);
    let Some(method) = &request.payment_method else { return form };
    let form = form.with("payment_method", method.as_str()).with("confirm", &true);
    match return_url {
        Some(url) => form.with("return_url", url.as_str()),
        None => form,
    }
}

/// Refuses a name that would reach another path.
pub(crate) fn path_segment(name: &str) -> Result<&str, StripeError> {
    let is_plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_plain { Ok(name) } else { Err(StripeError::Nonsense("a name of an object")) }
}
