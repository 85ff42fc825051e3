//! Why Stripe took no money.

use boxoffice_domain::gateway::DeclineReason;

use crate::objects::ErrorObject;

/// The reason that Stripe gives, in the words of the port. The decline code of the bank says more than the code of the
/// error, and is absent from many errors. See <https://docs.stripe.com/declines/codes>.
pub(crate) fn reason(error: &ErrorObject) -> DeclineReason {
    let codes = [error.decline_code.as_deref(), error.code.as_deref()];
    codes.into_iter().flatten().find_map(known).unwrap_or(DeclineReason::Refused)
}

fn known(code: &str) -> Option<DeclineReason> {
    match code {
        "insufficient_funds" | "withdrawal_count_limit_exceeded" | "card_velocity_exceeded" => {
            Some(DeclineReason::InsufficientFunds)
        }
        "expired_card" => Some(DeclineReason::ExpiredCard),
        "incorrect_number"
        | "invalid_number"
        | "incorrect_cvc"
        | "invalid_cvc"
        | "incorrect_zip"
        | "incorrect_address"
        | "incorrect_pin"
        | "invalid_pin"
        | "invalid_expiry_month"
        | "invalid_expiry_year" => Some(DeclineReason::IncorrectDetails),
        "authentication_required"
        | "authentication_not_handled"
        | "payment_intent_authentication_failure"
        | "setup_intent_authentication_failure"
        | "offline_pin_required"
        | "online_or_offline_pin_required" => Some(DeclineReason::AuthenticationFailed),
        _ => None,
    }
}

/// The reason why a payment intent was not made or not confirmed, if the error is a decision and will not change when
/// Stripe is asked again.
pub(crate) fn of_refusal(status: u16, error: &ErrorObject) -> Option<DeclineReason> {
    match (status, error.code.as_deref(), error.param.as_deref()) {
        (402, ..) => Some(reason(error)),
        (400 | 404, _, Some("payment_method")) => Some(DeclineReason::UnknownMethod),
        (400, Some("amount_too_small" | "amount_too_large"), _) => Some(DeclineReason::Refused),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: &str, decline_code: Option<&str>) -> ErrorObject {
        let decline_code = decline_code.map(str::to_owned);
        ErrorObject { code: Some(code.to_owned()), decline_code, ..ErrorObject::default() }
    }

    #[test]
    fn the_code_of_the_bank_says_more_than_that_of_the_error() {
        for (code, decline_code, expected) in [
            ("card_declined", Some("insufficient_funds"), DeclineReason::InsufficientFunds),
            ("card_declined", Some("generic_decline"), DeclineReason::Refused),
            ("card_declined", Some("lost_card"), DeclineReason::Refused),
            ("card_declined", Some("a code of next year"), DeclineReason::Refused),
            ("card_declined", None, DeclineReason::Refused),
            ("card_declined", Some("authentication_required"), DeclineReason::AuthenticationFailed),
            ("payment_intent_authentication_failure", None, DeclineReason::AuthenticationFailed),
            ("expired_card", Some("expired_card"), DeclineReason::ExpiredCard),
            ("expired_card", None, DeclineReason::ExpiredCard),
            ("incorrect_cvc", Some("incorrect_cvc"), DeclineReason::IncorrectDetails),
            ("incorrect_number", None, DeclineReason::IncorrectDetails),
        ] {
            assert_eq!(reason(&error(code, decline_code)), expected, "{code} {decline_code:?}");
        }
    }

    #[test]
    fn only_a_decision_is_a_decline() {
        let on = |param: &str| ErrorObject { param: Some(param.to_owned()), ..error("resource_missing", None) };
        assert_eq!(of_refusal(402, &error("card_declined", None)), Some(DeclineReason::Refused));
        assert_eq!(of_refusal(400, &on("payment_method")), Some(DeclineReason::UnknownMethod));
        assert_eq!(of_refusal(400, &error("amount_too_small", None)), Some(DeclineReason::Refused));
        for (status, error) in [
            (400, on("currency")),
            (401, error("api_key_expired", None)),
            (404, ErrorObject::default()),
            (429, on("payment_method")),
            (500, error("card_declined", None)),
        ] {
            assert_eq!(of_refusal(status, &error), None, "{status} {error:?}");
        }
    }
}
