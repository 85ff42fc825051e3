//! Events, which Stripe sends to the webhook endpoint.

use boxoffice_domain::{
    Timestamp,
    gateway::{HeaderField, Notification, NotificationRefusal, REFERENCE_BYTES_MAX},
};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;

use crate::{
    objects::{self, Metadata},
    settings::Secret,
};

const SIGNATURE_FIELD: &str = "stripe-signature";
/// How far the time of a signature may be from now, in either direction; Stripe's libraries allow the same.
const TOLERANCE_SECONDS: u64 = 300;
/// Stripe sends one for each secret, and at most two secrets are good at once. More are not read.
const SIGNATURES_MAX: usize = 16;

#[derive(Deserialize)]
struct Event {
    id: String,
    data: EventData,
}

#[derive(Deserialize)]
struct EventData {
    object: EventObject,
}

/// A payment intent, or a charge or refund, which have the metadata of their intent.
#[derive(Deserialize)]
struct EventObject {
    #[serde(default)]
    metadata: Option<Metadata>,
}

/// Checks a request of Stripe. A signature that is right and old is [`NotificationRefusal::OutOfTime`]; whatever its time,
/// one that is wrong is [`NotificationRefusal::Forged`].
pub(crate) fn verify(
    secrets: &[Secret],
    fields: &[HeaderField],
    body: &[u8],
    now: Timestamp,
) -> Result<Notification, NotificationRefusal> {
    if secrets.is_empty() {
        return Err(NotificationRefusal::NotExpected);
    }
    let signature = Signature::of(fields).ok_or(NotificationRefusal::Forged)?;
    if !secrets.iter().any(|secret| signature.is_made_with(secret, body)) {
        return Err(NotificationRefusal::Forged);
    }
    if now.timestamp().abs_diff(signature.seconds) > TOLERANCE_SECONDS {
        return Err(NotificationRefusal::OutOfTime);
    }
    let event: Event = serde_json::from_slice(body).map_err(|_| NotificationRefusal::Malformed)?;
    let is_plain = event.id.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_plain || !(1..=REFERENCE_BYTES_MAX).contains(&event.id.len()) {
        return Err(NotificationRefusal::Malformed);
    }
    let charge_id = event.data.object.metadata.as_ref().and_then(objects::charge_id);
    Ok(Notification { id: event.id, charge_id })
}

/// The field `Stripe-Signature`: `t=1492774577,v1=5257a8…,v1=…,v0=…`.
struct Signature<'a> {
    /// The time as it is signed.
    time: &'a str,
    seconds: i64,
    /// Those of the scheme `v1`. Others are weaker, and ignored.
    digests: Vec<Vec<u8>>,
}

