use axum::{Json, extract::State};
use boxoffice_application::Identity;
use boxoffice_domain::{
    accounts::{Account, AccountEmail},
    mail::MailLanguage,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{AccountResponse, RoleResponse};
use crate::{
    api::Api,
    reply::{Code, Problem, mirror, refusals},
    request::{Body, SignedIn, validation::parsed},
};

/// The language of mail.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[schema(as = MailLanguage)]
pub(super) enum Language {
    #[serde(rename = "en")]
    English,
    #[serde(rename = "ko")]
    Korean,
}

mirror!(MailLanguage => Language: English, Korean);

/// The account of the caller.
#[derive(Serialize, ToSchema)]
#[schema(as = OwnAccount)]
pub(crate) struct OwnAccountResponse {
    id: Uuid,
    login_id: String,
    name: String,
    role: RoleResponse,
    created_at: DateTime<Utc>,
    /// The verified e-mail address; `null` if there is none.
    #[schema(required, example = "haneul@example.org")]
    email: Option<String>,
    /// The address that was sent a code which is still good; `null` if there is none.
    #[schema(required, example = json!(null))]
    email_pending: Option<String>,
    /// The language of mail to the account.
    language: Language,
}

impl From<(Account, AccountEmail)> for OwnAccountResponse {
    fn from((account, email): (Account, AccountEmail)) -> Self {
        let AccountResponse { id, login_id, name, role, created_at } = account.into();
        Self {
            id,
            login_id,
            name,
            role,
            created_at,
            email: email.address.map(String::from),
            email_pending: email.pending.map(|(address, _)| address.into()),
            language: email.language.unwrap_or_default().into(),
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccountChange)]
pub(crate) struct ChangeMeRequest {
    #[schema(value_type = Language)]
    language: String,
}

refusals!([SIGNED_IN], []);

/// The signed-in account
#[utoipa::path(
    get, path = "/v1/me", tag = "accounts", operation_id = "accounts_me", security(("bearer" = [])),
    responses((status = 200, description = "The account.", body = OwnAccountResponse), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.accounts.me", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
) -> Result<Json<OwnAccountResponse>, Problem> {
    own_account(&api, identity).await
}

refusals!(RefusalsOfChanging: [ALWAYS, SIGNED_IN, BODY], []);

/// Choose the language of mail
#[utoipa::path(
    patch, path = "/v1/me", tag = "accounts", operation_id = "accounts_change", security(("bearer" = [])),
    request_body = ChangeMeRequest,
    responses((status = 200, description = "The account.", body = OwnAccountResponse), RefusalsOfChanging),
)]
#[tracing::instrument(level = "debug", name = "http.accounts.change", skip_all)]
pub(crate) async fn change(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    Body(body): Body<ChangeMeRequest>,
) -> Result<Json<OwnAccountResponse>, Problem> {
    let language: MailLanguage = parsed(|fields| fields.check("/language", "language_unknown", body.language.parse()))?;
    let service = api.services.accounts.clone();
    api.run_detached(async move { service.set_language(identity, language).await }).await??;
    own_account(&api, identity).await
}

async fn own_account(api: &Api, identity: Identity) -> Result<Json<OwnAccountResponse>, Problem> {
    let account = api.services.accounts.me(identity).await?;
    let account = account.ok_or_else(|| Problem::invalid_access_token(Code::Unauthenticated))?;
    let email = api.services.accounts.own_email(identity).await?;
    Ok(Json((account, email).into()))
}
