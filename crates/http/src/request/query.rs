//! Queries.

use axum::{extract::FromRequestParts, http::request::Parts};
use boxoffice_domain::page::{PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX, PageRequest};
use serde::{Deserialize, de::DeserializeOwned};
use utoipa::IntoParams;

use crate::reply::{self, Problem};

/// The query of a request.
pub(crate) struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(query)) => Ok(Self(query)),
            Err(rejection) => Err(Problem::malformed(format!("{rejection}."))),
        }
    }
}

/// The query of a list that cannot be filtered.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    /// The most items to give.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<i64>,
    /// Where to go on: the `next_cursor` of the previous page.
    cursor: Option<String>,
}

impl PageQuery {
    pub(crate) fn page<K: DeserializeOwned>(&self) -> Result<PageRequest<K>, Problem> {
        page(self.limit, self.cursor.as_deref())
    }
}

/// The page that a query asks for.
pub(crate) fn page<K: DeserializeOwned>(limit: Option<i64>, cursor: Option<&str>) -> Result<PageRequest<K>, Problem> {
    let limit = u32::try_from(limit.unwrap_or(i64::from(PAGE_ITEMS_DEFAULT))).unwrap_or_default();
    if !(1..=PAGE_ITEMS_MAX).contains(&limit) {
        return Err(Problem::violation("/limit", "range", "must be 1 to 100"));
    }
    Ok(PageRequest { limit, after: cursor.map(reply::decode).transpose()? })
}
