use axum::{Json, extract::State};

use super::StaffActResponse;
use crate::{
    api::Api,
    reply::{ListResponse, Problem, refusals},
    request::{PageQuery, Query, SignedIn},
};

refusals!([SIGNED_IN, LIST], [Forbidden]);

/// What the staff and the operator did, newest first, for admins
#[utoipa::path(
    get, path = "/v1/history", tag = "history", operation_id = "history_list", security(("bearer" = [])),
    params(PageQuery),
    responses((status = 200, description = "One page.", body = ListResponse<StaffActResponse>), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.history.list", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    Query(query): Query<PageQuery>,
) -> Result<Json<ListResponse<StaffActResponse>>, Problem> {
    let page = api.services.catalog.history(identity, query.page()?).await?;
    Ok(Json(ListResponse::new(page, StaffActResponse::from)))
}
