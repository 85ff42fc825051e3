use axum::{extract::State, http::StatusCode};
use boxoffice_domain::{SessionId, accounts::SessionsToEnd};

use crate::{
    api::Api,
    reply::{Code, Problem, refusals},
    request::{Id, SignedIn},
};

refusals!([SIGNED_IN, PATH], [SessionNotFound]);

/// End a session of the account
#[utoipa::path(
    delete, path = "/v1/me/sessions/{id}", tag = "accounts", operation_id = "accounts_end_session",
    security(("bearer" = [])), params(("id" = uuid::Uuid, Path, description = "The id of the session")),
    responses((status = 204, description = "The session has ended."), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.accounts.end_session", skip_all)]
pub(crate) async fn one(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    Id(id): Id<SessionId>,
) -> Result<StatusCode, Problem> {
    let service = api.services.accounts.clone();
    let act = async move { service.end_sessions(identity, SessionsToEnd::One(id)).await };
    if api.run_detached(act).await?? { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::new(Code::SessionNotFound)) }
}

refusals!(RefusalsOfOthers: [ALWAYS, SIGNED_IN], []);

/// End all other sessions of the account
///
/// That of the request goes on.
#[utoipa::path(
    delete, path = "/v1/me/sessions", tag = "accounts", operation_id = "accounts_end_other_sessions",
    security(("bearer" = [])),
    responses((status = 204, description = "The other sessions have ended."), RefusalsOfOthers),
)]
#[tracing::instrument(level = "debug", name = "http.accounts.end_other_sessions", skip_all)]
pub(crate) async fn others(State(api): State<Api>, SignedIn(identity): SignedIn) -> Result<StatusCode, Problem> {
    let service = api.services.accounts.clone();
    let act = async move { service.end_sessions(identity, SessionsToEnd::AllBut(identity.session_id)).await };
    api.run_detached(act).await??;
    Ok(StatusCode::NO_CONTENT)
}
