//! Requests that may be sent twice: the `Idempotency-Key` field
//! (draft-ietf-httpapi-idempotency-key-header).

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json,
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::LOCATION, request::Parts},
    response::{IntoResponse, Response},
};
use boxoffice_domain::{
    AccountId,
    idempotency::{Fingerprint, Idempotency, IdempotencyKey, Made},
};
use serde::Serialize;

use crate::problem::{Code, Problem};

pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub(crate) const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The key of a request, where it has one.
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

/// The draft writes a key as a structured field's string, in quotes; most clients send it bare.
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

type Named = (AccountId, IdempotencyKey);

/// The keys under which something is being done right now, bounded by the number of acts. The storage
/// serialises requests that ask the same and answers the later ones like the first; a request that asks
/// something else under a key in use cannot wait for that, and is refused.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeysInFlight(Arc<Mutex<HashMap<Named, (Fingerprint, u32)>>>);

/// Keeps a key in use until it is dropped.
#[derive(Debug)]
pub(crate) struct KeyInUse {
    keys: KeysInFlight,
    named: Named,
}

impl KeysInFlight {
    pub(crate) fn enter(&self, account_id: AccountId, asked: &Idempotency) -> Result<KeyInUse, Problem> {
        let named = (account_id, asked.key.clone());
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (fingerprint, count) = keys.entry(named.clone()).or_insert((asked.fingerprint, 0));
        if *fingerprint != asked.fingerprint {
            return Err(Problem::new(Code::IdempotencyKeyInUse));
        }
        *count += 1;
        Ok(KeyInUse { keys: self.clone(), named })
    }
}

impl Drop for KeyInUse {
    fn drop(&mut self) {
        let mut keys = self.keys.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut entry) = keys.entry(self.named.clone()) {
            entry.get_mut().1 -= 1;
            if entry.get().1 == 0 {
                entry.remove();
            }
        }
    }
}

/// The answer to a request that made something, saying so where an earlier request had made it.
pub(crate) fn made<T, A: Serialize>(
    made: Made<T>,
    status: StatusCode,
    location: Option<&str>,
    answer: impl FnOnce(T) -> A,
) -> Response {
    let mut headers = HeaderMap::new();
    if made.replayed {
        headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    // A location is made of a path and a UUID, which a header field may hold.
    if let Some(location) = location.and_then(|location| HeaderValue::from_str(location).ok()) {
        headers.insert(LOCATION, location);
    }
    (status, headers, Json(answer(made.value))).into_response()
}
