use axum::{Json, extract::State, http::StatusCode, response::Response};
use boxoffice_application::accounts::{NewFactor, SecondFactorError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::erase;
use crate::{
    api::Api,
    reply::{Code, Problem, Violation, refusals},
    request::{Body, ClientAddress, SettingUp, wrong_too_often},
};

/// Room for the longest password.
pub(crate) const BODY_BYTES_MAX: usize = erase::BODY_BYTES_MAX;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Confirmed)]
pub(crate) struct PasswordRequest {
    #[schema(format = Password, example = "correct horse battery staple")]
    pub(super) password: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SecondFactorCode)]
pub(crate) struct CodeRequest {
    /// What the device shows.
    #[schema(example = "123456")]
    pub(super) code: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = NewSecondFactor)]
pub(crate) struct NewFactorResponse {
    /// The key for the device, in Base32.
    #[schema(example = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")]
    secret: String,
    /// The same as a URL, to show as a QR code.
    #[schema(example = "otpauth://totp/boxoffice:promoter?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=boxoffice")]
    url: String,
}

impl From<NewFactor> for NewFactorResponse {
    fn from(NewFactor { secret, url }: NewFactor) -> Self {
        Self { secret, url }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = RecoveryCodes)]
pub(crate) struct RecoveryCodesResponse {
    /// Each signs in once in place of a code of the device. They are not shown again.
    recovery_codes: Vec<String>,
}

impl From<SecondFactorError> for Problem {
    fn from(error: SecondFactorError) -> Self {
        match error {
            SecondFactorError::NotStaff => Self::new(Code::Forbidden),
            SecondFactorError::Exists => Self::new(Code::SecondFactorExists),
            SecondFactorError::Missing => Self::new(Code::SecondFactorNotFound),
            SecondFactorError::WrongCode => Self::violations(vec![Violation {
                pointer: "/code".to_owned(),
                code: "wrong_code".into(),
                message: "is not a code that the device shows now".into(),
            }]),
            SecondFactorError::TooManyCodes { seconds_left } => too_many_codes(seconds_left),
            SecondFactorError::Confirmed(error) => error.into(),
            SecondFactorError::Storage(error) => error.into(),
        }
    }
}

/// The problem of somebody who tried too many codes.
pub(super) fn too_many_codes(seconds_left: u64) -> Problem {
    wrong_too_often("codes", seconds_left, "Too many codes were wrong.")
}

refusals!(
    [BODY],
    [Unauthenticated, AccessTokenExpired, InvalidCredentials, Forbidden, SecondFactorExists, RateLimited]
);

/// Begin a second factor
///
/// For promoters and admins. It has to be confirmed with a code; before, signing in does not ask for it.
#[utoipa::path(
    post, path = "/v1/me/totp", tag = "accounts", operation_id = "accounts_begin_second_factor",
    security(("bearer" = [])), request_body = PasswordRequest,
    responses((status = 200, description = "The key for the device.", body = NewFactorResponse, headers(
        ("RateLimit-Policy", description = "The limit of this address"),
        ("RateLimit", description = "How much of it is left"),
    )), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.accounts.begin_second_factor", skip_all)]
pub(crate) async fn begin(
    State(api): State<Api>,
    SettingUp(identity): SettingUp,
    address: ClientAddress,
    Body(body): Body<PasswordRequest>,
) -> Result<Response, Problem> {
    let service = api.services.accounts.clone();
    let act = async move { service.begin_second_factor(identity, &body.password).await };
    Ok(api.run_hashing(address, act).await?.respond(|factor| Json(NewFactorResponse::from(factor))))
}

refusals!(RefusalsOfConfirming: [ALWAYS, BODY], [Unauthenticated, AccessTokenExpired, SecondFactorNotFound, RateLimited]);

/// Confirm a second factor
///
/// From now on signing in asks for a code. All other sessions of the account end, and that of the request has to be refreshed.
#[utoipa::path(
    post, path = "/v1/me/totp/confirm", tag = "accounts", operation_id = "accounts_confirm_second_factor",
    security(("bearer" = [])), request_body = CodeRequest,
    responses((status = 200, description = "The recovery codes.", body = RecoveryCodesResponse, headers(
        ("RateLimit-Policy", description = "The limit of this address"),
        ("RateLimit", description = "How much of it is left"),
    )), RefusalsOfConfirming),
)]
#[tracing::instrument(level = "debug", name = "http.accounts.confirm_second_factor", skip_all)]
pub(crate) async fn confirm(
    State(api): State<Api>,
    SettingUp(identity): SettingUp,
    address: ClientAddress,
    Body(body): Body<CodeRequest>,
) -> Result<Response, Problem> {
    let service = api.services.accounts.clone();
    let act = async move { service.confirm_second_factor(identity, &body.code).await };
    let confirmed = api.run_hashing(address, act).await?;
    Ok(confirmed.respond(|recovery_codes| Json(RecoveryCodesResponse { recovery_codes })))
}

refusals!(RefusalsOfRemoving: [ALWAYS, BODY], [Unauthenticated, AccessTokenExpired, InvalidCredentials, SecondFactorNotFound, RateLimited]);

/// Remove the second factor
#[utoipa::path(
    delete, path = "/v1/me/totp", tag = "accounts", operation_id = "accounts_remove_second_factor",
    security(("bearer" = [])), request_body = PasswordRequest,
    responses((status = 204, description = "Signing in does not ask for it any more.", headers(
        ("RateLimit-Policy", description = "The limit of this address"),
        ("RateLimit", description = "How much of it is left"),
    )), RefusalsOfRemoving),
)]
#[tracing::instrument(level = "debug", name = "http.accounts.remove_second_factor", skip_all)]
pub(crate) async fn remove(
    State(api): State<Api>,
    SettingUp(identity): SettingUp,
    address: ClientAddress,
    Body(body): Body<PasswordRequest>,
) -> Result<Response, Problem> {
    let service = api.services.accounts.clone();
    let act = async move { service.remove_second_factor(identity, &body.password).await };
    Ok(api.run_hashing(address, act).await?.respond(|()| StatusCode::NO_CONTENT))
}
