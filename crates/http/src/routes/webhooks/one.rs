use axum::{Json, extract::State, http::StatusCode};
use boxoffice_application::{WebhookService, webhooks::ChangeWebhook};
use boxoffice_domain::WebhookId;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{KindText, UrlText, WebhookResponse, checked_kinds, checked_url};
use crate::{
    api::Api,
    json::present,
    reply::{Problem, refusals},
    request::{Body, Id, Service, SignedIn, validation::parsed},
};

refusals!([SIGNED_IN, PATH], [Forbidden, WebhookNotFound]);

/// A webhook, for its owner
#[utoipa::path(
    get, path = "/v1/webhooks/{id}", tag = "webhooks", operation_id = "webhooks_find", security(("bearer" = [])),
    params(("id" = uuid::Uuid, Path, description = "The webhook")),
    responses((status = 200, description = "The webhook.", body = WebhookResponse), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.webhooks.find", skip_all)]
pub(crate) async fn find(
    Service(webhooks): Service<WebhookService>,
    SignedIn(identity): SignedIn,
    Id(id): Id<WebhookId>,
) -> Result<Json<WebhookResponse>, Problem> {
    Ok(Json(webhooks.find(identity, id).await?.into()))
}

/// What is absent stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookChange)]
pub(crate) struct ChangeWebhookRequest {
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<UrlText>, nullable = false)]
    url: Option<String>,
    /// Which events it gets.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Vec<KindText>>, nullable = false, min_items = 1, max_items = 20)]
    kinds: Option<Vec<String>>,
    /// Whether it gets events. What happens while it is off is not sent later; what had waited is sent when it is on again.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    on: Option<bool>,
}

refusals!(RefusalsOfChange: [ALWAYS, SIGNED_IN, PATH, BODY], [Forbidden, WebhookNotFound, WebhookUrlRefused]);

/// Change a webhook, for its owner
///
/// A webhook that was turned off since it failed is turned on by `on`.
#[utoipa::path(
    patch, path = "/v1/webhooks/{id}", tag = "webhooks", operation_id = "webhooks_change",
    security(("bearer" = [])), params(("id" = uuid::Uuid, Path, description = "The webhook")),
    request_body = ChangeWebhookRequest,
    responses((status = 200, description = "The changed webhook.", body = WebhookResponse), RefusalsOfChange),
)]
#[tracing::instrument(level = "debug", name = "http.webhooks.change", skip_all)]
pub(crate) async fn change(
    State(api): State<Api>,
    Service(webhooks): Service<WebhookService>,
    SignedIn(identity): SignedIn,
    Id(id): Id<WebhookId>,
    Body(body): Body<ChangeWebhookRequest>,
) -> Result<Json<WebhookResponse>, Problem> {
    let change = parsed(|fields| {
        Some(ChangeWebhook {
            url: body.url.as_deref().and_then(|url| checked_url(fields, url)).map(str::to_owned),
            kinds: body.kinds.as_deref().and_then(|kinds| checked_kinds(fields, kinds)),
            on: body.on,
        })
    })?;
    let act = async move { webhooks.change(identity, id, change).await };
    Ok(Json(api.run_detached(act).await??.into()))
}

refusals!(RefusalsOfRemoval: [ALWAYS, SIGNED_IN, PATH], [Forbidden, WebhookNotFound]);

/// Remove a webhook, for its owner
///
/// Nothing more is sent to it.
#[utoipa::path(
    delete, path = "/v1/webhooks/{id}", tag = "webhooks", operation_id = "webhooks_remove",
    security(("bearer" = [])), params(("id" = uuid::Uuid, Path, description = "The webhook")),
    responses((status = 204, description = "There is no such webhook any more."), RefusalsOfRemoval),
)]
#[tracing::instrument(level = "debug", name = "http.webhooks.remove", skip_all)]
pub(crate) async fn remove(
    State(api): State<Api>,
    Service(webhooks): Service<WebhookService>,
    SignedIn(identity): SignedIn,
    Id(id): Id<WebhookId>,
) -> Result<StatusCode, Problem> {
    let act = async move { webhooks.remove(identity, id).await };
    api.run_detached(act).await??;
    Ok(StatusCode::NO_CONTENT)
}
