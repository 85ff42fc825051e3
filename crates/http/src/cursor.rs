//! Where a list goes on: the key of the last item seen, as a text that callers need not understand.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};
use utoipa::ToSchema;

use boxoffice_domain::page::Page;

use crate::problem::Problem;

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct List<T: ToSchema> {
    /// The items, in the order of the list.
    pub items: Vec<T>,
    /// The `cursor` of the next page; `null` where the list ends.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

impl<T: ToSchema> List<T> {
    pub(crate) fn new<I, K: Serialize>(page: Page<I, K>, item: impl FnMut(I) -> T) -> Self {
        Self { items: page.items.into_iter().map(item).collect(), next_cursor: page.next.as_ref().map(encode) }
    }
}

pub(crate) fn encode(key: &impl Serialize) -> String {
    // Keys are ids, numbers and times, which have a JSON form.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(key).expect("a key has a JSON form"))
}

pub(crate) fn decode<K: DeserializeOwned>(cursor: &str) -> Result<K, Problem> {
    let key = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|json| serde_json::from_slice(&json).ok());
    key.ok_or_else(|| Problem::malformed("The cursor is not one of this list."))
}
