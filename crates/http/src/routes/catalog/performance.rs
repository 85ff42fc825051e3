use axum::{extract::State, http::HeaderMap, response::Response};
use boxoffice_domain::PerformanceId;

use super::PerformanceResponse;
use crate::{
    api::Api,
    reply::{CacheScope, NotModified, Problem, Tagged, refusals},
    request::{Id, IfNoneMatch, LookingIn},
};

refusals!([SIGNED_IN, ADMITTED, PATH], [PerformanceNotFound]);

/// A performance
#[utoipa::path(
    get, path = "/v1/performances/{id}", tag = "catalog", operation_id = "catalog_performance",
    security(("bearer" = [])), params(("id" = Uuid, Path, description = "The performance"), LookingIn, IfNoneMatch),
    responses(
        (status = 200, description = "The performance.", body = PerformanceResponse,
            headers(("ETag", description = "The tag of this response"))),
        NotModified, Refusals,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.catalog.performance", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    LookingIn(visitor): LookingIn,
    headers: HeaderMap,
    Id(id): Id<PerformanceId>,
) -> Result<Response, Problem> {
    let admitted = api.services.catalog.admit_to_performance(visitor, id).await?;
    let read = async {
        let performance = api.services.catalog.performance(admitted).await?;
        Tagged::of(&PerformanceResponse::from(performance))
    };
    let mark = api.marks.of(visitor.account_id);
    Ok(api.reads.performance.get(id, mark, read).await?.respond(&headers, CacheScope::Private))
}
