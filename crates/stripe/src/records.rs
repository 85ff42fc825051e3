//! Stripe's books.

use boxoffice_domain::{
    Points, Timestamp,
    gateway::{GatewayError, GatewayRecord},
};
use chrono::TimeDelta;

use crate::{
    CURRENCY, StripeGateway,
    api::{Form, Most, StripeError},
    intents::INTENTS,
    objects::{LatestCharge, PaymentIntent, charge_id, points},
};

impl StripeGateway {
    pub(crate) async fn list_records(
        &self,
        from: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<GatewayRecord>, GatewayError> {
        let query = Form::default()
            .with("created[gte]", &first_second(from))
            .with("created[lt]", &first_second(until))
            .with("expand[]", "data.latest_charge");
        // Pages of payments in other currencies are read, too.
        let most = Most { objects: limit, pages: 100 + limit.div_ceil(100) };
        // Points are only bought with won; whatever else the account sells has other books.
        let in_won = |intent: PaymentIntent| intent.currency.eq_ignore_ascii_case(CURRENCY).then_some(intent);
        let intents = self.api.list(INTENTS, &query, most, || self.api.deadline(), in_won).await?;
        let mut records = Vec::with_capacity(intents.len());
        for intent in intents {
            records.push(GatewayRecord {
                reference: intent.reference()?,
                charge_id: charge_id(&intent.metadata),
                amount: points(intent.amount)?,
                is_paid: intent.is_paid(),
                refunded: refunded(&intent)?,
                created_at: intent.created_at()?,
            });
        }
        Ok(records)
    }
}

/// How much was given back. The charge of an intent comes with it, as was asked.
fn refunded(intent: &PaymentIntent) -> Result<Points, StripeError> {
    match &intent.latest_charge {
        None => Ok(Points::ZERO),
        Some(LatestCharge::Whole { amount_refunded }) => points(*amount_refunded),
        Some(LatestCharge::Name(_)) => Err(StripeError::Nonsense("a charge of which only the name came")),
    }
}

/// The first whole second at or after an instant: Stripe's times have no fractions.
fn first_second(at: Timestamp) -> i64 {
    (at + TimeDelta::nanoseconds(999_999_999)).timestamp()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn a_time_with_a_fraction_begins_at_the_next_second() {
        let at = |microseconds| DateTime::from_timestamp_micros(microseconds).unwrap();
        assert_eq!(first_second(at(7_000_000)), 7);
        assert_eq!(first_second(at(7_000_001)), 8);
    }
}
