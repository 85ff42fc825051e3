use axum::{extract::State, http::HeaderMap, response::Response};
use boxoffice_domain::{ConcertId, catalog::PerformanceKey, page::PageRequest};
use chrono::Datelike;
use serde::Deserialize;
use utoipa::IntoParams;

use super::PerformanceResponse;
use crate::{
    api::Api,
    reply::{CacheScope, ListResponse, NotModified, Problem, Tagged, cursor, refusals},
    request::{Id, IfNoneMatch, LookingIn, Query, page},
};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct PerformanceQuery {
    /// Only those that are on sale, have not started and have an available seat; with `false`, only the others.
    available: Option<bool>,
    /// The most items to give.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<i64>,
    /// Where to go on: the `next_cursor` of the previous page.
    #[param(pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
}

refusals!([SIGNED_IN, ADMITTED, PATH, LIST], [ConcertNotFound]);

/// The performances of a concert, by start
#[utoipa::path(
    get, path = "/v1/concerts/{id}/performances", tag = "catalog", operation_id = "catalog_performances",
    security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The concert"), PerformanceQuery, LookingIn, IfNoneMatch),
    responses(
        (status = 200, description = "One page.", body = ListResponse<PerformanceResponse>,
            headers(("ETag", description = "The tag of this response"))),
        NotModified, Refusals,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.catalog.performances", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    LookingIn(visitor): LookingIn,
    headers: HeaderMap,
    Id(id): Id<ConcertId>,
    Query(query): Query<PerformanceQuery>,
) -> Result<Response, Problem> {
    let page: PageRequest<PerformanceKey> = page(query.limit, query.cursor.as_deref())?;
    if page.after.is_some_and(|after| !(1970..=9999).contains(&after.starts_at.year())) {
        return Err(cursor::wrong());
    }
    let admitted = api.services.catalog.admit_to_concert(visitor, id).await?;
    let asked = (id, query.available, page.clone());
    let read = async {
        let page = api.services.catalog.performances(admitted, query.available, page).await?;
        Tagged::of(&ListResponse::new(page, PerformanceResponse::from))
    };
    let mark = api.marks.of(visitor.account_id);
    Ok(api.reads.performances.get(asked, mark, read).await?.respond(&headers, CacheScope::Private))
}
