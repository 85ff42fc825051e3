//! Charges: payment intents.

use boxoffice_domain::{
    Timestamp,
    gateway::{
        ClientAction, DeclineReason, GatewayAnswer, GatewayError, GatewayReference, GatewayRequest, GatewayState,
    },
};
use chrono::TimeDelta;
use tokio::time::Instant;

use crate::{
    CURRENCY, StripeGateway,
    api::{Form, StripeError},
    decline,
    objects::{ACCOUNT_ID, CHARGE_ID, PaymentIntent, charge_id},
};

const INTENTS: &str = "/v1/payment_intents";
/// How far the clock of an instance may be ahead of Stripe's: an intent seems that much older than its charge.
const CLOCK_DIFFERENCE: TimeDelta = TimeDelta::minutes(10);
/// An intent is made soon after its charge; the first search ends here, so that it is short in most cases.
const SOON: TimeDelta = TimeDelta::minutes(10);
/// When a charge is too old to be begun. Stripe remembers a key for a day.
const BEGUN_WITHIN: TimeDelta = TimeDelta::hours(23);
/// No intent is made later than this, with an hour for the clocks and for requests on their way.
const FOUND_WITHIN: TimeDelta = TimeDelta::hours(24);
/// Stripe makes one intent of a charge. A stand-in that ignores keys may make more.
const INTENTS_MAX: usize = 100;

impl StripeGateway {
    pub(crate) async fn begin_payment(&self, request: &GatewayRequest) -> Result<GatewayAnswer, GatewayError> {
        let deadline = self.api.deadline();
        if let Some(reference) = &request.reference {
            return self.conclude(self.retrieve(reference, deadline).await?, request, deadline).await;
        }
        if self.is_late(request) {
            let found = self.preferred(request, deadline).await?;
            return found.map_or_else(|| Ok(never_begun()), Ok);
        }
        let mut form = new_intent(request);
        if let Some(method) = &request.payment_method {
            form = form.with("payment_method", method.as_str()).with("confirm", &true);
            if let Some(url) = &self.settings.return_url {
                form = form.with("return_url", url);
            }
        }
        match self.api.post::<PaymentIntent>(INTENTS, &form, Some(&key(request)), deadline).await {
            // What is repeated was true when the key was used first.
            Ok(answer) if answer.is_replayed => {
                let reference = answer.object.reference()?;
                self.conclude(self.retrieve(&reference, deadline).await?, request, deadline).await
            }
            Ok(answer) => self.conclude(answer.object, request, deadline).await,
            Err(error) => self.after_refusal(error, request, deadline).await,
        }
    }

    pub(crate) async fn query_payment(&self, request: &GatewayRequest) -> Result<Option<GatewayAnswer>, GatewayError> {
        let deadline = self.api.deadline();
        match &request.reference {
            Some(reference) => {
                let intent = self.retrieve(reference, deadline).await?;
                self.conclude(intent, request, deadline).await.map(Some)
            }
            None => self.preferred(request, deadline).await,
        }
    }

