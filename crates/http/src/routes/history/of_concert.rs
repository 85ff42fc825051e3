use axum::{Json, extract::State};
use boxoffice_domain::ConcertId;

use super::StaffActResponse;
use crate::{
    api::Api,
    reply::{ListResponse, Problem, refusals},
    request::{Id, PageQuery, Query, SignedIn},
};

refusals!([SIGNED_IN, PATH, LIST], [Forbidden, ConcertNotFound]);

/// What was done to a concert, its performances and its queue, newest first, for its promoter
#[utoipa::path(
    get, path = "/v1/concerts/{id}/history", tag = "history", operation_id = "history_of_concert",
    security(("bearer" = [])), params(("id" = Uuid, Path, description = "The concert"), PageQuery),
    responses((status = 200, description = "One page.", body = ListResponse<StaffActResponse>), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.history.of_concert", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    Id(id): Id<ConcertId>,
    Query(query): Query<PageQuery>,
) -> Result<Json<ListResponse<StaffActResponse>>, Problem> {
    let page = api.services.catalog.history_of(identity, id, query.page()?).await?;
    Ok(Json(ListResponse::new(page, StaffActResponse::from)))
}
