//! Secrets, and the signatures that are made with them.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const PREFIX: &str = "whsec_";
const SECRET_BYTES_MIN: usize = 24;
const SECRET_BYTES_MAX: usize = 64;

/// What the sender and the receiver of webhooks share: `whsec_` and base64 of 24 to 64 bytes. Nothing shows it by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(Vec<u8>);

/// A text that is no secret. It is not repeated here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret of a webhook is `whsec_` and base64 of 24 to 64 bytes")]
pub struct InvalidSecret;

impl WebhookSecret {
    /// A secret of these bytes, which nobody must be able to guess.
    pub fn of_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes.to_vec())
    }

    /// Reads a secret as [`Self::reveal`] writes it.
    pub fn parse(text: &str) -> Result<Self, InvalidSecret> {
        let encoded = text.strip_prefix(PREFIX).ok_or(InvalidSecret)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| InvalidSecret)?;
        let is_long_enough = (SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&bytes.len());
        is_long_enough.then_some(Self(bytes)).ok_or(InvalidSecret)
    }

    /// The secret as its owner enters it into the receiving program.
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of every length");
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body.as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

/// The header `webhook-signature`: a signature with each secret, separated by spaces. `timestamp` is in seconds.
///
/// A receiver accepts a webhook if one of the signatures is right, so that both secrets are good while they change.
pub fn signatures<'s>(
    secrets: impl IntoIterator<Item = &'s WebhookSecret>,
    id: &str,
    timestamp: i64,
    body: &str,
) -> String {
    let signatures: Vec<_> = secrets.into_iter().map(|secret| secret.sign(id, timestamp, body)).collect();
    signatures.join(" ")
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;

    /// The example of Svix, with whose webhooks the specification began.
    #[test]
    fn a_signature_is_that_of_the_specification() {
        let secret = WebhookSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
        let body = r#"{"test": 2432232314}"#;
        let signature = signatures(&[secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn while_secrets_change_there_are_two_signatures() {
        let (former, present) = (WebhookSecret::of_bytes([1; 32]), WebhookSecret::of_bytes([2; 32]));
        let of = |secrets: &[WebhookSecret]| signatures(secrets, "id", 7, "{}");
        let (one, other) = (of(slice::from_ref(&former)), of(slice::from_ref(&present)));
        assert_ne!(one, other);
        assert_eq!(of(&[former, present]), format!("{one} {other}"));
    }

    #[test]
    fn a_secret_has_a_form_and_a_length_and_is_not_shown() {
        let of = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        for bytes in [24, 32, 64] {
            let secret = WebhookSecret::parse(&of(bytes)).expect("a secret");
            assert_eq!((secret.reveal(), format!("{secret:?}")), (of(bytes), "WebhookSecret(…)".to_owned()));
        }
        for text in [of(23), of(65), String::new(), "whsec_".to_owned(), of(32).replace("whsec_", ""), of(32) + "!"] {
            assert_eq!(WebhookSecret::parse(&text), Err(InvalidSecret), "{text}");
        }
    }
}
