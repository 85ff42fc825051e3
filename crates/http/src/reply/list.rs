//! One page of a list.

use boxoffice_domain::page::Page;
use serde::Serialize;
use utoipa::ToSchema;

use super::cursor;

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = List)]
pub(crate) struct ListResponse<T: ToSchema> {
    /// The items, in order.
    pub items: Vec<T>,
    /// The next `cursor`; `null` at the end.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

impl<T: ToSchema> ListResponse<T> {
    pub(crate) fn new<I, K: Serialize>(page: Page<I, K>, item: impl FnMut(I) -> T) -> Self {
        Self { items: page.items.into_iter().map(item).collect(), next_cursor: page.next.as_ref().map(cursor::encode) }
    }
}
