use axum::{extract::State, http::StatusCode};

use crate::{
    api::Api,
    reply::{Problem, refusals},
    request::SettingUp,
};

refusals!([], [Unauthenticated, AccessTokenExpired]);

/// Sign out
#[utoipa::path(
    delete, path = "/v1/sessions/current", tag = "accounts", operation_id = "accounts_sign_out",
    security(("bearer" = [])),
    responses((status = 204, description = "The session has ended."), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.accounts.sign_out", skip_all)]
pub(crate) async fn handler(State(api): State<Api>, SettingUp(identity): SettingUp) -> Result<StatusCode, Problem> {
    let service = api.services.accounts.clone();
    api.run_detached(async move { service.sign_out(identity).await }).await??;
    Ok(StatusCode::NO_CONTENT)
}
