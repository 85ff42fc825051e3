//! `/v1/concerts/{id}/queue/…`: running the line of a concert, for its promoter.

use std::sync::Arc;

use axum::{Json as Answer, extract::State};
use boxoffice_application::queue_control::QueueReport;
use boxoffice_domain::{ConcertId, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    api::Api,
    auth::SignedIn,
    extract::Id,
    idempotency::OptionalKey,
    problem::{Problem, refusals},
};

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(stats))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(empty))
}

/// How the line of a concert is doing.
#[derive(Serialize, ToSchema)]
#[schema(as = QueueStats)]
struct StatsAnswer {
    concert_id: Uuid,
    /// How many wait.
    waiting: u64,
    /// How many are admitted at the moment.
    active: u64,
    /// How many may be admitted at once.
    max_active: u32,
    /// Whether admission is paused.
    paused: bool,
    /// How many have been admitted since the line began.
    admitted_total: u64,
    /// How many were admitted in the last 60 seconds.
    admitted_per_minute: u64,
    /// How many were passed over because they did not come.
    no_shows_total: u64,
    /// For how long the one has waited who has waited longest; `null` where nobody waits.
    #[schema(required)]
    oldest_wait_seconds: Option<u64>,
}

impl StatsAnswer {
    fn new(report: &QueueReport, now: Timestamp) -> Self {
        let QueueReport { concert, stats } = report;
        let waited = |joined_at: Timestamp| u64::try_from((now - joined_at).num_seconds()).unwrap_or(0);
        Self {
            concert_id: concert.id.uuid(),
            waiting: stats.waiting,
            active: stats.active,
            max_active: concert.max_active,
            paused: concert.paused,
            admitted_total: stats.admitted_total,
            admitted_per_minute: stats.admitted_last_minute,
            no_shows_total: stats.no_shows_total,
            oldest_wait_seconds: stats.oldest_joined_at.map(waited),
        }
    }
}

/// What emptying a line did.
#[derive(Serialize, ToSchema)]
#[schema(as = QueueEmptied)]
struct EmptiedAnswer {
    /// How many waited, and have no place any more.
    removed: u64,
}

refusals!(LineProblems: [SIGNED_IN, PATH], [Forbidden, ConcertNotFound]);
refusals!(LineChangeProblems: [SIGNED_IN, PATH], [Forbidden, ConcertNotFound, PreconditionFailed]);

/// How the line of a concert is doing, for its promoter
#[utoipa::path(
    get, path = "/v1/concerts/{id}/queue/stats", tag = "waiting room", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The concert")),
    responses((status = 200, description = "How it is doing.", body = StatsAnswer), LineProblems),
)]
#[tracing::instrument(level = "debug", name = "http.line_control.stats", skip_all)]
async fn stats(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    Id(id): Id<ConcertId>,
) -> Result<Answer<StatsAnswer>, Problem> {
    let report = api.services.catalog.queue_report(identity, id).await?;
    Ok(Answer(StatsAnswer::new(&report, api.now())))
}

/// Pause admission, for the concert's promoter
///
/// Nobody is admitted until it is resumed. Whoever is admitted goes on, and places are kept.
#[utoipa::path(
    post, path = "/v1/concerts/{id}/queue/pause", tag = "waiting room", security(("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The concert"),
        ("Idempotency-Key" = Option<String>, Header, description = "Not needed: pausing is idempotent by itself"),
    ),
    responses((status = 200, description = "Admission is paused.", body = StatsAnswer), LineChangeProblems),
)]
#[tracing::instrument(level = "debug", name = "http.line_control.pause", skip_all)]
async fn pause(
    State(api): State<Api>,
    signed_in: SignedIn,
    id: Id<ConcertId>,
    _: OptionalKey,
) -> Result<Answer<StatsAnswer>, Problem> {
    set_paused(api, signed_in, id, true).await
}

/// Resume admission, for the concert's promoter
///
/// As many are admitted at once as there is room for.
#[utoipa::path(
    post, path = "/v1/concerts/{id}/queue/resume", tag = "waiting room", security(("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The concert"),
        ("Idempotency-Key" = Option<String>, Header, description = "Not needed: resuming is idempotent by itself"),
    ),
    responses((status = 200, description = "Admission goes on.", body = StatsAnswer), LineChangeProblems),
)]
#[tracing::instrument(level = "debug", name = "http.line_control.resume", skip_all)]
async fn resume(
    State(api): State<Api>,
    signed_in: SignedIn,
    id: Id<ConcertId>,
    _: OptionalKey,
) -> Result<Answer<StatsAnswer>, Problem> {
    set_paused(api, signed_in, id, false).await
}

async fn set_paused(
    api: Api,
    SignedIn(identity): SignedIn,
    Id(id): Id<ConcertId>,
    paused: bool,
) -> Result<Answer<StatsAnswer>, Problem> {
    let service = Arc::clone(&api.services.catalog);
    let change = api.reads.change();
    let act = async move { change.end(service.set_queue_paused(identity, id, paused).await) };
    let report = api.act(act).await??;
    Ok(Answer(StatsAnswer::new(&report, api.now())))
}

/// Empty the line, for the concert's promoter
///
/// Everybody who waits loses the place and may join anew. Whoever is admitted stays so.
#[utoipa::path(
    delete, path = "/v1/concerts/{id}/queue", tag = "waiting room", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The concert")),
    responses((status = 200, description = "The line is empty.", body = EmptiedAnswer), LineChangeProblems),
)]
#[tracing::instrument(level = "debug", name = "http.line_control.empty", skip_all)]
async fn empty(
    State(api): State<Api>,
    SignedIn(identity): SignedIn,
    Id(id): Id<ConcertId>,
) -> Result<Answer<EmptiedAnswer>, Problem> {
    let service = Arc::clone(&api.services.catalog);
    let change = api.reads.change();
    let act = async move { change.end(service.empty_queue(identity, id).await) };
    let removed = api.act(act).await??;
    Ok(Answer(EmptiedAnswer { removed }))
}
