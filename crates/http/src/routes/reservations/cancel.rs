use axum::{extract::State, http::StatusCode, response::Response};
use boxoffice_application::fingerprint;
use boxoffice_domain::{
    ReservationId,
    reservations::{CancelError, CancelRefusal},
};

use super::ReservationResponse;
use crate::{
    api::Api,
    reply::{Problem, made, problem_from, refusals},
    request::{Id, OptionalKey, SignedIn},
};

problem_from!(CancelRefusal: [
    NotFound => ReservationNotFound,
    AlreadyCancelled => ReservationCancelled,
    HoldExpired => HoldExpired,
    Closed => CancellationClosed,
], [KeyReused], other);
problem_from!(CancelError: [], [Refused, Storage]);
refusals!([SIGNED_IN, PATH, KEYED], [ReservationNotFound, ReservationCancelled, CancellationClosed, HoldExpired]);

/// Give a reservation up
///
/// A held one until its hold expires; a paid one until the performance starts, and its points are refunded.
#[utoipa::path(
    post, path = "/v1/reservations/{id}/cancel", tag = "reservations", operation_id = "reservations_cancel",
    security(("bearer" = [])), params(("id" = Uuid, Path, description = "The reservation"), OptionalKey),
    responses(
        (status = 200, description = "The reservation is cancelled.", body = ReservationResponse, headers(
            ("Idempotency-Replayed", description = "`true` if an earlier request cancelled it"),
        )),
        Refusals,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.reservations.cancel", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    Id(id): Id<ReservationId>,
    key: OptionalKey,
) -> Result<Response, Problem> {
    let idempotency = key.naming(|| fingerprint::cancel(id));
    let (service, named) = (api.services.reservations.clone(), idempotency.clone());
    let act = async move { service.cancel(identity, id, named).await };
    let cancelled = api.run_idempotent(identity, idempotency.as_ref(), act).await??;
    let now = api.now();
    Ok(made(cancelled, StatusCode::OK, None, |view| ReservationResponse::new(view, now)))
}
