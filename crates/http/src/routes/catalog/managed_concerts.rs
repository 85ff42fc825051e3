use axum::{Json, extract::State};
use boxoffice_domain::page::Page;
use serde::Serialize;
use utoipa::ToSchema;

use super::ConcertResponse;
use crate::{
    api::Api,
    reply::{ListResponse, Problem, refusals},
    request::{PageQuery, Query, SignedIn},
};

/// A concert in the list of its promoter.
#[derive(Serialize, ToSchema)]
#[schema(as = OwnConcert)]
pub(crate) struct OwnConcertResponse {
    #[serde(flatten)]
    concert: ConcertResponse,
    /// How many accounts are admitted at once.
    max_active: u32,
    /// Whether admission is paused.
    paused: bool,
}

refusals!([SIGNED_IN, LIST], [Forbidden]);

/// The concerts that the account manages, newest first, for promoters
///
/// Those that it has published; for an admin, all.
#[utoipa::path(
    get, path = "/v1/me/concerts", tag = "catalog", operation_id = "catalog_managed_concerts",
    security(("bearer" = [])), params(PageQuery),
    responses((status = 200, description = "One page.", body = ListResponse<OwnConcertResponse>), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.catalog.managed_concerts", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    Query(query): Query<PageQuery>,
) -> Result<Json<ListResponse<OwnConcertResponse>>, Problem> {
    let catalog = &api.services.catalog;
    let Page { items, next } = catalog.managed_concerts(identity, query.page()?).await?;
    let now = api.now();
    Ok(Json(ListResponse::new(Page { items, next }, |view| OwnConcertResponse {
        max_active: view.summary.concert.max_active,
        paused: view.summary.concert.paused,
        concert: ConcertResponse::new(view, now),
    })))
}
