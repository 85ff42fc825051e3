use axum::{extract::State, http::HeaderMap, response::Response};
use boxoffice_domain::VenueId;

use super::publish_venue::VenueResponse;
use crate::{
    api::Api,
    reply::{CacheScope, NotModified, Problem, Tagged, refusals},
    request::{Id, IfNoneMatch},
};

refusals!([PATH], [VenueNotFound]);

/// A venue, with its sections and how it is drawn
#[utoipa::path(
    get, path = "/v1/venues/{id}", tag = "catalog", operation_id = "catalog_venue",
    params(("id" = Uuid, Path, description = "The venue"), IfNoneMatch),
    responses(
        (status = 200, description = "The venue.", body = VenueResponse,
            headers(("ETag", description = "The tag of this response"))),
        NotModified, Refusals,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.catalog.venue", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    headers: HeaderMap,
    Id(id): Id<VenueId>,
) -> Result<Response, Problem> {
    let read = async { Tagged::of(&VenueResponse::from(api.services.catalog.venue(id).await?)) };
    Ok(api.reads.venue.get(id, None, read).await?.respond(&headers, CacheScope::Public))
}
