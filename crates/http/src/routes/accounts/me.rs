use axum::{Json, extract::State};

use super::AccountResponse;
use crate::{
    api::Api,
    reply::{Code, Problem, refusals},
    request::SignedIn,
};

refusals!([SIGNED_IN], []);

/// The signed-in account
#[utoipa::path(
    get, path = "/v1/me", tag = "accounts", operation_id = "accounts_me", security(("bearer" = [])),
    responses((status = 200, description = "The account.", body = AccountResponse), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.accounts.me", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
) -> Result<Json<AccountResponse>, Problem> {
    let account = api.services.accounts.me(identity).await?;
    let account = account.ok_or_else(|| Problem::invalid_access_token(Code::Unauthenticated))?;
    Ok(Json(account.into()))
}
