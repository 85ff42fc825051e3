use axum::{Json, extract::State};
use boxoffice_application::WaitingRoomService;

use super::QueueResponse;
use crate::{
    api::Api,
    reply::{Problem, refusals},
    request::{Queued, Service},
};

refusals!([SIGNED_IN, QUEUED], []);

/// The status of a queue token
#[utoipa::path(
    get, path = "/v1/queue", tag = "waiting room", operation_id = "waiting_room_status", security(("bearer" = [])),
    params(Queued),
    responses((status = 200, description = "The status.", body = QueueResponse), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.waiting_room.status", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    Service(waiting_room): Service<WaitingRoomService>,
    Queued(place): Queued,
) -> Result<Json<QueueResponse>, Problem> {
    let view = waiting_room.status(place).await?;
    Ok(Json(QueueResponse::new(view, &api.settings)))
}
