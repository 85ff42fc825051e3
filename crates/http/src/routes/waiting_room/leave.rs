use axum::{extract::State, http::StatusCode};
use boxoffice_application::WaitingRoomService;

use crate::{
    api::Api,
    reply::{Problem, refusals},
    request::{Queued, Service},
};

refusals!([SIGNED_IN, QUEUED], []);

/// Leave the queue, or end the admission
#[utoipa::path(
    delete, path = "/v1/queue", tag = "waiting room", operation_id = "waiting_room_leave", security(("bearer" = [])),
    params(Queued),
    responses((status = 204, description = "The token has expired."), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.waiting_room.leave", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    Service(waiting_room): Service<WaitingRoomService>,
    Queued(place): Queued,
) -> Result<StatusCode, Problem> {
    api.run_detached(async move { waiting_room.leave(place).await }).await??;
    Ok(StatusCode::NO_CONTENT)
}
