use axum::{Json, extract::State, http::StatusCode};
use boxoffice_application::accounts::SignInError;
use boxoffice_domain::accounts::{LOGIN_ID_CHARACTERS_MAX, PASSWORD_CHARACTERS_MAX};
use serde::Deserialize;
use utoipa::ToSchema;

use super::SessionResponse;
use crate::{
    api::Api,
    reply::{Problem, problem_from, refusals},
    request::Body,
    routes::{CHARACTER_BYTES_MAX, FIELDS_BYTES_MAX},
};

/// Room for the longest login id and password.
pub(crate) const BODY_BYTES_MAX: usize =
    (LOGIN_ID_CHARACTERS_MAX + PASSWORD_CHARACTERS_MAX) * CHARACTER_BYTES_MAX + FIELDS_BYTES_MAX;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SignIn)]
pub(crate) struct SignInRequest {
    #[schema(example = "haneul")]
    login_id: String,
    #[schema(format = Password, example = "correct horse battery staple")]
    password: String,
}

problem_from!(SignInError: [InvalidCredentials => InvalidCredentials], [Hashing, Storage]);
refusals!([BODY], [InvalidCredentials, RateLimited]);

/// Sign in
#[utoipa::path(
    post, path = "/v1/sessions", tag = "accounts", operation_id = "accounts_sign_in", request_body = SignInRequest,
    responses(
        (status = 201, description = "The tokens of the session.", body = SessionResponse, headers(
            ("RateLimit-Policy", description = "The limit of this address"),
            ("RateLimit", description = "How much of it is left"),
        )),
        Refusals,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.accounts.sign_in", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    Body(body): Body<SignInRequest>,
) -> Result<(StatusCode, Json<SessionResponse>), Problem> {
    let service = api.services.accounts.clone();
    let tokens = api.run_detached(async move { service.sign_in(&body.login_id, &body.password).await }).await??;
    Ok((StatusCode::CREATED, Json(tokens.into())))
}
