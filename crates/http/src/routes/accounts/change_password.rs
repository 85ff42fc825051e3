use axum::{extract::State, http::StatusCode, response::Response};
use boxoffice_application::accounts::ChangePasswordError;
use boxoffice_domain::accounts::PASSWORD_CHARACTERS_MAX;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{guessable, new_password};
use crate::{
    api::Api,
    reply::{Problem, refusals},
    request::{Body, ClientAddress, SignedIn, validation::parsed},
    routes::{CHARACTER_BYTES_MAX, FIELDS_BYTES_MAX},
};

/// Room for two of the longest passwords.
pub(crate) const BODY_BYTES_MAX: usize = 2 * PASSWORD_CHARACTERS_MAX * CHARACTER_BYTES_MAX + FIELDS_BYTES_MAX;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PasswordChange)]
pub(crate) struct ChangePasswordRequest {
    #[schema(format = Password, example = "correct horse battery staple")]
    current_password: String,
    /// The same in every Unicode normalization form.
    #[schema(min_length = 8, max_length = 128, format = Password, example = "another horse and another staple")]
    new_password: String,
}

impl From<ChangePasswordError> for Problem {
    fn from(error: ChangePasswordError) -> Self {
        match error {
            ChangePasswordError::Confirmed(error) => error.into(),
            ChangePasswordError::Guessable(why) => guessable("/new_password", why),
            ChangePasswordError::Hashing(error) => error.into(),
            ChangePasswordError::Storage(error) => error.into(),
        }
    }
}

refusals!([SIGNED_IN, BODY], [InvalidCredentials, RateLimited]);

/// Change the password
///
/// Ends all other sessions of the account.
#[utoipa::path(
    put, path = "/v1/me/password", tag = "accounts", operation_id = "accounts_change_password",
    security(("bearer" = [])), request_body = ChangePasswordRequest,
    responses((status = 204, description = "The account has the new password.", headers(
        ("RateLimit-Policy", description = "The limit of this address"),
        ("RateLimit", description = "How much of it is left"),
    )), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.accounts.change_password", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    address: ClientAddress,
    Body(body): Body<ChangePasswordRequest>,
) -> Result<Response, Problem> {
    let next = parsed(|fields| new_password(fields, "/new_password", &body.new_password))?;
    let service = api.services.accounts.clone();
    let act = async move { service.change_password(identity, &body.current_password, next).await };
    Ok(api.run_hashing(address, act).await?.respond(|()| StatusCode::NO_CONTENT))
}
