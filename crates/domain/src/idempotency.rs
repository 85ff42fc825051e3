//! Requests that may be sent twice and must act once.
//!
//! The caller names a request with a key. It is kept, with a fingerprint of what was asked, in the row that the request
//! made, and is unique for the account among requests that make such a row: a hold, a payment and a charge may have the
//! same key. A cancellation makes no row: its key is kept in the reservation, and is unique for that reservation alone.
//! The semantics are those of
//! [draft-ietf-httpapi-idempotency-key-header](https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/).

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use crate::text::string_conversions;

/// The most characters of a key.
pub const KEY_CHARACTERS_MAX: usize = 255;

/// A key that a caller gave to one request: 1 to 255 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "String", into = "String"))]
pub struct IdempotencyKey(String);

/// The text is not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key has 1 to 255 visible ASCII characters")]
pub struct InvalidIdempotencyKey;

impl IdempotencyKey {
    /// Checks a key.
    pub fn new(text: &str) -> Result<Self, InvalidIdempotencyKey> {
        if (1..=KEY_CHARACTERS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidIdempotencyKey)
        }
    }
}

string_conversions! {
    IdempotencyKey, InvalidIdempotencyKey;
}

/// A digest of what was asked under a key: the first 16 bytes of a SHA-256, made by the use case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct Fingerprint(pub [u8; 16]);

/// A key with the fingerprint of the request that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct Idempotency {
    /// The caller's key.
    pub key: IdempotencyKey,
    /// What was asked under it.
    pub fingerprint: Fingerprint,
}

/// The key names an earlier request of other content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the idempotency key names another request")]
pub struct KeyReused;

impl Idempotency {
    /// Answers `again`, a later request under the same key, with `answer` if it asks what `self` asked.
    pub fn replay<T>(&self, again: &Self, answer: T) -> Result<Made<T>, KeyReused> {
        if self.fingerprint == again.fingerprint { Ok(Made::before(answer)) } else { Err(KeyReused) }
    }
}

/// What an act made, and whether an earlier request under the same key had made it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct Made<T> {
    /// What was made. The act says whether a repeated request gets it as it was made, or as it is now.
    pub value: T,
    /// Whether an earlier request under the same key made it.
    pub replayed: bool,
}

impl<T> Made<T> {
    /// Made by this request.
    pub fn now(value: T) -> Self {
        Self { value, replayed: false }
    }

    /// Made by an earlier request under the same key.
    pub fn before(value: T) -> Self {
        Self { value, replayed: true }
    }
}
