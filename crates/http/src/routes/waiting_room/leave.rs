//! `DELETE /v1/queue`.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};

use crate::{
    api::Api,
    reply::{Problem, refusals},
    request::Queued,
};

refusals!([SIGNED_IN, TICKET], []);

/// Leave the line, or end the admission
#[utoipa::path(
    delete, path = "/v1/queue", tag = "waiting room", operation_id = "waiting_room_leave", security(("bearer" = [])),
    params(Queued),
    responses((status = 204, description = "The token has expired."), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.waiting_room.leave", skip_all)]
pub(crate) async fn handler(State(api): State<Api>, Queued(place): Queued) -> Result<StatusCode, Problem> {
    let service = Arc::clone(&api.services.waiting_room);
    api.run_detached(async move { service.leave(place).await }).await??;
    Ok(StatusCode::NO_CONTENT)
}
