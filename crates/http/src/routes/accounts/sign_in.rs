use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header::USER_AGENT},
    response::Response,
};
use boxoffice_application::accounts::{SignIn, SignInError};
use boxoffice_domain::accounts::{ClientName, LOGIN_ID_CHARACTERS_MAX, PASSWORD_CHARACTERS_MAX, Password};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{SessionResponse, second_factor, too_many_passwords};
use crate::{
    api::Api,
    audit::Unknown,
    reply::{Code, Problem, refusals},
    request::{Body, Browser, ClientAddress},
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
    /// A code of the second factor, if the account has one: what the device shows, or a recovery code.
    #[serde(default)]
    #[schema(example = "123456")]
    code: Option<String>,
    /// Whether a browser keeps the refresh token in a cookie, where no script can read it.
    #[serde(default)]
    cookie: bool,
}

impl From<SignInError> for Problem {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::InvalidCredentials => Self::new(Code::InvalidCredentials),
            SignInError::TooManyPasswords { seconds_left } => too_many_passwords(seconds_left),
            SignInError::SecondFactorRequired => Self::new(Code::SecondFactorRequired),
            SignInError::TooManyCodes { seconds_left } => second_factor::too_many_codes(seconds_left),
            SignInError::Hashing(error) => error.into(),
            SignInError::Storage(error) => error.into(),
        }
    }
}

refusals!([BODY], [InvalidCredentials, SecondFactorRequired, RateLimited]);

/// Sign in
#[utoipa::path(
    post, path = "/v1/sessions", tag = "accounts", operation_id = "accounts_sign_in", request_body = SignInRequest,
    responses(
        (status = 201, description = "The tokens of the session.", body = SessionResponse, headers(
            ("RateLimit-Policy", description = "The limit of this address"),
            ("RateLimit", description = "How much of it is left"),
            ("Set-Cookie", description = "The refresh token, with `cookie`"),
        )),
        Refusals,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.accounts.sign_in", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    address: ClientAddress,
    sender: Unknown,
    browser: Browser,
    headers: HeaderMap,
    Body(body): Body<SignInRequest>,
) -> Result<Response, Problem> {
    if Password::new(&body.password).is_err() {
        // It is the password of nobody, so nothing is hashed.
        return Err(SignInError::InvalidCredentials.into());
    }
    let service = api.services.accounts.clone();
    let kept_by = body.cookie.then_some((browser, service.settings.refresh_seconds));
    let client = headers.get(USER_AGENT).and_then(|field| ClientName::new(&String::from_utf8_lossy(field.as_bytes())));
    let network = address.network();
    let act = async move {
        let SignInRequest { login_id, password, code, cookie: _ } = &body;
        let sign_in = SignIn { login_id, password, code: code.as_deref(), client, network };
        let signed_in = service.sign_in(sign_in).await;
        sender.note(|sender| match &signed_in {
            Ok(tokens) => {
                sender.set_account(tokens.account_id);
                sender.set_session(tokens.session_id);
            }
            Err(refused) => refused.account_id.into_iter().for_each(|id| sender.set_account(id)),
        });
        signed_in.map_err(|refused| refused.error)
    };
    let signed_in = api.run_hashing(address, act).await?;
    let kept_by = kept_by.as_ref().map(|(browser, seconds)| (browser, *seconds));
    Ok(signed_in.respond(|tokens| (StatusCode::CREATED, SessionResponse::of(tokens, kept_by))))
}
