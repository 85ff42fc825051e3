use axum::{Json, extract::State, http::StatusCode};
use boxoffice_application::WebhookService;
use boxoffice_domain::{WebhookId, webhooks::DeliveryId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::deliveries::DeliveryResponse;
use crate::{
    api::Api,
    json::Time,
    reply::{Problem, refusals},
    request::{Body, Id, Ids, Service, SignedIn, validation::parsed},
};

refusals!([SIGNED_IN, PATH], [Forbidden, WebhookNotFound, DeliveryNotFound]);

/// Send an event to a webhook again, for its owner
///
/// Whatever became of it, it is sent soon, with all attempts before it.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}/deliveries/{delivery_id}/resend", tag = "webhooks",
    operation_id = "webhooks_resend", security(("bearer" = [])),
    params(
        ("id" = uuid::Uuid, Path, description = "The webhook"),
        ("delivery_id" = uuid::Uuid, Path, description = "The delivery"),
    ),
    responses((status = 202, description = "It is sent soon.", body = DeliveryResponse), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.webhooks.resend", skip_all)]
pub(crate) async fn one(
    State(api): State<Api>,
    Service(webhooks): Service<WebhookService>,
    SignedIn(identity): SignedIn,
    Ids(id, delivery_id): Ids<WebhookId, DeliveryId>,
) -> Result<(StatusCode, Json<DeliveryResponse>), Problem> {
    let act = async move { webhooks.send_again(identity, id, delivery_id).await };
    Ok((StatusCode::ACCEPTED, Json(api.run_detached(act).await??.into())))
}

/// A span of at most 31 days, by the times of events in whole milliseconds.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookSpan)]
pub(crate) struct SpanRequest {
    from: Time,
    /// Until before then.
    to: Time,
}

/// How many events are sent again.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookResent)]
pub(crate) struct ResentResponse {
    /// At most 10,000.
    deliveries: u32,
    /// From when on events were left out; ask again from there.
    #[schema(required)]
    next_from: Option<DateTime<Utc>>,
}

refusals!(RefusalsOfSpan: [ALWAYS, SIGNED_IN, PATH, BODY], [Forbidden, WebhookNotFound]);

/// Send the events of a span to a webhook again, for its owner
///
/// Whatever became of them, they are sent soon, with all attempts before them; the oldest first, at most 10,000.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}/resend", tag = "webhooks", operation_id = "webhooks_resend_span",
    security(("bearer" = [])), params(("id" = uuid::Uuid, Path, description = "The webhook")), request_body = SpanRequest,
    responses((status = 202, description = "They are sent soon.", body = ResentResponse), RefusalsOfSpan),
)]
#[tracing::instrument(level = "debug", name = "http.webhooks.resend_span", skip_all)]
pub(crate) async fn span(
    State(api): State<Api>,
    Service(webhooks): Service<WebhookService>,
    SignedIn(identity): SignedIn,
    Id(id): Id<WebhookId>,
    Body(body): Body<SpanRequest>,
) -> Result<(StatusCode, Json<ResentResponse>), Problem> {
    let (from, to) = parsed(|fields| {
        let from = fields.instant("/from", body.from);
        from.zip(fields.instant("/to", body.to))
    })?;
    let act = async move { webhooks.send_span_again(identity, id, from, to).await };
    let again = api.run_detached(act).await??;
    let response = ResentResponse { deliveries: again.count, next_from: again.next_from };
    Ok((StatusCode::ACCEPTED, Json(response)))
}
