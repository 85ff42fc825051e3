//! `POST /v1/concerts/{id}/queue/resume`.

use axum::{Json, extract::State};
use boxoffice_domain::ConcertId;

use super::{StatsResponse, set_paused};
use crate::{
    api::Api,
    reply::{Problem, refusals},
    request::{Id, OptionalKey, SignedIn},
};

refusals!([SIGNED_IN, PATH], [Forbidden, ConcertNotFound, PreconditionFailed]);

/// Resume admission, for the concert's promoter
///
/// The queue admits at once as many accounts as there is room for.
#[utoipa::path(
    post, path = "/v1/concerts/{id}/queue/resume", tag = "waiting room", operation_id = "waiting_room_resume",
    security(("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The concert"),
        ("Idempotency-Key" = Option<String>, Header, description = "Not needed: resuming is idempotent by itself"),
    ),
    responses((status = 200, description = "Admission is resumed.", body = StatsResponse), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.queue_control.resume", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    signed_in: SignedIn,
    id: Id<ConcertId>,
    _: OptionalKey,
) -> Result<Json<StatsResponse>, Problem> {
    set_paused(api, signed_in, id, false).await
}
