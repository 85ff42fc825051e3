//! Cursors: the key of the last item that a client has seen, as a text that it need not understand.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};

use super::problem::Problem;

pub(crate) fn encode(key: &impl Serialize) -> String {
    // Keys are ids, numbers and times, which have a JSON form.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(key).expect("a key has a JSON form"))
}

/// The problem of a cursor that this server did not make for the list.
pub(crate) fn wrong() -> Problem {
    Problem::parameter("cursor", "wrong_format", "is not a cursor of this list")
}

pub(crate) fn decode<K: DeserializeOwned>(cursor: &str) -> Result<K, Problem> {
    let key = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|json| serde_json::from_slice(&json).ok());
    key.ok_or_else(wrong)
}
