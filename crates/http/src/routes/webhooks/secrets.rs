use axum::{Json, extract::State};
use boxoffice_application::WebhookService;
use boxoffice_domain::WebhookId;

use super::WithSecretResponse;
use crate::{
    api::Api,
    reply::{Problem, refusals},
    request::{Id, Service, SignedIn},
};

refusals!([SIGNED_IN, PATH], [Forbidden, WebhookNotFound]);

/// Give a webhook another secret, for its owner
///
/// The response has the new secret, which is shown this once. For 24 hours requests are signed with the former one too.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}/secrets", tag = "webhooks", operation_id = "webhooks_rotate_secret",
    security(("bearer" = [])), params(("id" = uuid::Uuid, Path, description = "The webhook")),
    responses((status = 200, description = "The webhook with its new secret.", body = WithSecretResponse), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.webhooks.rotate_secret", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    Service(webhooks): Service<WebhookService>,
    SignedIn(identity): SignedIn,
    Id(id): Id<WebhookId>,
) -> Result<Json<WithSecretResponse>, Problem> {
    let act = async move { webhooks.rotate_secret(identity, id).await };
    Ok(Json(api.run_detached(act).await??.into()))
}
