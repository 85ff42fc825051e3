//! `POST /v1/concerts/{id}/queue/pause`.

use axum::{Json, extract::State};
use boxoffice_domain::ConcertId;

use super::{StatsResponse, set_paused};
use crate::{
    api::Api,
    reply::{Problem, refusals},
    request::{Id, OptionalKey, SignedIn},
};

refusals!([SIGNED_IN, PATH], [Forbidden, ConcertNotFound, PreconditionFailed]);

/// Pause admission, for the concert's promoter
///
/// The queue admits no account until admission is resumed. Admitted accounts stay admitted, and places are kept.
#[utoipa::path(
    post, path = "/v1/concerts/{id}/queue/pause", tag = "waiting room", operation_id = "waiting_room_pause",
    security(("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The concert"),
        ("Idempotency-Key" = Option<String>, Header, description = "Not needed: pausing is idempotent by itself"),
    ),
    responses((status = 200, description = "Admission is paused.", body = StatsResponse), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.queue_control.pause", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    signed_in: SignedIn,
    id: Id<ConcertId>,
    _: OptionalKey,
) -> Result<Json<StatsResponse>, Problem> {
    set_paused(api, signed_in, id, true).await
}
