use axum::{extract::State, http::HeaderMap, response::Response};
use boxoffice_domain::{ConcertId, page::PageRequest};
use serde::Deserialize;
use utoipa::IntoParams;

use super::ConcertResponse;
use crate::{
    api::Api,
    reply::{CacheScope, ListResponse, NotModified, Problem, Tagged, refusals},
    request::{IfNoneMatch, Query, page},
};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConcertQuery {
    /// Only those whose queue can be joined now.
    bookable: Option<bool>,
    /// The most items to give.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<i64>,
    /// Where to go on: the `next_cursor` of the previous page.
    cursor: Option<String>,
}

refusals!([LIST], []);

/// The concerts, in the order of their publication
#[utoipa::path(
    get, path = "/v1/concerts", tag = "catalog", operation_id = "catalog_concerts", params(ConcertQuery, IfNoneMatch),
    responses(
        (status = 200, description = "One page.", body = ListResponse<ConcertResponse>,
            headers(("ETag", description = "The tag of this response"))),
        NotModified, Refusals,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.catalog.concerts", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    headers: HeaderMap,
    Query(query): Query<ConcertQuery>,
) -> Result<Response, Problem> {
    let page: PageRequest<ConcertId> = page(query.limit, query.cursor.as_deref())?;
    let bookable_only = query.bookable.unwrap_or_default();
    let asked = (bookable_only, page.clone());
    let read = async {
        let page = api.services.catalog.concerts(bookable_only, page).await?;
        let now = api.now();
        Tagged::of(&ListResponse::new(page, |summary| ConcertResponse::new(summary, now)))
    };
    Ok(api.reads.concerts.get(asked, None, read).await?.respond(&headers, CacheScope::Public))
}
