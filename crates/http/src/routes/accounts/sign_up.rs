use axum::{extract::State, http::StatusCode, response::Response};
use boxoffice_application::{
    accounts::{SignUp, SignUpError},
    fingerprint,
};
use boxoffice_domain::{
    accounts::{LoginId, Role},
    text::{NAME_CHARACTERS_MAX, Name},
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{AccountResponse, guessable, guessable_code, new_password, sign_in, too_many_passwords};
use crate::{
    api::Api,
    audit::Unknown,
    reply::{Code, Problem, made, refusals},
    request::{Body, ClientAddress, OptionalKey, validation::parsed},
    routes::CHARACTER_BYTES_MAX,
};

/// Room for the longest login id, password and name.
pub(crate) const BODY_BYTES_MAX: usize = NAME_CHARACTERS_MAX * CHARACTER_BYTES_MAX + sign_in::BODY_BYTES_MAX;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewAccount)]
pub(crate) struct SignUpRequest {
    /// What to sign in with: 3 to 64 of `a-z 0-9 . _ - @ +`, starting with a letter or digit. Capitals become small.
    #[schema(min_length = 3, max_length = 64, pattern = "^[a-zA-Z0-9][a-zA-Z0-9._@+-]*$", example = "haneul")]
    login_id: String,
    /// The same in every Unicode normalization form.
    #[schema(min_length = 8, max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$", format = Password, example = "correct horse battery staple")]
    password: String,
    /// What the person is called.
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = r"^[\t-\r \x85]*[^\x00-\x1f\x7f-\x9f]+[\t-\r \x85]*$",
        example = "Haneul Kim"
    )]
    name: String,
}

impl SignUpRequest {
    fn parse(&self) -> Result<SignUp, Problem> {
        parsed(|fields| {
            let login_id = fields.check("/login_id", "login_id", LoginId::new(&self.login_id));
            let name = fields.text("/name", Name::new(&self.name));
            let password = new_password(fields, "/password", &self.password);
            let sign_up = SignUp { login_id: login_id?, password: password?, name: name? };
            let checked = sign_up.check();
            fields.check("/password", checked.err().map_or("", guessable_code), checked)?;
            Some(sign_up)
        })
    }
}

impl From<SignUpError> for Problem {
    fn from(error: SignUpError) -> Self {
        match error {
            SignUpError::LoginIdTaken => Self::new(Code::LoginIdTaken),
            SignUpError::Guessable(why) => guessable("/password", why),
            SignUpError::TooManyPasswords { seconds_left } => too_many_passwords(seconds_left),
            SignUpError::KeyReused(error) => error.into(),
            SignUpError::Hashing(error) => error.into(),
            SignUpError::Storage(error) => error.into(),
        }
    }
}

refusals!([BODY], [LoginIdTaken, IdempotencyKeyReused, RateLimited]);

/// Sign up
#[utoipa::path(
    post, path = "/v1/accounts", tag = "accounts", operation_id = "accounts_sign_up",
    params(OptionalKey), request_body = SignUpRequest,
    responses(
        (status = 201, description = "The account.", body = AccountResponse, headers(
            ("Location", description = "Where the account is"),
            ("Idempotency-Replayed", description = "`true` if an earlier request made it"),
            ("RateLimit-Policy", description = "The limit of this address"),
            ("RateLimit", description = "How much of it is left"),
        )),
        Refusals,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.accounts.sign_up", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    client: ClientAddress,
    sender: Unknown,
    key: OptionalKey,
    Body(body): Body<SignUpRequest>,
) -> Result<Response, Problem> {
    let sign_up = body.parse()?;
    let idempotency = key.naming(|| fingerprint::sign_up(&sign_up));
    let service = api.services.accounts.clone();
    let act = async move {
        let signed_up = service.sign_up(sign_up, Role::Customer, idempotency).await?;
        sender.note(|sender| sender.set_account(signed_up.value.id));
        Ok::<_, SignUpError>(signed_up)
    };
    let signed_up = api.run_hashing(client, act).await?;
    Ok(signed_up.respond(|account| made(account, StatusCode::CREATED, Some("/v1/me"), AccountResponse::from)))
}