    pub(crate) async fn abandon_payment(&self, request: &GatewayRequest) -> Result<GatewayAnswer, GatewayError> {
        let deadline = self.api.deadline();
        let mut intents = match &request.reference {
            Some(reference) => vec![self.retrieve(reference, deadline).await?],
            None => self.find(request, deadline).await?,
        };
        if intents.is_empty() && !self.is_late(request) {
            intents = self.occupy(request, deadline).await?;
        }
        self.close(intents, request, None, deadline).await
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
    /// Stripe cannot list by metadata, and its search lags behind, so this reads the intents that were made around the time
    /// of the charge: of 10 minutes before to 10 minutes after and, if it is not among them, to 24 hours after. None is
    /// made later, see [`StripeGateway`].
    pub(crate) async fn find(
        &self,
        request: &GatewayRequest,
        deadline: Instant,
    ) -> Result<Vec<PaymentIntent>, StripeError> {
        let (from, soon) = (request.created_at - CLOCK_DIFFERENCE, request.created_at + SOON);
        let mut found = self.find_between(request, from, soon, deadline).await?;
        if found.is_empty() && self.clock.now() + CLOCK_DIFFERENCE > soon {
            found = self.find_between(request, soon, request.created_at + FOUND_WITHIN, deadline).await?;
        }
        found.sort_by_key(|intent| match intent.status.as_str() {
            "succeeded" => 0,
            "processing" => 1,
            "canceled" => 3,
            _ => 2,
        });
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
        let is_of_charge =
            |intent: PaymentIntent| (charge_id(&intent.metadata) == Some(request.charge_id)).then_some(intent);
        self.api.list(INTENTS, &query, INTENTS_MAX, || deadline, is_of_charge).await
    }

    /// How the intent of a charge stands that tells most; `None` if there is none.
    async fn preferred(
        &self,
        request: &GatewayRequest,
        deadline: Instant,
    ) -> Result<Option<GatewayAnswer>, GatewayError> {
        match self.find(request, deadline).await?.into_iter().next() {
            Some(intent) => self.conclude(intent, request, deadline).await.map(Some),
            None => Ok(None),
        }
    }

    /// What follows from an intent. One whose way to pay was refused is canceled, because the buyer's page could try
    /// another under a charge that is answered as declined.
    async fn conclude(
        &self,
        intent: PaymentIntent,
        request: &GatewayRequest,
        deadline: Instant,
    ) -> Result<GatewayAnswer, GatewayError> {
        check(&intent, request)?;
        if intent.status == "requires_payment_method"
            && request.payment_method.is_some()
            && let Some(error) = &intent.last_payment_error
        {
            let reason = decline::reason(error);
            return self.close(vec![intent], request, Some(reason), deadline).await;
        }
        Ok(answer(&intent, None)?)
    }

    /// What follows from an error of the request that makes an intent.
    async fn after_refusal(
        &self,
        error: StripeError,
        request: &GatewayRequest,
        deadline: Instant,
    ) -> Result<GatewayAnswer, GatewayError> {
        let StripeError::Refused { status, error: refusal, .. } = &error else { return Err(error.into()) };
        if refusal.is_idempotency_error() {
            // The key was used for another amount, or by `occupy` for the same.
            let answer = self.preferred(request, deadline).await?;
            return answer.ok_or(GatewayError::Conflict);
        }
        let Some(reason) = decline::of_refusal(status.as_u16(), refusal) else { return Err(error.into()) };
        let intents = match &refusal.payment_intent {
            Some(intent) => vec![PaymentIntent::clone(intent)],
            None => self.find(request, deadline).await?,
        };
        self.close(intents, request, Some(reason), deadline).await
    }

    /// Makes an intent that nobody has to pay, under the key of the charge: a request to begin it that is still on its way
    /// then makes none. If there is one meanwhile, returns that.
    async fn occupy(&self, request: &GatewayRequest, deadline: Instant) -> Result<Vec<PaymentIntent>, StripeError> {
        match self.api.post::<PaymentIntent>(INTENTS, &new_intent(request), Some(&key(request)), deadline).await {
            Ok(answer) if answer.is_replayed => Ok(vec![self.retrieve(&answer.object.reference()?, deadline).await?]),
            Ok(answer) => Ok(vec![answer.object]),
            Err(StripeError::Refused { error, .. }) if error.is_idempotency_error() => {
                self.find(request, deadline).await
            }
            Err(error) => Err(error),
        }
    }

    /// Cancels all intents that are not decided, and tells how the charge stands then: approved or declined. If one can be
    /// neither canceled nor has been paid, it is an error.
    async fn close(
        &self,
        intents: Vec<PaymentIntent>,
        request: &GatewayRequest,
        reason: Option<DeclineReason>,
        deadline: Instant,
    ) -> Result<GatewayAnswer, GatewayError> {
        let mut closed: Option<PaymentIntent> = None;
        for intent in intents {
            check(&intent, request)?;
            let intent = if is_decided(&intent) { intent } else { self.cancel(intent, deadline).await? };
            if !is_decided(&intent) {
                return Err(StripeError::Nonsense("a payment intent that is neither paid nor canceled").into());
            }
            if closed.as_ref().is_none_or(|closed| intent.is_paid() && !closed.is_paid()) {
                closed = Some(intent);
            }
        }
        match closed {
            Some(intent) => Ok(answer(&intent, reason)?),
            None => Ok(declined(None, reason.unwrap_or(DeclineReason::Abandoned))),
        }
    }

    /// Cancels an intent, and returns it as it is then. There is no key: canceling twice does no harm, and under a key
    /// Stripe would repeat a refusal for a day.
    async fn cancel(&self, intent: PaymentIntent, deadline: Instant) -> Result<PaymentIntent, StripeError> {
        let path = format!("{INTENTS}/{}", path_segment(&intent.id)?);
        match self.api.post(&format!("{path}/cancel"), &Form::default(), None, deadline).await {
            Ok(answer) => Ok(answer.object),
            // It was paid or canceled meanwhile.
            Err(StripeError::Refused { status, .. }) if status == 400 => {
                self.api.get(&path, &Form::default(), deadline).await
            }
            Err(error) => Err(error),
        }
    }

    fn is_late(&self, request: &GatewayRequest) -> bool {
        self.clock.now() > request.created_at + BEGUN_WITHIN
    }
}

/// The form of an intent that is not confirmed. Cards are confirmed on the buyer's page, without leaving it.
fn new_intent(request: &GatewayRequest) -> Form {
    Form::default()
        .with("amount", &request.amount)
        .with("currency", CURRENCY)
        .with("payment_method_types[]", "card")
        .with(format!("metadata[{CHARGE_ID}]"), &request.charge_id)
        .with(format!("metadata[{ACCOUNT_ID}]"), &request.account_id)
}

fn key(request: &GatewayRequest) -> String {
    format!("charge-{}", request.charge_id)
}

/// Refuses what is not this charge: a reference of another one, or another amount under its id.
pub(crate) fn check(intent: &PaymentIntent, request: &GatewayRequest) -> Result<(), GatewayError> {
    let is_of_account = intent.metadata.get(ACCOUNT_ID).is_some_and(|id| *id == request.account_id.to_string());
    let is_same = intent.amount == request.amount.get()
        && intent.currency.eq_ignore_ascii_case(CURRENCY)
        && charge_id(&intent.metadata) == Some(request.charge_id)
        && is_of_account;
    if is_same { Ok(()) } else { Err(GatewayError::Conflict) }
}

fn is_decided(intent: &PaymentIntent) -> bool {
    intent.is_paid() || intent.status == "canceled"
}

/// How an intent stands. `reason` is why it was canceled, if that is known.
fn answer(intent: &PaymentIntent, reason: Option<DeclineReason>) -> Result<GatewayAnswer, StripeError> {
    let reference = Some(intent.reference()?);
    let state = match intent.status.as_str() {
        "succeeded" => GatewayState::Approved,
        "processing" => GatewayState::Processing,
        "canceled" => {
            let reason = reason.or_else(|| intent.last_payment_error.as_ref().map(decline::reason));
            GatewayState::Declined(reason.unwrap_or(DeclineReason::Abandoned))
        }
        "requires_action" | "requires_confirmation" | "requires_payment_method" => {
            let redirect_url = intent.redirect_url();
            GatewayState::ActionRequired(ClientAction { client_secret: intent.client_secret(), redirect_url })
        }
        _ => return Err(StripeError::Nonsense("the status of a payment intent")),
    };
    Ok(GatewayAnswer { reference, state })
}

fn declined(reference: Option<GatewayReference>, reason: DeclineReason) -> GatewayAnswer {
    GatewayAnswer { reference, state: GatewayState::Declined(reason) }
}

fn never_begun() -> GatewayAnswer {
    declined(None, DeclineReason::Abandoned)
}

/// Refuses a name that would reach another path.
pub(crate) fn path_segment(name: &str) -> Result<&str, StripeError> {
    let is_plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_plain { Ok(name) } else { Err(StripeError::Nonsense("a name of an object")) }
}