impl<'a> Signature<'a> {
    /// Reads it; `None` if there is none, or more than one field.
    fn of(fields: &'a [HeaderField]) -> Option<Self> {
        let mut values = fields.iter().filter(|(name, _)| name == SIGNATURE_FIELD).map(|(_, value)| value);
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        let parts: Vec<_> =
            std::str::from_utf8(value).ok()?.split(',').map(|part| part.trim().split_once('=')).collect();
        let of_scheme = |scheme: &'static str| {
            parts.iter().flatten().filter(move |(name, _)| *name == scheme).map(|(_, value)| *value)
        };
        let time = of_scheme("t").next()?;
        let digests = of_scheme("v1").take(SIGNATURES_MAX).filter_map(|digest| hex::decode(digest).ok()).collect();
        Some(Self { time, seconds: time.parse().ok()?, digests })
    }

    fn is_made_with(&self, secret: &Secret, body: &[u8]) -> bool {
        let mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("HMAC takes keys of any length");
        let mac = mac.chain_update(self.time).chain_update(b".").chain_update(body);
        // This compares in constant time.
        self.digests.iter().any(|digest| mac.clone().verify_slice(digest).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    const SECRET: &str = "whsec_test_secret";
    const SIGNED_AT: i64 = 1_700_000_000;
    const BODY: &[u8] =
        br#"{"id":"evt_1","object":"event","data":{"object":{"id":"pi_1","metadata":{"charge_id":"018f0000-0000-7000-8000-000000000001"}}}}"#;
    /// Computed with `hmac.new(SECRET, b'1700000000.' + BODY, 'sha256').hexdigest()` of Python.
    const DIGEST: &str = "03adb3668073c43bfb9b82a82b47cd98586d5361ee7387e5e92089c1e42915bd";

    fn verified(secrets: &[&str], field: &str, body: &[u8], seconds: i64) -> Result<Notification, NotificationRefusal> {
        let secrets: Vec<_> = secrets.iter().map(|secret| Secret::new(*secret)).collect();
        let fields = [("accept".to_owned(), b"*/*".to_vec()), (SIGNATURE_FIELD.to_owned(), field.as_bytes().to_vec())];
        verify(&secrets, &fields, body, DateTime::from_timestamp(seconds, 0).unwrap())
    }

    fn signed(time: &str, body: &[u8], secret: &str) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        let mac = mac.chain_update(time).chain_update(b".").chain_update(body);
        format!("t={time},v1={}", hex::encode(mac.finalize().into_bytes()))
    }

    #[test]
    fn what_stripe_signed_is_taken() {
        let charge_id = "018f0000-0000-7000-8000-000000000001".parse().ok();
        let expected = Ok(Notification { id: "evt_1".to_owned(), charge_id });
        let right = format!("t={SIGNED_AT},v1={DIGEST}");
        assert_eq!(signed(&SIGNED_AT.to_string(), BODY, SECRET), right, "as another program signs it");
        for field in [
            right.clone(),
            format!("t={SIGNED_AT}, v1={DIGEST}, v0=6ffbb59b"),
            format!("t={SIGNED_AT},v1={},v1={DIGEST}", "00".repeat(32)),
            format!("v1={DIGEST},t={SIGNED_AT}"),
        ] {
            assert_eq!(verified(&[SECRET], &field, BODY, SIGNED_AT), expected, "{field}");
        }
        assert_eq!(verified(&["whsec_next", SECRET], &right, BODY, SIGNED_AT), expected);
    }

    #[test]
    fn what_somebody_else_signed_is_forged() {
        let right = format!("t={SIGNED_AT},v1={DIGEST}");
        for field in [
            String::new(),
            "t=,v1=".to_owned(),
            format!("t={SIGNED_AT}"),
            format!("v1={DIGEST}"),
            format!("t={SIGNED_AT},v0={DIGEST}"),
            format!("t={},v1={DIGEST}", SIGNED_AT + 1),
            format!("t={SIGNED_AT},v1={}", &DIGEST[..62]),
            format!("t={SIGNED_AT},v1={}", "00".repeat(32)),
            signed(&SIGNED_AT.to_string(), BODY, "whsec_other"),
        ] {
            let refused = verified(&[SECRET], &field, BODY, SIGNED_AT);
            assert_eq!(refused, Err(NotificationRefusal::Forged), "{field}");
        }
        let longer = [BODY, b" "].concat();
        assert_eq!(verified(&[SECRET], &right, &longer, SIGNED_AT), Err(NotificationRefusal::Forged));
        let none = verify(&[Secret::new(SECRET)], &[], BODY, DateTime::from_timestamp(SIGNED_AT, 0).unwrap());
        assert_eq!(none, Err(NotificationRefusal::Forged));
        assert_eq!(verified(&[], &right, BODY, SIGNED_AT), Err(NotificationRefusal::NotExpected));
    }

    #[test]
    fn a_signature_is_good_for_five_minutes_in_either_direction() {
        let right = format!("t={SIGNED_AT},v1={DIGEST}");
        for (seconds, is_taken) in [(-301, false), (-300, true), (300, true), (301, false), (86_400, false)] {
            let outcome = verified(&[SECRET], &right, BODY, SIGNED_AT + seconds);
            assert_eq!(outcome.is_ok(), is_taken, "{seconds} s: {outcome:?}");
            assert!(is_taken || outcome == Err(NotificationRefusal::OutOfTime));
        }
        let forged = format!("t={SIGNED_AT},v1={}", "00".repeat(32));
        assert_eq!(verified(&[SECRET], &forged, BODY, SIGNED_AT + 86_400), Err(NotificationRefusal::Forged));
    }

    #[test]
    fn what_is_signed_and_unreadable_is_malformed_and_what_is_of_others_names_no_charge() {
        let taken = |body: &[u8]| verified(&[SECRET], &signed("1700000000", body, SECRET), body, SIGNED_AT);
        for body in ["", "[]", "{}", r#"{"id":"","data":{"object":{}}}"#, r#"{"id":"evt 1","data":{"object":{}}}"#] {
            assert_eq!(taken(body.as_bytes()), Err(NotificationRefusal::Malformed), "{body}");
        }
        for object in ["{}", r#"{"metadata":null}"#, r#"{"metadata":{"charge_id":"order 7"}}"#, r#"{"metadata":{}}"#] {
            let body = format!(r#"{{"id":"evt_2","data":{{"object":{object}}}}}"#);
            assert_eq!(taken(body.as_bytes()), Ok(Notification { id: "evt_2".to_owned(), charge_id: None }), "{body}");
        }
    }
}
