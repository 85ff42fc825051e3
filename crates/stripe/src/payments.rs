//! Charges: payment intents that are begun, asked for and given up.

use boxoffice_domain::gateway::{
    ClientAction, DeclineReason, GatewayAnswer, GatewayError, GatewayReference, GatewayRequest, GatewayState,
};
use tokio::time::Instant;

use crate::{
    CURRENCY, StripeGateway,
    api::{Form, StripeError},
    decline,
    intents::{INTENTS, confirmed_intent, new_intent, path_segment},
    objects::{ACCOUNT_ID, PaymentIntent, charge_id},
};

impl StripeGateway {
    pub(crate) async fn begin_payment(&self, request: &GatewayRequest) -> Result<GatewayAnswer, GatewayError> {
        let deadline = self.api.deadline();
        if let Some(reference) = &request.reference {
            return self.conclude(self.retrieve(reference, deadline).await?, request, deadline).await;
        }
        if self.is_late(request) {
            let found = self.preferred(request, deadline).await?;
            return Ok(found.unwrap_or_else(|| declined(None, DeclineReason::Abandoned)));
        }
        let form = confirmed_intent(request, self.settings.return_url.as_ref());
        match self.make(&form, request, deadline).await {
            Ok(intent) => self.conclude(intent, request, deadline).await,
            // The key was used for another amount, or to give the charge up.
            Err(error) if error.is_about_key() => {
                let intent = self.make(&new_intent(request), request, deadline).await?;
                self.conclude(intent, request, deadline).await
            }
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
        let intents = match &request.reference {
            Some(reference) => vec![self.retrieve(reference, deadline).await?],
            None if self.is_late(request) => self.find(request, deadline).await?,
            None => match self.find(request, deadline).await {
                Ok(found) if !found.is_empty() => found,
                // The key tells, however many intents there are.
                Ok(_) | Err(StripeError::TooMany) => vec![self.occupy(request, deadline).await?],
                Err(error) => return Err(error.into()),
            },
        };
        self.close(intents, request, None, deadline).await
    }

    /// Makes an unconfirmed intent under the key of the charge. Stripe then answers a delayed request to begin the charge with
    /// this intent, and makes no other. If the charge was begun, returns its intent.
    async fn occupy(&self, request: &GatewayRequest, deadline: Instant) -> Result<PaymentIntent, StripeError> {
        match self.make(&new_intent(request), request, deadline).await {
            Err(error) if error.is_about_key() => {}
            outcome => return outcome,
        }
        // The key was used to begin the charge, so this begins nothing and repeats what was answered.
        let outcome = self.make(&confirmed_intent(request, self.settings.return_url.as_ref()), request, deadline).await;
        if let Err(StripeError::Refused { error, .. }) = &outcome
            && let Some(intent) = &error.payment_intent
        {
            return Ok(PaymentIntent::clone(intent));
        }
        outcome
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
        let Some(reason) = decline::of_refusal(status.as_u16(), refusal) else { return Err(error.into()) };
        let intents = match &refusal.payment_intent {
            Some(intent) => vec![PaymentIntent::clone(intent)],
            None => match self.find(request, deadline).await {
                // The key tells, however many intents there are.
                Err(StripeError::TooMany) => vec![self.occupy(request, deadline).await?],
                found => found?,
            },
        };
        self.close(intents, request, Some(reason), deadline).await
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
