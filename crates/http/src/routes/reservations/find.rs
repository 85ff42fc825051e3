use axum::{Json, extract::State};
use boxoffice_domain::ReservationId;

use super::ReservationResponse;
use crate::{
    api::Api,
    reply::{Code, Problem, refusals},
    request::{Id, SignedIn},
};

refusals!([SIGNED_IN, PATH], [ReservationNotFound]);

/// A reservation of the account
#[utoipa::path(
    get, path = "/v1/reservations/{id}", tag = "reservations", operation_id = "reservations_find",
    security(("bearer" = [])), params(("id" = Uuid, Path, description = "The reservation")),
    responses((status = 200, description = "The reservation.", body = ReservationResponse), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.reservations.find", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    Id(id): Id<ReservationId>,
) -> Result<Json<ReservationResponse>, Problem> {
    let view = api.services.reservations.find(identity, id).await?;
    let view = view.ok_or_else(|| Problem::new(Code::ReservationNotFound))?;
    Ok(Json(ReservationResponse::new(view, api.now())))
}
