use axum::{extract::State, http::HeaderMap, response::Response};
use boxoffice_application::accounts::{RefreshError, session_of};
use serde::Deserialize;
use utoipa::ToSchema;

use super::SessionResponse;
use crate::{
    api::Api,
    audit::Unknown,
    hashing::Counted,
    json,
    reply::{Code, Problem, refusals},
    request::{Body, Browser},
};

/// The outcome in the audit log if a refresh token was spent.
const REUSED: &str = "refresh_token_reused";

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Refresh)]
pub(crate) struct RefreshRequest {
    /// The refresh token of the last response. It is spent by this; for a few seconds it gives the same pair again, and
    /// presenting it later ends the session. Absent, it is that of the cookie, and the next one goes there.
    #[serde(default, deserialize_with = "json::present")]
    #[schema(nullable = false)]
    refresh_token: Option<String>,
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

refusals!([BODY], [Unauthenticated, Forbidden, RateLimited]);

/// Exchange a refresh token for new tokens
#[utoipa::path(
    post, path = "/v1/sessions/refresh", tag = "accounts", operation_id = "accounts_refresh",
    request_body = RefreshRequest,
    responses(
        (status = 200, description = "The next tokens of the session.", body = SessionResponse, headers(
            ("RateLimit-Policy", description = "The limit of this session"),
            ("RateLimit", description = "How much of it is left"),
            ("Set-Cookie", description = "The refresh token, if the last one was in a cookie"),
        )),
        Refusals,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.accounts.refresh", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    sender: Unknown,
    browser: Browser,
    Body(body): Body<RefreshRequest>,
) -> Result<Response, Problem> {
    let in_cookie = body.refresh_token.is_none();
    let token = match body.refresh_token {
        Some(token) => token,
        None => browser.refresh_token()?.to_owned(),
    };
    let fields = match (session_of(&token), &api.limits.refreshes) {
        (Some(session_id), Some(limit)) => limit.take_of_session(session_id).await?,
        _ => HeaderMap::new(),
    };
    let service = api.services.accounts.clone();
    let kept_by = in_cookie.then_some((&browser, service.settings.refresh_seconds));
    let refreshed = api.run_detached(async move { service.refresh(&token).await }).await?;
    if let Err(RefreshError::Reused { account_id, session_id }) = &refreshed {
        sender.note(|sender| {
            sender.set_account(*account_id);
            sender.set_session(*session_id);
            sender.set_outcome(REUSED);
        });
    }
    let refreshed = Counted { outcome: refreshed.map_err(Problem::from), fields };
    Ok(refreshed.respond(|tokens| SessionResponse::of(tokens, kept_by)))
}
