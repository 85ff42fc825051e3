use axum::{extract::State, http::StatusCode, response::Response};
use boxoffice_application::accounts::EraseError;
use boxoffice_domain::accounts::PASSWORD_CHARACTERS_MAX;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    api::Api,
    reply::{Problem, problem_from, refusals},
    request::{Body, ClientAddress, SignedIn},
    routes::{CHARACTER_BYTES_MAX, FIELDS_BYTES_MAX},
};

/// Room for the longest password.
pub(crate) const BODY_BYTES_MAX: usize = PASSWORD_CHARACTERS_MAX * CHARACTER_BYTES_MAX + FIELDS_BYTES_MAX;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Erasure)]
pub(crate) struct EraseRequest {
    #[schema(format = Password, example = "correct horse battery staple")]
    password: String,
}

problem_from!(EraseError: [InUse => AccountInUse], [Confirmed, Storage]);
refusals!([SIGNED_IN, BODY], [InvalidCredentials, AccountInUse, RateLimited]);

/// Erase the account
///
/// Refused while it has points, charges in progress, seats that it can still pay, or tickets of performances to come.
/// Otherwise its login id and name are replaced, its password and sessions are removed, and what it paid, charged and
/// reserved is kept under its bare id. This cannot be undone.
#[utoipa::path(
    delete, path = "/v1/me", tag = "accounts", operation_id = "accounts_erase",
    security(("bearer" = [])), request_body = EraseRequest,
    responses((status = 204, description = "The account is erased.", headers(
        ("RateLimit-Policy", description = "The limit of this address"),
        ("RateLimit", description = "How much of it is left"),
    )), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.accounts.erase", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    address: ClientAddress,
    Body(body): Body<EraseRequest>,
) -> Result<Response, Problem> {
    let service = api.services.accounts.clone();
    let act = async move { service.erase(identity, &body.password).await };
    Ok(api.run_hashing(address, act).await?.respond(|()| StatusCode::NO_CONTENT))
}
