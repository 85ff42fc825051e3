use axum::{Json, extract::State, http::HeaderMap, response::Response};
use boxoffice_application::accounts::{RefreshError, session_of};
use serde::Deserialize;
use utoipa::ToSchema;

use super::SessionResponse;
use crate::{
    api::Api,
    audit::Unknown,
    hashing::Counted,
    reply::{Code, Problem, refusals},
    request::Body,
};

/// The outcome in the audit log if a refresh token was spent.
const REUSED: &str = "refresh_token_reused";

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Refresh)]
pub(crate) struct RefreshRequest {
    /// The refresh token of the last response. It is spent by this; for a few seconds it gives the same pair again, and
    /// presenting it later ends the session.
    refresh_token: String,
}

impl From<RefreshError> for Problem {
    fn from(error: RefreshError) -> Self {
        match error {
            RefreshError::Invalid | RefreshError::Reused { .. } => {
                Self::new(Code::Unauthenticated).detail("The refresh token is not valid.")
            }
            RefreshError::Storage(error) => error.into(),
        }
    }
}

refusals!([BODY], [Unauthenticated, RateLimited]);

/// Exchange a refresh token for new tokens
#[utoipa::path(
    post, path = "/v1/sessions/refresh", tag = "accounts", operation_id = "accounts_refresh",
    request_body = RefreshRequest,
    responses(
        (status = 200, description = "The next tokens of the session.", body = SessionResponse, headers(
            ("RateLimit-Policy", description = "The limit of this session"),
            ("RateLimit", description = "How much of it is left"),
        )),
        Refusals,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.accounts.refresh", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    sender: Unknown,
    Body(body): Body<RefreshRequest>,
) -> Result<Response, Problem> {
    let fields = match (session_of(&body.refresh_token), &api.limits.refreshes) {
        (Some(session_id), Some(limit)) => limit.take_of_session(session_id).await?,
        _ => HeaderMap::new(),
    };
    let service = api.services.accounts.clone();
    let refreshed = api.run_detached(async move { service.refresh(&body.refresh_token).await }).await?;
    if let Err(RefreshError::Reused { account_id, session_id }) = &refreshed {
        sender.note(|sender| {
            sender.set_account(*account_id);
            sender.set_session(*session_id);
            sender.set_outcome(REUSED);
        });
    }
    let refreshed = Counted { outcome: refreshed.map_err(Problem::from), fields };
    Ok(refreshed.respond(|tokens| Json(SessionResponse::from(tokens))))
}
