use axum::{Json, extract::State};

use super::VenueSummaryResponse;
use crate::{
    api::Api,
    reply::{ListResponse, Problem, refusals},
    request::{PageQuery, Query, SignedIn},
};

refusals!([SIGNED_IN, LIST], [Forbidden]);

/// The venues where performances can be published, newest first, for promoters
#[utoipa::path(
    get, path = "/v1/venues", tag = "catalog", operation_id = "catalog_venues", security(("bearer" = [])),
    params(PageQuery),
    responses((status = 200, description = "One page.", body = ListResponse<VenueSummaryResponse>), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.catalog.venues", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    Query(query): Query<PageQuery>,
) -> Result<Json<ListResponse<VenueSummaryResponse>>, Problem> {
    let page = api.services.catalog.venues(identity, query.page()?).await?;
    Ok(Json(ListResponse::new(page, VenueSummaryResponse::from)))
}
