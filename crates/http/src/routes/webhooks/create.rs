use axum::{Json, extract::State, http::StatusCode};
use boxoffice_application::WebhookService;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{KindText, UrlText, WithSecretResponse, checked_kinds, checked_url};
use crate::{
    api::Api,
    reply::{Problem, refusals},
    request::{Body, Service, SignedIn, validation::parsed},
};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWebhook)]
pub(crate) struct NewWebhookRequest {
    #[schema(value_type = UrlText)]
    url: String,
    /// Which events it gets.
    #[schema(value_type = Vec<KindText>, min_items = 1, max_items = 20)]
    kinds: Vec<String>,
}

refusals!([SIGNED_IN, BODY], [Forbidden, WebhooksLimit, WebhookUrlRefused]);

/// Make a webhook, for promoters
///
/// A promoter's webhook gets the events of the promoter's concerts, an admin's all events that have one of its kinds. The
/// response has the secret that requests are signed with, which is shown this once.
#[utoipa::path(
    post, path = "/v1/webhooks", tag = "webhooks", operation_id = "webhooks_create", security(("bearer" = [])),
    request_body = NewWebhookRequest,
    responses((status = 201, description = "The webhook.", body = WithSecretResponse), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.webhooks.create", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    Service(webhooks): Service<WebhookService>,
    SignedIn(identity): SignedIn,
    Body(body): Body<NewWebhookRequest>,
) -> Result<(StatusCode, Json<WithSecretResponse>), Problem> {
    let (url, kinds) = parsed(|fields| {
        let url = checked_url(fields, &body.url).map(str::to_owned);
        url.zip(checked_kinds(fields, &body.kinds))
    })?;
    let act = async move { webhooks.create(identity, &url, kinds).await };
    let made = api.run_detached(act).await??;
    Ok((StatusCode::CREATED, Json(made.into())))
}
