//! `GET /v1/queue`.

use axum::{Json, extract::State};

use super::QueueResponse;
use crate::{
    api::Api,
    reply::{Problem, refusals},
    request::Queued,
};

refusals!([SIGNED_IN, TICKET], []);

/// Where the holder of a queue token stands
#[utoipa::path(
    get, path = "/v1/queue", tag = "waiting room", operation_id = "waiting_room_status", security(("bearer" = [])),
    params(Queued),
    responses((status = 200, description = "The status.", body = QueueResponse), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.waiting_room.status", skip_all)]
pub(crate) async fn handler(State(api): State<Api>, Queued(place): Queued) -> Result<Json<QueueResponse>, Problem> {
    let view = api.services.waiting_room.status(place).await?;
    Ok(Json(view.into()))
}
