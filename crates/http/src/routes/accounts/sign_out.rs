use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};

use crate::{
    api::Api,
    reply::{Problem, refusals},
    request::{Browser, SettingUp},
};

refusals!([], [Unauthenticated, AccessTokenExpired]);

/// Sign out
#[utoipa::path(
    delete, path = "/v1/sessions/current", tag = "accounts", operation_id = "accounts_sign_out",
    security(("bearer" = [])),
    responses(
        (status = 204, description = "The session has ended.", headers(
            ("Set-Cookie", description = "Takes the cookie back, if there was one"),
        )),
        Refusals,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.accounts.sign_out", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    SettingUp(identity): SettingUp,
    browser: Browser,
) -> Result<Response, Problem> {
    let service = api.services.accounts.clone();
    api.run_detached(async move { service.sign_out(identity).await }).await??;
    let dropped: HeaderMap = browser.drops().into_iter().collect();
    Ok((StatusCode::NO_CONTENT, dropped).into_response())
}
