use axum::{Json, extract::State};
use boxoffice_application::PaymentService;
use boxoffice_domain::PaymentId;

use super::PaymentResponse;
use crate::{
    api::Api,
    reply::{Code, Problem, refusals},
    request::{Id, Service, SignedIn},
};

refusals!([SIGNED_IN, PATH], [PaymentNotFound]);

/// A payment of the account
#[utoipa::path(
    get, path = "/v1/payments/{id}", tag = "payments", operation_id = "payments_find", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The payment")),
    responses((status = 200, description = "The payment.", body = PaymentResponse), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.payments.find", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    Service(payments): Service<PaymentService>,
    SignedIn(identity): SignedIn,
    Id(id): Id<PaymentId>,
) -> Result<Json<PaymentResponse>, Problem> {
    let view = payments.find(identity, id).await?;
    let view = view.ok_or_else(|| Problem::new(Code::PaymentNotFound))?;
    Ok(Json(PaymentResponse::new(view, api.now())))
}
