use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use boxoffice_application::{ConcertView, catalog::NewConcert, fingerprint};
use boxoffice_domain::{
    SellingRules,
    catalog::{
        ACTIVE_MAX, ConcertSummary, InvalidSalesWindow, SEATS_PER_ACCOUNT_MAX, SalesTimeError, SalesWindow, Stock,
    },
    idempotency::Made,
    text::{DESCRIPTION_CHARACTERS_MAX, Description, NAME_CHARACTERS_MAX, Name},
};
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::ManagedConcertResponse;
use crate::{
    api::Api,
    json::{Time, present},
    reply::{Problem, made, refusals},
    request::{Body, OptionalKey, RequestId, SignedIn, validation::validated},
    routes::{CHARACTER_BYTES_MAX, FIELDS_BYTES_MAX},
};

/// Room for the longest title, artist and description, also of a change.
pub(crate) const BODY_BYTES_MAX: usize =
    (2 * NAME_CHARACTERS_MAX + DESCRIPTION_CHARACTERS_MAX) * CHARACTER_BYTES_MAX + FIELDS_BYTES_MAX;

#[derive(Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[schema(as = NewConcert)]
pub(crate) struct PublishConcertRequest {
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = r"^[\t-\r \x85]*[^\x00-\x1f\x7f-\x9f]+[\t-\r \x85]*$",
        example = "Night of Songs"
    )]
    title: String,
    /// Who plays.
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = r"^[\t-\r \x85]*[^\x00-\x1f\x7f-\x9f]+[\t-\r \x85]*$",
        example = "The Han River Band"
    )]
    artist: String,
    /// More about it; line breaks are kept.
    #[serde(default)]
    #[schema(max_length = 4000, pattern = r"^[\t-\r \x85]*[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*[\t-\r \x85]*$")]
    description: String,
    /// The first instant of the sale.
    sales_open_at: Time,
    /// The first instant after the sale, later than `sales_open_at`.
    sales_close_at: Time,
    /// How many seats of the concert one account may hold and own together; 4 by default.
    #[serde(default, deserialize_with = "present")]
    #[validate(range(min = 1, max = i64::from(SEATS_PER_ACCOUNT_MAX)))]
    #[schema(minimum = 1, maximum = 100, nullable = false)]
    max_seats_per_account: Option<i64>,
    /// How many accounts are admitted at once; 500 by default.
    #[serde(default, deserialize_with = "present")]
    #[validate(range(min = 1, max = i64::from(ACTIVE_MAX)))]
    #[schema(minimum = 1, maximum = 1_000_000, nullable = false)]
    max_active: Option<i64>,
    /// Whether seats can be held only by an account whose points cover them, together with all that it holds.
    #[serde(default)]
    holds_need_balance: bool,
    /// Whether only an account with a verified e-mail address can join the queue.
    #[serde(default)]
    requires_verified_email: bool,
    /// Whether accounts may join before the sale opens, and a draw then decides their order. Cannot be changed.
    #[serde(default)]
    draw: bool,
}

impl PublishConcertRequest {
    fn parse(&self, rules: &SellingRules) -> Result<NewConcert, Problem> {
        validated(self, |fields| {
            let artist = fields.text("/artist", Name::new(&self.artist));
            let description = fields.text("/description", Description::new(&self.description));
            let max_active = self.max_active.and_then(|count| u32::try_from(count).ok());
            let max_seats = self.max_seats_per_account.and_then(|count| u32::try_from(count).ok());
            let close_at = fields.instant("/sales_close_at", self.sales_close_at);
            let open_at = fields.instant("/sales_open_at", self.sales_open_at);
            let title = fields.text("/title", Name::new(&self.title));
            Some(NewConcert {
                title: title?,
                artist: artist?,
                description: description?,
                max_seats_per_account: max_seats.unwrap_or(rules.max_seats_per_account.get()),
                max_active: max_active.unwrap_or(rules.max_active.get()),
                holds_need_balance: self.holds_need_balance,
                requires_verified_email: self.requires_verified_email,
                draw: self.draw,
                sales: fields.check("/sales_close_at", "sales_window", SalesWindow::new(open_at?, close_at?))?,
            })
        })
    }
}

impl From<InvalidSalesWindow> for Problem {
    fn from(error: InvalidSalesWindow) -> Self {
        Self::violation("/sales_close_at", "sales_window", error.to_string())
    }
}

impl From<SalesTimeError> for Problem {
    fn from(error: SalesTimeError) -> Self {
        let code = match error {
            SalesTimeError::OpensTooFarAhead | SalesTimeError::ClosesTooFarAhead => "too_far_ahead",
            SalesTimeError::OpensAfterStart => "after_performance",
        };
        Self::violation(format!("/{}", error.field()), code, error.to_string())
    }
}

refusals!([SIGNED_IN, BODY, KEYED], [Forbidden]);

/// Publish a concert, for promoters
#[utoipa::path(
    post, path = "/v1/concerts", tag = "catalog", operation_id = "catalog_publish_concert",
    security(("bearer" = [])), params(OptionalKey), request_body = PublishConcertRequest,
    responses(
        (status = 201, description = "The concert.", body = ManagedConcertResponse, headers(
            ("Location", description = "Where the concert is"),
            ("ETag", description = "The tag for `If-Match`"),
            ("Idempotency-Replayed", description = "`true` if an earlier request made it"),
        )),
        Refusals,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.catalog.publish_concert", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    request_id: RequestId,
    key: OptionalKey,
    Body(body): Body<PublishConcertRequest>,
) -> Result<Response, Problem> {
    let new = body.parse(&api.settings.rules)?;
    let idempotency = key.naming(|| fingerprint::publish_concert(&new));
    let (service, named) = (api.services.catalog.clone(), idempotency.clone());
    let staff = request_id.staff(identity);
    let act = async move { service.publish_concert(staff, new, named).await };
    let Made { value: concert, replayed } = api.run_idempotent(identity, idempotency.as_ref(), act).await??;
    let location = format!("/v1/concerts/{}", concert.id);
    // A repeated request gets the first response, in which the concert has no performances.
    let (summary, now) = (ConcertSummary::new(concert, &[]), api.now());
    let view = ConcertView { availability: summary.availability(now, Stock::default()), summary };
    let (tag, value) = ManagedConcertResponse::tagged(view, Vec::new(), now)?;
    let response = made(Made { value, replayed }, StatusCode::CREATED, Some(&location), |body| body);
    Ok(([tag], response).into_response())
}
