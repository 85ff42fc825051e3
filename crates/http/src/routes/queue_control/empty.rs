use axum::{Json, extract::State};
use boxoffice_domain::ConcertId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api::Api,
    reply::{Problem, refusals},
    request::{Id, RequestId, SignedIn},
};

/// The effect of emptying a queue.
#[derive(Serialize, ToSchema)]
#[schema(as = QueueEmptied)]
pub(crate) struct EmptiedResponse {
    /// How many accounts waited and have lost their place.
    removed: u64,
}

refusals!([SIGNED_IN, PATH], [Forbidden, ConcertNotFound, PreconditionFailed]);

/// Empty the queue, for the concert's promoter
///
/// Every account that waits loses its place and may join again. Admitted accounts stay admitted. Emptying
/// an empty queue changes nothing.
#[utoipa::path(
    delete, path = "/v1/concerts/{id}/queue", tag = "waiting room", operation_id = "waiting_room_empty",
    security(("bearer" = [])), params(("id" = Uuid, Path, description = "The concert")),
    responses((status = 200, description = "The queue is empty.", body = EmptiedResponse), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.queue_control.empty", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    request_id: RequestId,
    Id(id): Id<ConcertId>,
) -> Result<Json<EmptiedResponse>, Problem> {
    let service = api.services.catalog.clone();
    let staff = request_id.staff(identity);
    let act = async move { service.empty_queue(staff, id).await };
    let removed = api.run_detached(act).await??;
    Ok(Json(EmptiedResponse { removed }))
}
