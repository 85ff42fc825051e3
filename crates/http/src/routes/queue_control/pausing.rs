use axum::{Json, extract::State};
use boxoffice_domain::ConcertId;

use super::StatsResponse;
use crate::{
    api::Api,
    reply::{Problem, refusals},
    request::{Id, RequestId, SignedIn, UnneededKey},
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
        UnneededKey,
    ),
    responses((status = 200, description = "Admission is paused.", body = StatsResponse), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.queue_control.pause", skip_all)]
pub(crate) async fn pause(
    State(api): State<Api>,
    signed_in: SignedIn,
    request_id: RequestId,
    id: Id<ConcertId>,
    _: UnneededKey,
) -> Result<Json<StatsResponse>, Problem> {
    set_paused(api, signed_in, request_id, id, true).await
}

/// Resume admission, for the concert's promoter
///
/// The queue admits at once as many accounts as there is room for.
#[utoipa::path(
    post, path = "/v1/concerts/{id}/queue/resume", tag = "waiting room", operation_id = "waiting_room_resume",
    security(("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The concert"),
        UnneededKey,
    ),
    responses((status = 200, description = "Admission is resumed.", body = StatsResponse), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.queue_control.resume", skip_all)]
pub(crate) async fn resume(
    State(api): State<Api>,
    signed_in: SignedIn,
    request_id: RequestId,
    id: Id<ConcertId>,
    _: UnneededKey,
) -> Result<Json<StatsResponse>, Problem> {
    set_paused(api, signed_in, request_id, id, false).await
}

async fn set_paused(
    api: Api,
    SignedIn(identity): SignedIn,
    request_id: RequestId,
    Id(id): Id<ConcertId>,
    paused: bool,
) -> Result<Json<StatsResponse>, Problem> {
    let service = api.services.catalog.clone();
    let staff = request_id.staff(identity);
    let act = async move { service.set_queue_paused(staff, id, paused).await };
    let report = api.run_detached(act).await??;
    Ok(Json(StatsResponse::new(&report, api.now())))
}
