use axum::Json;
use boxoffice_application::WebhookService;

use super::WebhookResponse;
use crate::{
    reply::{ListResponse, Problem, refusals},
    request::{PageQuery, Query, Service, SignedIn},
};

refusals!([SIGNED_IN, LIST], [Forbidden]);

/// The webhooks of the account, newest first, for promoters
///
/// For an admin, those of all accounts.
#[utoipa::path(
    get, path = "/v1/webhooks", tag = "webhooks", operation_id = "webhooks_list", security(("bearer" = [])),
    params(PageQuery),
    responses((status = 200, description = "One page.", body = ListResponse<WebhookResponse>), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.webhooks.list", skip_all)]
pub(crate) async fn handler(
    Service(webhooks): Service<WebhookService>,
    SignedIn(identity): SignedIn,
    Query(query): Query<PageQuery>,
) -> Result<Json<ListResponse<WebhookResponse>>, Problem> {
    let page = webhooks.list(identity, query.page()?).await?;
    Ok(Json(ListResponse::new(page, WebhookResponse::from)))
}
