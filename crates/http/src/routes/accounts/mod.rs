//! `/v1/accounts`, `/v1/sessions`, `/v1/me` and `/v1/password-resets`.

pub(crate) mod change_password;
pub(crate) mod email;
pub(crate) mod end_sessions;
pub(crate) mod erase;
pub(crate) mod export;
pub(crate) mod list_sessions;
pub(crate) mod me;
pub(crate) mod password_reset;
pub(crate) mod refresh;
pub(crate) mod second_factor;
pub(crate) mod sign_in;
pub(crate) mod sign_out;
pub(crate) mod sign_up;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use boxoffice_application::accounts::{ConfirmedError, SessionTokens};
use boxoffice_domain::accounts::{Account, GuessablePassword, InvalidPassword, Password, Role};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    reply::{Code, Problem, mirror},
    request::{Browser, validation::Fields, wrong_too_often},
};

impl From<ConfirmedError> for Problem {
    fn from(error: ConfirmedError) -> Self {
        match error {
            ConfirmedError::InvalidCredentials => Self::new(Code::InvalidCredentials),
            ConfirmedError::TooManyPasswords { seconds_left } => too_many_passwords(seconds_left),
            ConfirmedError::Hashing(error) => error.into(),
            ConfirmedError::Storage(error) => error.into(),
        }
    }
}

/// The problem of somebody who tried too many passwords.
fn too_many_passwords(seconds_left: u64) -> Problem {
    wrong_too_often("passwords", seconds_left, "Too many passwords were wrong.")
}

/// What is wrong with a password that is guessed first.
fn guessable(pointer: &str, why: GuessablePassword) -> Problem {
    Problem::violation(pointer, guessable_code(why), why.to_string())
}

fn guessable_code(why: GuessablePassword) -> &'static str {
    match why {
        GuessablePassword::Common => "password_common",
        GuessablePassword::LoginId => "password_is_login_id",
        GuessablePassword::Name => "password_is_name",
    }
}

#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Role)]
enum RoleResponse {
    Customer,
    Promoter,
    Admin,
}

mirror!(Role => RoleResponse: Customer, Promoter, Admin);

#[derive(Serialize, ToSchema)]
#[schema(as = Account)]
pub(crate) struct AccountResponse {
    id: Uuid,
    login_id: String,
    name: String,
    role: RoleResponse,
    created_at: DateTime<Utc>,
}

impl From<Account> for AccountResponse {
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
pub(crate) struct SessionResponse {
    /// Goes into `Authorization: Bearer …`.
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// How long the access token is valid, in seconds.
    #[schema(example = 900)]
    expires_in: u32,
    /// Single use: exchanges for the next pair of tokens. Absent if it is in a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refresh_token: Option<String>,
}

impl SessionResponse {
    /// The tokens, with the refresh token in a cookie of this browser, which it keeps for so many seconds; `None` lets the
    /// client see it.
    fn of(tokens: SessionTokens, kept_by: Option<(&Browser, u32)>) -> Response {
        let cookie = kept_by.map(|(browser, seconds)| browser.keeps(&tokens.refresh_token, seconds));
        let session = Self {
            access_token: tokens.access_token,
            token_type: "Bearer",
            expires_in: tokens.expires_in_seconds,
            refresh_token: cookie.is_none().then_some(tokens.refresh_token),
        };
        match cookie {
            Some(cookie) => (cookie, Json(session)).into_response(),
            None => Json(session).into_response(),
        }
    }
}

/// A password that an account is to get.
fn new_password(fields: &mut Fields, pointer: &str, text: &str) -> Option<Password> {
    let password = Password::new(text);
    let broken = match &password {
        Err(InvalidPassword::Character(_)) => "password_character",
        Err(InvalidPassword::Length) | Ok(_) => "password_length",
    };
    fields.check(pointer, broken, password)
}
