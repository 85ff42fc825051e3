use axum::{Json, extract::State};
use boxoffice_application::PaymentService;

use super::PaymentResponse;
use crate::{
    api::Api,
    reply::{ListResponse, Problem, refusals},
    request::{PageQuery, Query, Service, SignedIn},
};

refusals!([SIGNED_IN, LIST], []);

/// The payments of the account, newest first
#[utoipa::path(
    get, path = "/v1/payments", tag = "payments", operation_id = "payments_list", security(("bearer" = [])),
    params(PageQuery),
    responses((status = 200, description = "One page.", body = ListResponse<PaymentResponse>), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.payments.list", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    Service(payments): Service<PaymentService>,
    SignedIn(identity): SignedIn,
    Query(query): Query<PageQuery>,
) -> Result<Json<ListResponse<PaymentResponse>>, Problem> {
    let page = payments.list(identity, query.page()?).await?;
    let now = api.now();
    Ok(Json(ListResponse::new(page, |view| PaymentResponse::new(view, now))))
}
