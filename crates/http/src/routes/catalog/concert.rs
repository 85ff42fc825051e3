use axum::{extract::State, http::HeaderMap, response::Response};
use boxoffice_domain::ConcertId;

use super::ConcertDetailResponse;
use crate::{
    api::Api,
    reply::{CacheScope, NotModified, Problem, Tagged, refusals},
    request::{Id, IfNoneMatch},
};

refusals!([PATH], [ConcertNotFound]);

/// A concert, with its dates and venues
///
/// Seats, and how many are left, are behind the queue: see the performances of the concert. Its tag begins with its version. It serves `If-Match` when the concert is changed, which compares the version alone.
#[utoipa::path(
    get, path = "/v1/concerts/{id}", tag = "catalog", operation_id = "catalog_concert",
    params(("id" = Uuid, Path, description = "The concert"), IfNoneMatch),
    responses(
        (status = 200, description = "The concert.", body = ConcertDetailResponse,
            headers(("ETag", description = "The tag of this response"))),
        NotModified, Refusals,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.catalog.concert", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    headers: HeaderMap,
    Id(id): Id<ConcertId>,
) -> Result<Response, Problem> {
    let read = async {
        let summary = api.services.catalog.concert(id).await?;
        let dates = api.services.catalog.dates(id).await?;
        let version = summary.concert.version;
        let view = api.services.catalog.view(summary).await?;
        Tagged::of_version(version, &ConcertDetailResponse::new(view, dates, api.now()))
    };
    Ok(api.reads.concert.get(id, None, read).await?.respond(&headers, CacheScope::Public))
}
