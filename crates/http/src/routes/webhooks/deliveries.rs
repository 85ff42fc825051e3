use axum::{Json, extract::State, http::StatusCode};
use boxoffice_application::WebhookService;
use boxoffice_domain::{
    ConcertId, WebhookId,
    webhooks::{Attempt, AttemptOutcome, Delivery, DeliveryStatus},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    api::Api,
    reply::{ListResponse, Problem, mirror, refusals},
    request::{Id, Query, Service, SignedIn, page},
};

#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WebhookDeliveryStatus)]
pub(crate) enum StatusResponse {
    /// It is to be sent, for the first time or again.
    Pending,
    /// The endpoint has accepted it.
    Delivered,
    /// All attempts have failed.
    GivenUp,
}

mirror!(DeliveryStatus => StatusResponse: Pending, Delivered, GivenUp);
mirror!(StatusResponse => DeliveryStatus: Pending, Delivered, GivenUp);

/// What came of a request to the endpoint.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookAttempt)]
struct AttemptResponse {
    at: DateTime<Utc>,
    /// The status that the endpoint answered with.
    #[schema(required)]
    status: Option<u16>,
    /// The first 1,024 bytes of its answer.
    #[schema(required)]
    answer: Option<String>,
    /// Why there was no answer: `timed_out`, `unknown_host`, `refused_address`, `no_connection`, `tls`, `not_http` or
    /// `invalid_url`.
    #[schema(required)]
    failure: Option<&'static str>,
    /// How long it took.
    milliseconds: u32,
}

impl From<Attempt> for AttemptResponse {
    fn from(Attempt { at, outcome, milliseconds }: Attempt) -> Self {
        let (status, answer, failure) = match outcome {
            AttemptOutcome::Answered { status, beginning } => (Some(status), Some(beginning), None),
            AttemptOutcome::Failed { reason } => (None, None, Some(reason)),
        };
        Self { at, status, answer, failure, milliseconds }
    }
}

/// What became of an event that was sent to a webhook.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookDelivery)]
pub(crate) struct DeliveryResponse {
    id: Uuid,
    event_id: Uuid,
    kind: String,
    /// What the event is about.
    subject: Uuid,
    #[schema(required)]
    concert_id: Option<Uuid>,
    occurred_at: DateTime<Utc>,
    status: StatusResponse,
    /// When it is sent next.
    #[schema(required)]
    next_attempt_at: Option<DateTime<Utc>>,
    /// How many attempts were made since it was to be sent, or sent again.
    attempts_count: u32,
    #[schema(required)]
    last_attempt: Option<AttemptResponse>,
}

impl From<Delivery> for DeliveryResponse {
    fn from(delivery: Delivery) -> Self {
        Self {
            id: delivery.id.uuid(),
            event_id: delivery.event_id,
            kind: delivery.kind,
            subject: delivery.subject,
            concert_id: delivery.concert_id.map(ConcertId::uuid),
            occurred_at: delivery.occurred_at,
            status: delivery.state.status().into(),
            next_attempt_at: delivery.state.next_attempt_at(),
            attempts_count: delivery.attempts_count,
            last_attempt: delivery.last_attempt.map(AttemptResponse::from),
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeliveryQuery {
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

refusals!([SIGNED_IN, PATH, LIST], [Forbidden, WebhookNotFound]);

/// What became of the events for a webhook, newest first, for its owner
#[utoipa::path(
    get, path = "/v1/webhooks/{id}/deliveries", tag = "webhooks", operation_id = "webhooks_deliveries",
    security(("bearer" = [])), params(("id" = Uuid, Path, description = "The webhook"), DeliveryQuery),
    responses((status = 200, description = "One page.", body = ListResponse<DeliveryResponse>), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.webhooks.deliveries", skip_all)]
pub(crate) async fn list(
    Service(webhooks): Service<WebhookService>,
    SignedIn(identity): SignedIn,
    Id(id): Id<WebhookId>,
    Query(query): Query<DeliveryQuery>,
) -> Result<Json<ListResponse<DeliveryResponse>>, Problem> {
    let page = page(query.limit, query.cursor.as_deref())?;
    let page = webhooks.deliveries(identity, id, query.status.map(Into::into), page).await?;
    Ok(Json(ListResponse::new(page, DeliveryResponse::from)))
}

refusals!(RefusalsOfTest: [ALWAYS, SIGNED_IN, PATH], [Forbidden, WebhookNotFound, WebhookOff]);

/// Send a test event to a webhook, for its owner
///
/// The event has the kind `webhook.test`, and is sent whichever kinds the webhook gets.
#[utoipa::path(
    post, path = "/v1/webhooks/{id}/test", tag = "webhooks", operation_id = "webhooks_test",
    security(("bearer" = [])), params(("id" = Uuid, Path, description = "The webhook")),
    responses((status = 202, description = "It is sent soon.", body = DeliveryResponse), RefusalsOfTest),
)]
#[tracing::instrument(level = "debug", name = "http.webhooks.test", skip_all)]
pub(crate) async fn send_test(
    State(api): State<Api>,
    Service(webhooks): Service<WebhookService>,
    SignedIn(identity): SignedIn,
    Id(id): Id<WebhookId>,
) -> Result<(StatusCode, Json<DeliveryResponse>), Problem> {
    let act = async move { webhooks.send_test(identity, id).await };
    Ok((StatusCode::ACCEPTED, Json(api.run_detached(act).await??.into())))
}
