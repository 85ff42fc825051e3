use axum::{extract::State, http::HeaderMap, response::Response};
use boxoffice_domain::ConcertId;

use super::ConcertResponse;
use crate::{
    api::Api,
    reply::{CacheScope, NotModified, Problem, Tagged, refusals},
    request::{Id, IfNoneMatch},
};

refusals!([PATH], [ConcertNotFound]);

/// A concert
///
/// Its tag begins with its version. It serves `If-Match` when the concert is changed, which compares the version alone.
#[utoipa::path(
    get, path = "/v1/concerts/{id}", tag = "catalog", operation_id = "catalog_concert",
    params(("id" = Uuid, Path, description = "The concert"), IfNoneMatch),
    responses(
        (status = 200, description = "The concert.", body = ConcertResponse,
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
        let version = summary.concert.version;
        Tagged::of_version(version, &ConcertResponse::new(summary, api.now()))
    };
    Ok(api.reads.concert.get(id, None, read).await?.respond(&headers, CacheScope::Public))
}
