//! Refunds.

use boxoffice_domain::gateway::{GatewayError, GatewayReference, GatewayRefund, RefundVerdict};
use tokio::time::Instant;

use crate::{
    StripeGateway,
    api::{Form, Most, StripeError},
    objects::{CHARGE_ID, ErrorObject, REFUND_ID, Refund},
    payments::check,
};

const REFUNDS: &str = "/v1/refunds";
/// A charge has as many refunds as it has points at most; in practice a few.
const MOST: Most = Most { objects: 1_000, pages: 10 };

impl StripeGateway {
    pub(crate) async fn refund_payment(&self, refund: &GatewayRefund) -> Result<RefundVerdict, GatewayError> {
        let deadline = self.api.deadline();
        let intent = match &refund.charge.reference {
            // Another gateway has taken the money.
            Some(reference) if !is_of_stripe(reference) => return Ok(RefundVerdict::Refused),
            Some(reference) => Some(self.retrieve(reference, deadline).await?),
            None => self.find(&refund.charge, deadline).await?.into_iter().next(),
        };
        let Some(intent) = intent else { return Ok(RefundVerdict::Refused) };
        check(&intent, &refund.charge)?;
        if !intent.is_paid() {
            return Ok(RefundVerdict::Refused);
        }
        // Stripe forgets the key after a day, and the refund may be asked for again after that.
        let refund_id = refund.refund_id.to_string();
        let refunds = self.refunds_of(&intent.id, deadline).await?;
        if let Some(known) = refunds.iter().find(|known| known.metadata.get(REFUND_ID) == Some(&refund_id)) {
            return verdict(known, refund);
        }
        let form = Form::default()
            .with("payment_intent", &intent.id)
            .with("amount", &refund.amount)
            .with(format!("metadata[{REFUND_ID}]"), &refund_id)
            .with(format!("metadata[{CHARGE_ID}]"), &refund.charge.charge_id);
        match self.api.post::<Refund>(REFUNDS, &form, Some(&format!("refund-{refund_id}")), deadline).await {
            Ok(answer) => verdict(&answer.object, refund),
            Err(StripeError::Refused { status, error, .. }) if status == 400 && is_beyond_the_rest(&error) => {
                Ok(RefundVerdict::Refused)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// All refunds of a payment intent.
    pub(crate) async fn refunds_of(&self, intent: &str, deadline: Instant) -> Result<Vec<Refund>, StripeError> {
        let query = Form::default().with("payment_intent", intent);
        self.api.list(REFUNDS, &query, MOST, || deadline, Some).await
    }
}

fn is_of_stripe(reference: &GatewayReference) -> bool {
    reference.as_str().starts_with("pi_")
}

fn verdict(known: &Refund, asked: &GatewayRefund) -> Result<RefundVerdict, GatewayError> {
    if known.amount != asked.amount.get() {
        return Err(GatewayError::Conflict);
    }
    // One that is pending or waits for the buyer's bank goes on by itself.
    Ok(if known.is_refused() { RefundVerdict::Refused } else { RefundVerdict::Accepted })
}

/// Whether the money was given back already, or goes back by another way, or is more than is left.
fn is_beyond_the_rest(error: &ErrorObject) -> bool {
    let is_of_code = |code: &str| {
        matches!(code, "charge_already_refunded" | "charge_disputed" | "refund_disputed_payment" | "amount_too_large")
    };
    // An amount beyond the rest has no code.
    error.code.as_deref().is_some_and(is_of_code) || error.param.as_deref() == Some("amount")
}
