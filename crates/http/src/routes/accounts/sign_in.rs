use axum::{Json, extract::State, http::StatusCode, response::Response};
use boxoffice_application::accounts::SignInError;
use boxoffice_domain::accounts::{LOGIN_ID_CHARACTERS_MAX, PASSWORD_CHARACTERS_MAX, Password};
use serde::Deserialize;
use utoipa::ToSchema;

use super::SessionResponse;
use crate::{
    api::Api,
    reply::{Problem, problem_from, refusals},
    request::{Body, ClientAddress},
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
    client: ClientAddress,
    Body(body): Body<SignInRequest>,
) -> Result<Response, Problem> {
    if Password::new(&body.password).is_err() {
        // It is the password of nobody, so nothing is hashed.
        return Err(SignInError::InvalidCredentials.into());
    }
    let service = api.services.accounts.clone();
    let act = async move { service.sign_in(&body.login_id, &body.password).await };
    let signed_in = api.run_hashing(client, act).await?;
    Ok(signed_in.respond(|tokens| (StatusCode::CREATED, Json(SessionResponse::from(tokens)))))
}
