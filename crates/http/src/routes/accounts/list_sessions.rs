use axum::{Json, extract::State};
use boxoffice_domain::{accounts::Session, page::Page};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    api::Api,
    reply::{ListResponse, Problem, refusals},
    request::SignedIn,
};

#[derive(Serialize, ToSchema)]
#[schema(as = SessionOfAccount)]
pub(crate) struct OwnSessionResponse {
    id: Uuid,
    /// When the account signed in.
    created_at: DateTime<Utc>,
    /// When the session was opened or refreshed last.
    last_used_at: DateTime<Utc>,
    /// What the client called itself that signed in (`User-Agent`); `null` if it did not.
    #[schema(
        required,
        max_length = 200,
        example = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    )]
    client: Option<String>,
    /// Whether it is the session of this request.
    current: bool,
}

impl From<(Session, bool)> for OwnSessionResponse {
    fn from((session, current): (Session, bool)) -> Self {
        Self {
            id: session.id.uuid(),
            created_at: session.created_at,
            last_used_at: session.last_used_at,
            client: session.client.map(|client| client.as_str().to_owned()),
            current,
        }
    }
}

refusals!([SIGNED_IN], []);

/// List the sessions of the account
///
/// Those that go on, the one used last first. They are few, so they are one page.
#[utoipa::path(
    get, path = "/v1/me/sessions", tag = "accounts", operation_id = "accounts_list_sessions",
    security(("bearer" = [])),
    responses((status = 200, description = "The sessions.", body = ListResponse<OwnSessionResponse>), Refusals),
)]
#[tracing::instrument(level = "debug", name = "http.accounts.list_sessions", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
) -> Result<Json<ListResponse<OwnSessionResponse>>, Problem> {
    let items = api.services.accounts.own_sessions(identity).await?;
    Ok(Json(ListResponse::new(Page::<_, ()> { items, next: None }, OwnSessionResponse::from)))
}
