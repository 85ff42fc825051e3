//! The `Idempotency-Key` field of a request that may be repeated (draft-ietf-httpapi-idempotency-key-header).

use axum::{
    extract::FromRequestParts,
    http::{HeaderName, request::Parts},
};
use boxoffice_domain::idempotency::{Fingerprint, Idempotency, IdempotencyKey};
use utoipa::{
    IntoParams,
    openapi::{
        Required,
        path::{Parameter, ParameterIn},
    },
};

use super::header_parameter;
use crate::reply::{Code, Problem};

pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const DESCRIPTION: &str = "Names this request, so that it may be repeated";

/// The key of a request, if it has one.
pub(crate) struct OptionalKey(pub Option<IdempotencyKey>);

impl<S: Send + Sync> FromRequestParts<S> for OptionalKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let malformed = || Problem::malformed("The Idempotency-Key must be one text of 1 to 255 visible characters.");
        let mut fields = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(field) = fields.next() else {
            return Ok(Self(None));
        };
        if fields.next().is_some() {
            return Err(malformed());
        }
        let text = unquoted(field.to_str().map_err(|_| malformed())?.trim());
        IdempotencyKey::new(&text).map(|key| Self(Some(key))).map_err(|_| malformed())
    }
}

impl OptionalKey {
    /// The key, if there is one, with the fingerprint of the request that it names.
    pub(crate) fn naming(self, fingerprint: impl FnOnce() -> Fingerprint) -> Option<Idempotency> {
        self.0.map(|key| Idempotency { key, fingerprint: fingerprint() })
    }
}

impl IntoParams for OptionalKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![header_parameter("Idempotency-Key", Required::False, DESCRIPTION)]
    }
}

/// The draft writes a key as the string of a structured field, in quotes. Most clients send it without.
fn unquoted(text: &str) -> String {
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(inner) => inner.replace(r#"\""#, "\"").replace(r"\\", r"\"),
        None => text.to_owned(),
    }
}

/// The key of a request that must have one.
pub(crate) struct RequiredKey(pub IdempotencyKey);

impl<S: Send + Sync> FromRequestParts<S> for RequiredKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let OptionalKey(key) = OptionalKey::from_request_parts(parts, state).await?;
        key.map(Self).ok_or_else(|| Problem::new(Code::IdempotencyKeyRequired))
    }
}

impl RequiredKey {
    /// The key with the fingerprint of the request that it names.
    pub(crate) fn naming(self, fingerprint: Fingerprint) -> Idempotency {
        Idempotency { key: self.0, fingerprint }
    }
}

impl IntoParams for RequiredKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![header_parameter("Idempotency-Key", Required::True, DESCRIPTION)]
    }
}
