use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use boxoffice_application::accounts::{EmailError, VerifyEmailError};
use boxoffice_domain::mail::{EMAIL_ADDRESS_BYTES_MAX, EmailAddress};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    erase,
    second_factor::{CodeRequest, PasswordRequest, too_many_codes},
};
use crate::{
    api::Api,
    reply::{Code, Problem, refusals},
    request::{Body, ClientAddress, SignedIn, validation::parsed, wrong_too_often},
    routes::CHARACTER_BYTES_MAX,
};

/// Room for the longest address and password.
pub(crate) const BODY_BYTES_MAX: usize = EMAIL_ADDRESS_BYTES_MAX * CHARACTER_BYTES_MAX + erase::BODY_BYTES_MAX;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewEmail)]
pub(crate) struct NewEmailRequest {
    /// An address of plain characters.
    #[schema(
        max_length = 254,
        pattern = r"^(?=[^@]{1,64}@)[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+(?![0-9]+$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$",
        example = "haneul@example.org"
    )]
    email: String,
    #[schema(format = Password, example = "correct horse battery staple")]
    password: String,
}

impl From<EmailError> for Problem {
    fn from(error: EmailError) -> Self {
        match error {
            EmailError::MailNotAvailable => Self::new(Code::MailNotAvailable),
            EmailError::TooManyMails { seconds_left } => {
                wrong_too_often("mails", seconds_left, "Too many mails were asked for.")
            }
            EmailError::Confirmed(error) => error.into(),
            EmailError::Storage(error) => error.into(),
        }
    }
}

impl From<VerifyEmailError> for Problem {
    fn from(error: VerifyEmailError) -> Self {
        match error {
            VerifyEmailError::WrongCode => {
                Self::violation("/code", "wrong_code", "is not the code of the last mail, or has expired")
            }
            VerifyEmailError::TooManyCodes { seconds_left } => too_many_codes(seconds_left),
            VerifyEmailError::Storage(error) => error.into(),
        }
    }
}

refusals!([SIGNED_IN, BODY], [InvalidCredentials, MailNotAvailable, RateLimited]);

/// Give the account an e-mail address
///
/// A code is sent to the address, which is good for 15 minutes. The former address stays until then. The response is the
/// same whether other accounts have the address or not. An account gets 5 codes an hour, and so does an address: more are
/// not sent, which the response does not say.
#[utoipa::path(
    post, path = "/v1/me/email", tag = "accounts", operation_id = "accounts_begin_email",
    security(("bearer" = [])), request_body = NewEmailRequest,
    responses((status = 202, description = "A code is on its way.", headers(
        ("RateLimit-Policy", description = "The limit of this address"),
        ("RateLimit", description = "How much of it is left"),
    )), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.accounts.begin_email", skip_all)]
pub(crate) async fn begin(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    address: ClientAddress,
    Body(body): Body<NewEmailRequest>,
) -> Result<Response, Problem> {
    let email = parsed(|fields| fields.check("/email", "email", EmailAddress::new(&body.email)))?;
    let service = api.services.accounts.clone();
    let act = async move { service.begin_email(identity, &body.password, email).await };
    Ok(api.run_hashing(address, act).await?.respond(|()| StatusCode::ACCEPTED))
}

refusals!(RefusalsOfVerifying: [ALWAYS, SIGNED_IN, BODY], []);

/// Verify an e-mail address
///
/// With the code of the last mail. 5 codes may be tried an hour, and another mail gives no further attempts.
#[utoipa::path(
    post, path = "/v1/me/email/verify", tag = "accounts", operation_id = "accounts_verify_email",
    security(("bearer" = [])), request_body = CodeRequest,
    responses((status = 204, description = "The account has the address."), RefusalsOfVerifying),
)]
#[tracing::instrument(level = "debug", name = "http.accounts.verify_email", skip_all)]
pub(crate) async fn verify(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    Body(body): Body<CodeRequest>,
) -> Result<Response, Problem> {
    let service = api.services.accounts.clone();
    api.run_detached(async move { service.verify_email(identity, &body.code).await }).await??;
    Ok(StatusCode::NO_CONTENT.into_response())
}

refusals!(RefusalsOfRemoving: [ALWAYS, SIGNED_IN, BODY], [InvalidCredentials, RateLimited]);

/// Remove the e-mail address
///
/// Nor can a password be reset by a mail that was sent before.
#[utoipa::path(
    delete, path = "/v1/me/email", tag = "accounts", operation_id = "accounts_remove_email",
    security(("bearer" = [])), request_body = PasswordRequest,
    responses((status = 204, description = "The account has no address.", headers(
        ("RateLimit-Policy", description = "The limit of this address"),
        ("RateLimit", description = "How much of it is left"),
    )), RefusalsOfRemoving),
)]
#[tracing::instrument(level = "debug", name = "http.accounts.remove_email", skip_all)]
pub(crate) async fn remove(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    address: ClientAddress,
    Body(body): Body<PasswordRequest>,
) -> Result<Response, Problem> {
    let service = api.services.accounts.clone();
    let act = async move { service.remove_email(identity, &body.password).await };
    Ok(api.run_hashing(address, act).await?.respond(|()| StatusCode::NO_CONTENT))
}
