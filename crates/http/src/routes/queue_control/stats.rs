use axum::{Json, extract::State};
use boxoffice_domain::ConcertId;

use super::StatsResponse;
use crate::{
    api::Api,
    reply::{Problem, refusals},
    request::{Id, SignedIn},
};

refusals!([SIGNED_IN, PATH], [Forbidden, ConcertNotFound]);

/// The state of the queue, for the concert's promoter
#[utoipa::path(
    get, path = "/v1/concerts/{id}/queue/stats", tag = "waiting room", operation_id = "waiting_room_stats",
    security(("bearer" = [])), params(("id" = Uuid, Path, description = "The concert")),
    responses((status = 200, description = "The state of the queue.", body = StatsResponse), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.queue_control.stats", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    Id(id): Id<ConcertId>,
) -> Result<Json<StatsResponse>, Problem> {
    let report = api.services.catalog.queue_report(identity, id).await?;
    Ok(Json(StatsResponse::new(&report, api.now())))
}
