//! `/v1/accounts`, `/v1/sessions` and `/v1/me`.

use std::sync::Arc;

use axum::{
    Json as Answer,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use boxoffice_application::{
    accounts::{RefreshError, SessionTokens, SignInError, SignUp, SignUpError},
    fingerprint,
};
use boxoffice_domain::{
    accounts::{Account, LoginId, Password, Role},
    text::Name,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;
use validator::Validate;

use crate::{
    api::Api,
    auth::SignedIn,
    extract::{Json, parsed},
    idempotency::{OptionalKey, made},
    problem::{Code, Problem, refusals},
    validation,
};

/// Routes that cost a password's hash or guess at a secret.
pub(crate) fn limited_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(sign_up)).routes(routes!(sign_in)).routes(routes!(refresh))
}

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(sign_out)).routes(routes!(me))
}

#[derive(Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
struct NewAccount {
    /// What to sign in with: 3 to 64 of `a-z 0-9 . _ - @ +`, starting with a letter or digit.
    #[validate(custom(function = validation::login_id))]
    #[schema(min_length = 3, max_length = 64, pattern = "^[a-z0-9][a-z0-9._@+-]*$", example = "haneul")]
    login_id: String,
    #[validate(custom(function = validation::password))]
    #[schema(min_length = 8, max_length = 128, format = Password, example = "correct horse battery staple")]
    password: String,
    /// What the person is called.
    #[validate(custom(function = validation::name))]
    #[schema(min_length = 1, max_length = 255, example = "Haneul Kim")]
    name: String,
}

impl NewAccount {
    fn parse(&self) -> Result<SignUp, Problem> {
        Ok(SignUp {
            login_id: parsed("/login_id", "login_id", LoginId::new(&self.login_id))?,
            password: parsed("/password", "password_length", Password::new(&self.password))?,
            name: parsed("/name", "text", Name::new(&self.name))?,
        })
    }
}

#[derive(Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
struct SignIn {
    #[schema(example = "haneul")]
    login_id: String,
    #[schema(format = Password, example = "correct horse battery staple")]
    password: String,
}

#[derive(Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
struct Refresh {
    /// The refresh token of the last answer. It is spent by this; presenting it again ends the session.
    refresh_token: String,
}

#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Role)]
enum RoleAnswer {
    Customer,
    Promoter,
    Admin,
}

