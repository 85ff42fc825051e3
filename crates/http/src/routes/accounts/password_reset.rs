use axum::{
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use boxoffice_application::accounts::PasswordResetError;
use boxoffice_domain::accounts::{LOGIN_ID_CHARACTERS_MAX, LoginId};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{erase, guessable, new_password};
use crate::{
    api::Api,
    audit::Unknown,
    hashing::Counted,
    reply::{Code, Problem, refusals},
    request::{Body, ClientAddress, validation::parsed},
    routes::{CHARACTER_BYTES_MAX, FIELDS_BYTES_MAX},
};

/// Room for the longest login id.
pub(crate) const BEGIN_BODY_BYTES_MAX: usize = LOGIN_ID_CHARACTERS_MAX * CHARACTER_BYTES_MAX + FIELDS_BYTES_MAX;
/// Room for the longest password.
pub(crate) const BODY_BYTES_MAX: usize = erase::BODY_BYTES_MAX;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPasswordReset)]
pub(crate) struct BeginRequest {
    #[schema(example = "haneul")]
    login_id: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PasswordReset)]
pub(crate) struct CompleteRequest {
    /// The new one, the same in every Unicode normalization form.
    #[schema(min_length = 8, max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$", format = Password, example = "another horse and another staple")]
    password: String,
}

impl From<PasswordResetError> for Problem {
    fn from(error: PasswordResetError) -> Self {
        match error {
            PasswordResetError::Invalid => Self::new(Code::PasswordResetInvalid),
            PasswordResetError::Guessable(why) => guessable("/password", why),
            PasswordResetError::Hashing(error) => error.into(),
            PasswordResetError::Storage(error) => error.into(),
        }
    }
}

refusals!([BODY], [MailNotAvailable, RateLimited]);

/// Ask for a password reset
///
/// If an account has the login id, and a verified e-mail address, a token is sent there, which is good for 30 minutes. The
/// response is the same otherwise, and comes before that is looked up. An account gets 3 such mails an hour.
#[utoipa::path(
    post, path = "/v1/password-resets", tag = "accounts", operation_id = "accounts_begin_password_reset",
    request_body = BeginRequest,
    responses((status = 202, description = "The request was taken.", headers(
        ("RateLimit-Policy", description = "The limit of this address"),
        ("RateLimit", description = "How much of it is left"),
    )), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.accounts.begin_password_reset", skip_all)]
pub(crate) async fn begin(
    State(api): State<Api>,
    address: ClientAddress,
    Body(body): Body<BeginRequest>,
) -> Result<Response, Problem> {
    let service = api.services.accounts.clone();
    if !service.settings.mails_are_sent {
        return Err(Problem::new(Code::MailNotAvailable));
    }
    let fields = match &api.limits.accounts {
        Some(limit) => limit.take_of_address(address.or_unspecified()).await?,
        None => HeaderMap::new(),
    };
    let outcome = match LoginId::new(&body.login_id) {
        Ok(login_id) => api.start_detached(async move { service.begin_password_reset(login_id).await }),
        // It is that of no account.
        Err(_) => Ok(()),
    };
    Ok(Counted { outcome, fields }.respond(|()| StatusCode::ACCEPTED))
}

refusals!(RefusalsOfCompleting: [ALWAYS, BODY], [PasswordResetInvalid, RateLimited]);

/// Choose another password with the token of a mail
///
/// Once. All sessions of the account end, its other tokens become void, and a second factor stays.
#[utoipa::path(
    post, path = "/v1/password-resets/{token}", tag = "accounts", operation_id = "accounts_complete_password_reset",
    params(("token" = String, Path, description = "The token of the mail")), request_body = CompleteRequest,
    responses((status = 204, description = "The account has the new password.", headers(
        ("RateLimit-Policy", description = "The limit of this address"),
        ("RateLimit", description = "How much of it is left"),
    )), RefusalsOfCompleting),
)]
#[tracing::instrument(level = "debug", name = "http.accounts.complete_password_reset", skip_all)]
pub(crate) async fn complete(
    State(api): State<Api>,
    address: ClientAddress,
    sender: Unknown,
    token: Result<Path<String>, PathRejection>,
    Body(body): Body<CompleteRequest>,
) -> Result<Response, Problem> {
    let Path(token) = token.map_err(|_| Problem::new(Code::PasswordResetInvalid))?;
    let password = parsed(|fields| new_password(fields, "/password", &body.password))?;
    let service = api.services.accounts.clone();
    let act = async move {
        let account_id = service.complete_password_reset(&token, password).await?;
        sender.note(|sender| sender.set_account(account_id));
        Ok::<_, PasswordResetError>(())
    };
    Ok(api.run_hashing(address, act).await?.respond(|()| StatusCode::NO_CONTENT))
}
