//! `/v1/concerts/{id}/queue` and `/v1/queue`.

use std::sync::Arc;

use axum::{
    Json as Answer,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use boxoffice_application::waiting_room::{JoinError, QueueView};
use boxoffice_domain::{ConcertId, catalog::NotOnSale, waiting_room::Standing};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    api::Api,
    auth::{Queued, SignedIn},
    extract::Id,
    idempotency::OptionalKey,
    problem::{Code, Problem, refusals},
};

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(join)).routes(routes!(status, leave))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = QueueTokenStatus)]
pub(crate) enum StatusAnswer {
    /// In line.
    Waiting,
    /// Admitted.
    Active,
    /// Over: spent by a payment, left, lapsed, or passed over.
    Expired,
}

/// A queue token and where its holder stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = QueueStatus)]
pub(crate) struct QueueAnswer {
    /// Goes into the `Queue-Token` field. It keeps its text for life.
    token: String,
    concert_id: Uuid,
    pub status: StatusAnswer,
    /// 1 for the next to be admitted, 0 when active or expired; `null` before the draw.
    #[schema(required)]
    position: Option<u64>,
    /// How long it will take at the measured rate of admission; `null` before there is a measure, while admission is
    /// paused, before the draw, and when not waiting.
    #[schema(required)]
    estimated_wait_seconds: Option<u64>,
    /// When to ask again; `null` when expired.
    #[schema(required)]
    pub poll_after_seconds: Option<u32>,
    joined_at: DateTime<Utc>,
    /// Until when the token is good; `null` when not active.
    #[schema(required)]
    active_until: Option<DateTime<Utc>>,
}

/// When an admitted client asks again, which it need not do for its place.
const POLL_AFTER_ACTIVE_SECONDS: u32 = 4;

impl From<QueueView> for QueueAnswer {
    fn from(view: QueueView) -> Self {
        let place = view.status.place;
        let expired = Self {
            token: view.token.0,
            concert_id: place.concert_id.uuid(),
            status: StatusAnswer::Expired,
            position: Some(0),
            estimated_wait_seconds: None,
            poll_after_seconds: None,
            joined_at: place.joined_at,
            active_until: None,
        };
        match view.status.standing {
            Standing::Waiting { position, estimated_wait_seconds, poll_after_seconds } => Self {
                status: StatusAnswer::Waiting,
                position,
                estimated_wait_seconds,
                poll_after_seconds: Some(poll_after_seconds),
                ..expired
            },
            Standing::Active { active_until, .. } => Self {
                status: StatusAnswer::Active,
                poll_after_seconds: Some(POLL_AFTER_ACTIVE_SECONDS),
                active_until: Some(active_until),
                ..expired
            },
            Standing::Expired => expired,
        }
    }
}

impl From<NotOnSale> for Problem {
    fn from(error: NotOnSale) -> Self {
        match error {
            NotOnSale::NotOpen => Self::new(Code::SaleNotOpen),
            NotOnSale::Closed => Self::new(Code::SaleClosed),
        }
    }
}

impl From<JoinError> for Problem {
    fn from(error: JoinError) -> Self {
        match error {
            JoinError::ConcertNotFound => Self::new(Code::ConcertNotFound),
            JoinError::NotOnSale(error) => error.into(),
            JoinError::WaitingRoom(error) => error.into(),
            JoinError::Storage(error) => error.into(),
        }
    }
}

refusals!(JoinProblems: [SIGNED_IN, PATH], [ConcertNotFound, SaleNotOpen, SaleClosed]);
refusals!(QueueProblems: [SIGNED_IN, TICKET], []);

/// Get in line
///
/// Joining again gives the same place. Before the sale opens it is possible where the concert has a draw: then the
/// order of all who have joined by the opening is drawn, and told when the sale opens.
#[utoipa::path(
    post, path = "/v1/concerts/{id}/queue", tag = "waiting room", security(("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The concert"),
        ("Idempotency-Key" = Option<String>, Header, description = "Not needed: joining is idempotent by itself"),
    ),
    responses(
        (status = 201, description = "A new place at the end of the line.", body = QueueAnswer),
        (status = 200, description = "The place that the account has already.", body = QueueAnswer),
        JoinProblems,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.waiting_room.join", skip_all)]
async fn join(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    Id(concert_id): Id<ConcertId>,
    _: OptionalKey,
) -> Result<Response, Problem> {
    let service = Arc::clone(&api.services.waiting_room);
    let (view, newly) = api.act(async move { service.join(identity, concert_id).await }).await??;
    let status = if newly { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Answer(QueueAnswer::from(view))).into_response())
}

/// Where the holder of a queue token stands
#[utoipa::path(
    get, path = "/v1/queue", tag = "waiting room", security(("bearer" = [])),
    params(("Queue-Token" = String, Header, description = "The token that joining gave")),
    responses((status = 200, description = "The status.", body = QueueAnswer), QueueProblems),
)]
#[tracing::instrument(level = "debug", name = "http.waiting_room.status", skip_all)]
async fn status(State(api): State<Api>, Queued(place): Queued) -> Result<Answer<QueueAnswer>, Problem> {
    let view = api.services.waiting_room.status(place).await?;
    Ok(Answer(view.into()))
}

/// Leave the line, or end the admission
#[utoipa::path(
    delete, path = "/v1/queue", tag = "waiting room", security(("bearer" = [])),
    params(("Queue-Token" = String, Header, description = "The token that joining gave")),
    responses((status = 204, description = "The token has expired."), QueueProblems),
)]
#[tracing::instrument(level = "debug", name = "http.waiting_room.leave", skip_all)]
async fn leave(State(api): State<Api>, Queued(place): Queued) -> Result<StatusCode, Problem> {
    let service = Arc::clone(&api.services.waiting_room);
    api.act(async move { service.leave(place).await }).await??;
    Ok(StatusCode::NO_CONTENT)
}