impl From<Role> for RoleAnswer {
    fn from(role: Role) -> Self {
        match role {
            Role::Customer => Self::Customer,
            Role::Promoter => Self::Promoter,
            Role::Admin => Self::Admin,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Account)]
struct AccountAnswer {
    id: Uuid,
    login_id: String,
    name: String,
    role: RoleAnswer,
    created_at: DateTime<Utc>,
}

impl From<Account> for AccountAnswer {
    fn from(account: Account) -> Self {
        Self {
            id: account.id.uuid(),
            login_id: account.login_id.into(),
            name: account.name.into(),
            role: account.role.into(),
            created_at: account.created_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
struct SessionAnswer {
    /// Goes into `Authorization: Bearer …`.
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// How long the access token is good, in seconds.
    #[schema(example = 900)]
    expires_in: u32,
    /// Good once, for the next pair of tokens.
    refresh_token: String,
}

impl From<SessionTokens> for SessionAnswer {
    fn from(tokens: SessionTokens) -> Self {
        Self {
            access_token: tokens.access_token,
            token_type: "Bearer",
            expires_in: tokens.expires_in_seconds,
            refresh_token: tokens.refresh_token,
        }
    }
}

impl From<SignUpError> for Problem {
    fn from(error: SignUpError) -> Self {
        match error {
            SignUpError::LoginIdTaken => Self::new(Code::LoginIdTaken),
            SignUpError::KeyReused(error) => error.into(),
            SignUpError::Hashing(error) => error.into(),
            SignUpError::Storage(error) => error.into(),
        }
    }
}

impl From<SignInError> for Problem {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::InvalidCredentials => Self::new(Code::InvalidCredentials),
            SignInError::Hashing(error) => error.into(),
            SignInError::Storage(error) => error.into(),
        }
    }
}

impl From<RefreshError> for Problem {
    fn from(error: RefreshError) -> Self {
        match error {
            RefreshError::Invalid => Self::new(Code::Unauthenticated).detail("The refresh token is not valid."),
            RefreshError::Storage(error) => error.into(),
        }
    }
}

refusals!(SignUpProblems: [BODY], [LoginIdTaken, IdempotencyKeyReused, RateLimited]);
refusals!(SignInProblems: [BODY], [InvalidCredentials, RateLimited]);
refusals!(RefreshProblems: [BODY], [Unauthenticated, RateLimited]);
refusals!(SignOutProblems: [SIGNED_IN], []);
refusals!(MeProblems: [SIGNED_IN], []);

/// Sign up
#[utoipa::path(
    post, path = "/v1/accounts", tag = "accounts", request_body = NewAccount,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "Names this request, so that it may be repeated"),
    ),
    responses(
        (status = 201, description = "The account.", body = AccountAnswer, headers(
            ("Location", description = "Where the account is"),
            ("Idempotency-Replayed", description = "`true` where an earlier request made it"),
            ("RateLimit-Policy", description = "The limit of this address"),
            ("RateLimit", description = "How much of it is left"),
        )),
        SignUpProblems,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.accounts.sign_up", skip_all)]
async fn sign_up(State(api): State<Api>, key: OptionalKey, Json(body): Json<NewAccount>) -> Result<Response, Problem> {
    let asked = body.parse()?;
    let service = Arc::clone(&api.services.accounts);
    let idempotency = key.naming(|| fingerprint::sign_up(&asked));
    let account = api.act(async move { service.sign_up(asked, Role::Customer, idempotency).await }).await??;
    Ok(made(account, StatusCode::CREATED, Some("/v1/me"), AccountAnswer::from))
}

/// Sign in
#[utoipa::path(
    post, path = "/v1/sessions", tag = "accounts", request_body = SignIn,
    responses(
        (status = 201, description = "The tokens of the session.", body = SessionAnswer, headers(
            ("RateLimit-Policy", description = "The limit of this address"),
            ("RateLimit", description = "How much of it is left"),
        )),
        SignInProblems,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.accounts.sign_in", skip_all)]
async fn sign_in(State(api): State<Api>, Json(body): Json<SignIn>) -> Result<Response, Problem> {
    let service = Arc::clone(&api.services.accounts);
    let tokens = api.act(async move { service.sign_in(&body.login_id, &body.password).await }).await??;
    Ok((StatusCode::CREATED, Answer(SessionAnswer::from(tokens))).into_response())
}

/// Exchange a refresh token for new tokens
#[utoipa::path(
    post, path = "/v1/sessions/refresh", tag = "accounts", request_body = Refresh,
    responses(
        (status = 200, description = "The next tokens of the session.", body = SessionAnswer, headers(
            ("RateLimit-Policy", description = "The limit of this address"),
            ("RateLimit", description = "How much of it is left"),
        )),
        RefreshProblems,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.accounts.refresh", skip_all)]
async fn refresh(State(api): State<Api>, Json(body): Json<Refresh>) -> Result<Answer<SessionAnswer>, Problem> {
    let service = Arc::clone(&api.services.accounts);
    let tokens = api.act(async move { service.refresh(&body.refresh_token).await }).await??;
    Ok(Answer(tokens.into()))
}

/// Sign out
#[utoipa::path(
    delete, path = "/v1/sessions/current", tag = "accounts", security(("bearer" = [])),
    responses((status = 204, description = "The session has ended."), SignOutProblems),
)]
#[tracing::instrument(level = "debug", name = "http.accounts.sign_out", skip_all)]
async fn sign_out(State(api): State<Api>, SignedIn(identity): SignedIn) -> Result<StatusCode, Problem> {
    let service = Arc::clone(&api.services.accounts);
    api.act(async move { service.sign_out(identity).await }).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// The signed-in account
#[utoipa::path(
    get, path = "/v1/me", tag = "accounts", security(("bearer" = [])),
    responses((status = 200, description = "The account.", body = AccountAnswer), MeProblems),
)]
#[tracing::instrument(level = "debug", name = "http.accounts.me", skip_all)]
async fn me(State(api): State<Api>, SignedIn(identity): SignedIn) -> Result<Answer<AccountAnswer>, Problem> {
    let account = api.services.accounts.me(identity).await?;
    let account = account.ok_or_else(|| Problem::invalid_access_token(Code::Unauthenticated))?;
    Ok(Answer(account.into()))
}
