//! `GET /v1/queue/events`: the status of a queue token as it changes, as server-sent events.

use std::{borrow::Cow, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{HeaderName, HeaderValue, header::CACHE_CONTROL},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use boxoffice_application::WaitingRoomService;
use boxoffice_domain::waiting_room::QueuePlace;
use futures::{Stream, stream};
use serde::Serialize;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, OneOfBuilder, Ref, RefOr, Schema, Type},
};

use super::{QueueResponse, StatusResponse};
use crate::{
    api::Api,
    queue_streams::QueueStreamPermit,
    reply::{Problem, refusals},
    request::{AccessToken, ClientNetwork, Queued, Service},
};

/// The path of the route, the only one that responds with another media type.
pub(crate) const PATH: &str = "/v1/queue/events";
/// Tells nginx, and proxies that follow it, to send each event on instead of collecting the response.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// The least time between two events of one stream, which a fast queue would exceed.
const BETWEEN_EVENTS: Duration = Duration::from_millis(200);

/// How soon a stream ends when its access token is no longer accepted.
const BETWEEN_CHECKS: Duration = Duration::from_secs(1);

/// Why a stream ended although its queue token goes on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QueueStreamEnd)]
pub(crate) struct QueueStreamEndResponse {
    /// The code with which any request with the same access token is refused now: `access_token_expired`, so refresh and
    /// connect again, or `unauthenticated`, so sign in again.
    #[schema(example = "access_token_expired")]
    code: &'static str,
}

/// Describes one event.
struct QueueEvent;

impl PartialSchema for QueueEvent {
    fn schema() -> RefOr<Schema> {
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let status = Ref::from_schema_name(QueueResponse::name());
        let end = Ref::from_schema_name(QueueStreamEndResponse::name());
        let content = OneOfBuilder::new().item(status).item(end).build();
        let data = text().content_media_type("application/json").content_schema(Some(Schema::OneOf(content)));
        let event = ObjectBuilder::new().property("event", text().enum_values(Some(["status", "end"])));
        let data = data.description(Some("The status of the queue token, or why the stream ends."));
        let event = event.property("data", data).required("event");
        event.required("data").description(Some("One event of the queue stream.")).into()
    }
}

impl ToSchema for QueueEvent {
    fn name() -> Cow<'static, str> {
        "QueueEvent".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        let end = (QueueStreamEndResponse::name().into_owned(), QueueStreamEndResponse::schema());
        schemas.push(end);
        QueueResponse::schemas(schemas);
    }
}

refusals!([SIGNED_IN, QUEUED], []);

