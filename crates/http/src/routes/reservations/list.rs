use axum::{Json, extract::State};
use boxoffice_domain::reservations::ReservationStatus;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{ReservationResponse, StatusResponse};
use crate::{
    api::Api,
    reply::{ListResponse, Problem, mirror, refusals},
    request::{Query, SignedIn, page},
};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReservationQuery {
    /// Only those of this status.
    #[param(inline)]
    status: Option<StatusResponse>,
    /// The most items to give.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<i64>,
    /// Where to go on: the `next_cursor` of the previous page.
    #[param(pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
}

mirror!(StatusResponse => ReservationStatus: Held, Confirmed, Cancelled, Expired);

refusals!([SIGNED_IN, LIST], []);

/// The reservations of the account, newest first
#[utoipa::path(
    get, path = "/v1/reservations", tag = "reservations", operation_id = "reservations_list",
    security(("bearer" = [])), params(ReservationQuery),
    responses((status = 200, description = "One page.", body = ListResponse<ReservationResponse>), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.reservations.list", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    Query(query): Query<ReservationQuery>,
) -> Result<Json<ListResponse<ReservationResponse>>, Problem> {
    let page = page(query.limit, query.cursor.as_deref())?;
    let page = api.services.reservations.list(identity, query.status.map(Into::into), page).await?;
    let now = api.now();
    Ok(Json(ListResponse::new(page, |view| ReservationResponse::new(view, now))))
}
