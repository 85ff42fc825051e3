//! The `Idempotency-Key` field of a request that may be repeated (draft-ietf-httpapi-idempotency-key-header).

use axum::{
    extract::FromRequestParts,
    http::{HeaderName, request::Parts},
};
use boxoffice_domain::idempotency::{Fingerprint, Idempotency, IdempotencyKey};
use utoipa::{
    IntoParams,
    openapi::{
        ObjectBuilder, Required, Type,
        path::{Parameter, ParameterIn},
    },
};

use super::described_parameter;
use crate::reply::{Code, Problem};

pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const DESCRIPTION: &str = "Names this request, so that it may be repeated: 1 to 255 visible ASCII characters, as they are or as \
    the string of a structured field, in quotes";
/// What [`OptionalKey`] takes.
const PATTERN: &str = r#"^([!#-~][!-~]{0,254}|"([!#-\[\]-~]|\\["\\]){1,255}")$"#;

fn parameter(required: Required, description: &str) -> Parameter {
    let schema = ObjectBuilder::new().schema_type(Type::String).pattern(Some(PATTERN));
    described_parameter(IDEMPOTENCY_KEY_AS_WRITTEN, required, description, schema)
}

const IDEMPOTENCY_KEY_AS_WRITTEN: &str = "Idempotency-Key";

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
        let text = unquoted(field.to_str().map_err(|_| malformed())?.trim()).ok_or_else(malformed)?;
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
        vec![parameter(Required::False, DESCRIPTION)]
    }
}

/// The draft writes a key as the string of a structured field (RFC 8941), in quotes. Most clients send it without. `None`
/// for what begins like such a string and is none.
fn unquoted(text: &str) -> Option<String> {
    let Some(quoted) = text.strip_prefix('"') else {
        return Some(text.to_owned());
    };
    let (mut key, mut characters) = (String::new(), quoted.chars());
    loop {
        match characters.next()? {
            '"' => return characters.next().is_none().then_some(key),
            '\\' => key.push(characters.next().filter(|escaped| matches!(escaped, '"' | '\\'))?),
            character => key.push(character),
        }
    }
}

/// The key of a request that is idempotent by itself. It is checked, and names nothing.
pub(crate) struct UnneededKey;

impl<S: Send + Sync> FromRequestParts<S> for UnneededKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        OptionalKey::from_request_parts(parts, state).await.map(|_| Self)
    }
}

impl IntoParams for UnneededKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![parameter(Required::False, "Not needed: the request is idempotent by itself")]
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
        vec![parameter(Required::True, DESCRIPTION)]
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    async fn key(text: &str) -> Option<String> {
        let request = Request::post("/").header(IDEMPOTENCY_KEY, text).body(()).unwrap();
        let read = OptionalKey::from_request_parts(&mut request.into_parts().0, &()).await;
        read.ok().and_then(|OptionalKey(key)| key).map(|key| key.as_str().to_owned())
    }

    #[tokio::test]
    async fn a_key_is_plain_or_a_quoted_string() {
        let long = "k".repeat(255);
        for (text, read) in [
            ("k-1", "k-1"),
            (r#"a"b\"#, r#"a"b\"#),
            (r#""k-1""#, "k-1"),
            (r#""a\"b\\""#, r#"a"b\"#),
            (&long, &long),
            (&format!("\"{long}\""), &long),
        ] {
            assert_eq!(key(text).await.as_deref(), Some(read), "{text}");
        }
        for text in ["", "\"", "\"\"", "\"a", r#""a\""#, r#""a\b""#, r#""a"b""#, "a b", "\"a b\"", &format!("{long}k")]
        {
            assert_eq!(key(text).await, None, "{text}");
        }
    }
}