/// The status of a queue token as it changes
///
/// The first event comes at once, the next ones when something has changed. The stream ends after `expired`,
/// and when the server stops; then connect again. It also ends, with an event `end` that says why, when the access token
/// expires, and when its session ends.
#[utoipa::path(
    get, path = "/v1/queue/events", tag = "waiting room", operation_id = "waiting_room_events",
    security(("bearer" = [])), params(Queued),
    responses(
        (status = 200, description = "Events named `status`, whose data are a QueueStatus, and at most one named `end`, \
            whose data are a QueueStreamEnd.", body = QueueEvent, content_type = "text/event-stream",
            headers(("X-Accel-Buffering", description = "`no`: a proxy sends each event on as it comes"))),
        Refusals,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.waiting_room.events", skip_all)]
pub(crate) async fn handler(
    State(api): State<Api>,
    Service(waiting_room): Service<WaitingRoomService>,
    Queued(place): Queued,
    AccessToken(access_token): AccessToken,
    network: ClientNetwork,
) -> Result<Response, Problem> {
    let permit = api.queue_streams.open(place.account_id, network.0)?;
    let first = QueueResponse::new(waiting_room.status(place).await?, &api.settings);
    let heartbeat = KeepAlive::new().interval(api.settings.event_heartbeat).text("heartbeat");
    let (sent_at, seen, last) = (Instant::now(), 0, None);
    let (first, permit) = (Some(first), Some(permit));
    let watch = Watch { api, waiting_room, place, access_token, first, seen, sent_at, last, permit };
    let events = stream::unfold(watch, |mut watch| async move {
        let next = match watch.first.take() {
            Some(first) => Next::Status(first),
            None => watch.next().await?,
        };
        let event = match next {
            Next::Status(status) => {
                let event = Event::default().event("status").json_data(&status).ok()?;
                watch.last = Some(status);
                event
            }
            Next::End(end) => {
                // The client may open the next one at once.
                watch.permit = None;
                Event::default().event("end").json_data(&end).ok()?
            }
        };
        watch.sent_at = Instant::now();
        Some((Ok(event), watch))
    });
    Ok(respond(events, heartbeat))
}

fn respond(events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static, heartbeat: KeepAlive) -> Response {
    let mut response = Sse::new(events).keep_alive(heartbeat).into_response();
    // `no-cache`, which is usual for streams, would let a cache store one.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// One open stream.
struct Watch {
    api: Api,
    waiting_room: Arc<WaitingRoomService>,
    place: QueuePlace,
    access_token: String,
    /// The status to begin with, until it is sent.
    first: Option<QueueResponse>,
    /// The version of the queue that was known before the last status was read; 0 if none was.
    seen: u64,
    sent_at: Instant,
    last: Option<QueueResponse>,
    /// Until the stream has told its end.
    permit: Option<QueueStreamPermit>,
}

/// The next event of a stream.
enum Next {
    Status(QueueResponse),
    End(QueueStreamEndResponse),
}

impl Watch {
    /// The next status that differs from the last one, or the end; `None` if the stream has ended.
    async fn next(&mut self) -> Option<Next> {
        if self.permit.is_none() || self.last.as_ref().is_some_and(|last| last.status == StatusResponse::Expired) {
            return None;
        }
        let draining = self.api.draining.clone();
        let refused = refused(self.api.clone(), self.access_token.clone());
        tokio::select! {
            () = draining.begun() => None,
            end = refused => Some(Next::End(end)),
            next = self.changed() => next.map(Next::Status),
        }
    }

    async fn changed(&mut self) -> Option<QueueResponse> {
        loop {
            sleep_until(self.sent_at + BETWEEN_EVENTS).await;
            self.wait().await?;
            let read_at = Instant::now();
            let view = self.waiting_room.status(self.place).await;
            let status = QueueResponse::new(view.map_err(log_end).ok()?, &self.api.settings);
            if self.last.as_ref() != Some(&status) {
                return Some(status);
            }
            self.sent_at = read_at;
        }
    }

    /// Waits until the queue has changed, or it is time to read the status without that: the estimate and the end of an
    /// admission come with time, and reading the status shows that its holder is present.
    async fn wait(&mut self) -> Option<()> {
        let poll_after = self.last.as_ref().and_then(|last| last.poll_after_seconds).map_or(u64::MAX, u64::from);
        let at_most = Duration::from_secs(poll_after.max(1)).min(self.api.settings.event_heartbeat);
        let changed = self.waiting_room.changed(self.place.concert_id, self.seen);
        if let Ok(version) = timeout(at_most, changed).await {
            self.seen = version.map_err(log_end).ok()?;
        }
        Some(())
    }
}

/// Waits until an access token is no longer accepted.
async fn refused(api: Api, access_token: String) -> QueueStreamEndResponse {
    loop {
        if let Err(error) = api.services.accounts.authenticate(&access_token) {
            return QueueStreamEndResponse { code: Problem::from(error).code().as_str() };
        }
        sleep(BETWEEN_CHECKS).await;
    }
}

/// The client connects again, and gets the error as a response.
fn log_end(error: impl std::error::Error + 'static) {
    tracing::warn!(error = &error as &dyn std::error::Error, "a failure ended a queue stream");
}
