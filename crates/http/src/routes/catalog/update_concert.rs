use axum::{
    Json,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use boxoffice_application::{Identity, catalog::UpdateConcert};
use boxoffice_domain::{
    ConcertId,
    catalog::{ACTIVE_MAX, ConcertChange, DrawError, SEATS_PER_ACCOUNT_MAX},
    text::{Description, Name},
};
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::ManagedConcertResponse;
use crate::{
    api::Api,
    json::{Time, present},
    reply::{Problem, etag, refusals},
    request::{Body, Id, IfMatch, RequestId, SignedIn, validation::validated},
};

/// What is absent stays as it is.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[schema(as = ConcertChange)]
pub(crate) struct UpdateConcertRequest {
    #[serde(default, deserialize_with = "present")]
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = r"^[\t-\r \x85]*[^\x00-\x1f\x7f-\x9f]+[\t-\r \x85]*$",
        nullable = false
    )]
    title: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = r"^[\t-\r \x85]*[^\x00-\x1f\x7f-\x9f]+[\t-\r \x85]*$",
        nullable = false
    )]
    artist: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(
        max_length = 4000,
        pattern = r"^[\t-\r \x85]*[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*[\t-\r \x85]*$",
        nullable = false
    )]
    description: Option<String>,
    /// For a concert with a draw, it can be changed only before the draw, and only to a later time than now.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    sales_open_at: Option<Time>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    sales_close_at: Option<Time>,
    #[serde(default, deserialize_with = "present")]
    #[validate(range(min = 1, max = i64::from(SEATS_PER_ACCOUNT_MAX)))]
    #[schema(minimum = 1, maximum = 100, nullable = false)]
    max_seats_per_account: Option<i64>,
    #[serde(default, deserialize_with = "present")]
    #[validate(range(min = 1, max = i64::from(ACTIVE_MAX)))]
    #[schema(minimum = 1, maximum = 1_000_000, nullable = false)]
    max_active: Option<i64>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    holds_need_balance: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    requires_verified_email: Option<bool>,
}

impl UpdateConcertRequest {
    fn parse(&self) -> Result<ConcertChange, Problem> {
        let Self { artist, description, title, .. } = self;
        validated(self, |fields| {
            Some(ConcertChange {
                artist: artist.as_deref().and_then(|text| fields.text("/artist", Name::new(text))),
                description: description
                    .as_deref()
                    .and_then(|text| fields.text("/description", Description::new(text))),
                holds_need_balance: self.holds_need_balance,
                requires_verified_email: self.requires_verified_email,
                max_active: self.max_active.and_then(|count| u32::try_from(count).ok()),
                max_seats_per_account: self.max_seats_per_account.and_then(|count| u32::try_from(count).ok()),
                sales_close_at: self.sales_close_at.and_then(|at| fields.instant("/sales_close_at", at)),
                sales_open_at: self.sales_open_at.and_then(|at| fields.instant("/sales_open_at", at)),
                title: title.as_deref().and_then(|text| fields.text("/title", Name::new(text))),
                ..ConcertChange::default()
            })
        })
    }
}

impl From<DrawError> for Problem {
    fn from(error: DrawError) -> Self {
        let (pointer, code) = match error {
            DrawError::Changed => ("/draw", "draw_changed"),
            DrawError::Held => ("/sales_open_at", "draw_held"),
            DrawError::Past => ("/sales_open_at", "draw_past"),
        };
        Self::violation(pointer, code, error.to_string())
    }
}

refusals!([SIGNED_IN, PATH, BODY], [Forbidden, ConcertNotFound, PreconditionFailed]);

/// Change a concert, for its promoter
///
/// What is absent stays as it is. With `If-Match`, the change is refused if the concert has been changed since.
#[utoipa::path(
    patch, path = "/v1/concerts/{id}", tag = "catalog", operation_id = "catalog_update_concert",
    security(("bearer" = [])), request_body = UpdateConcertRequest,
    params(
        ("id" = Uuid, Path, description = "The concert"),
        IfMatch,
    ),
    responses(
        (status = 200, description = "The changed concert.", body = ManagedConcertResponse,
            headers(("ETag", description = "The tag for `If-Match`"))),
        Refusals,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.catalog.update_concert", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    request_id: RequestId,
    Id(id): Id<ConcertId>,
    headers: HeaderMap,
    Body(body): Body<UpdateConcertRequest>,
) -> Result<Response, Problem> {
    let change = body.parse()?;
    let version = version_expected(&api, identity, id, &headers).await?;
    // Read before the change: if it cannot be read, nothing has been changed.
    let dates = api.services.catalog.dates(id).await?;
    let service = api.services.catalog.clone();
    let update = UpdateConcert { concert_id: id, change, version };
    let staff = request_id.staff(identity);
    let act = async move { service.update_concert(staff, update).await };
    let summary = api.run_detached(act).await??;
    let view = api.services.catalog.view(summary).await?;
    let (tag, body) = ManagedConcertResponse::tagged(view, dates, api.now())?;
    Ok(([tag], Json(body)).into_response())
}

/// The version that `If-Match` names; if it names several, the current one.
async fn version_expected(
    api: &Api,
    identity: Identity,
    id: ConcertId,
    headers: &HeaderMap,
) -> Result<Option<u32>, Problem> {
    match etag::versions_allowed(headers).as_deref() {
        None => Ok(None),
        Some([version]) => Ok(Some(*version)),
        // An account that may not change the concert must not learn its version.
        Some(_) if !identity.role.may_publish() => Ok(Some(0)),
        Some(versions) => {
            let current = api.services.catalog.concert(id).await?.concert.version;
            Ok(Some(if versions.contains(&current) { current } else { 0 }))
        }
    }
}
