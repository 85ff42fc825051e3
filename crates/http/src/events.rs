//! `/v1/queue/events`: the status of a queue token as it changes, as server-sent events.

use std::{
    collections::{HashMap, hash_map::Entry},
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    extract::State,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use boxoffice_domain::{AccountId, waiting_room::QueuePlace};
use futures::stream;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep_until, timeout},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    api::Api,
    auth::Queued,
    problem::{Problem, refusals},
    waiting_room::{QueueAnswer, StatusAnswer},
};

/// The path of the route, which answers in another form than all others.
pub(crate) const PATH: &str = "/v1/queue/events";
/// The most streams of one account, so that nobody takes those of all.
const STREAMS_PER_ACCOUNT_MAX: u32 = 3;
/// The metric that counts the streams that are open.
pub(crate) const STREAMS: &str = "boxoffice_event_streams";
/// The least time between two events of one stream. A line that moves fast is not worth more.
const BETWEEN_EVENTS: Duration = Duration::from_millis(200);

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(events))
}

refusals!(EventsProblems: [SIGNED_IN, TICKET], []);

/// The status of a queue token as it changes
///
/// The first event comes at once, the next ones when something has changed. The stream ends after `expired`,
/// and when the server stops; then connect again.
#[utoipa::path(
    get, path = "/v1/queue/events", tag = "waiting room", security(("bearer" = [])),
    params(("Queue-Token" = String, Header, description = "The token that joining gave")),
    responses(
        (status = 200, description = "Events named `status`, whose data are a QueueStatus.", body = String,
            content_type = "text/event-stream"),
        EventsProblems,
    ),
)]
#[tracing::instrument(level = "debug", name = "http.waiting_room.events", skip_all)]
async fn events(State(api): State<Api>, Queued(place): Queued) -> Result<Response, Problem> {
    let permit = Arc::clone(&api.event_streams).try_acquire_owned();
    let too_many = || Problem::unavailable("Too many event streams are open.").retry_after(5);
    let permit = permit.map_err(|_| too_many())?;
    let own = api.streams_of_accounts.enter(place.account_id).ok_or_else(too_many)?;
    let first = api.services.waiting_room.status(place).await?.into();
    let heartbeat = KeepAlive::new().interval(api.settings.event_heartbeat).text("heartbeat");
    let watch = Watch { api, place, seen: 0, sent_at: Instant::now(), last: None, _permit: permit, _own: own };
    let events = stream::unfold(Step::First(first, watch), |step| async move {
        let (answer, mut watch) = match step {
            Step::First(answer, watch) => (answer, watch),
            Step::Next(mut watch) => (watch.next().await?, watch),
        };
        let event = Event::default().event("status").json_data(&answer).ok()?;
        watch.sent(answer);
        Some((Ok::<_, Infallible>(event), Step::Next(watch)))
    });
    Ok(Sse::new(events).keep_alive(heartbeat).into_response())
}

/// How far a stream has come.
enum Step {
    First(QueueAnswer, Watch),
    Next(Watch),
}

/// One open stream.
struct Watch {
    api: Api,
    place: QueuePlace,
    /// The version of the line that was last heard of, before the status was read; 0 where none was yet.
    seen: u64,
    sent_at: Instant,
    last: Option<QueueAnswer>,
    _permit: OwnedSemaphorePermit,
    _own: AccountStream,
}

/// How many streams each account has open.
#[derive(Debug, Default)]
pub(crate) struct StreamsOfAccounts(Arc<Mutex<HashMap<AccountId, u32>>>);

/// One of them, until it is dropped.
struct AccountStream {
    account_id: AccountId,
    streams: Arc<Mutex<HashMap<AccountId, u32>>>,
}

impl StreamsOfAccounts {
    fn enter(&self, account_id: AccountId) -> Option<AccountStream> {
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = streams.entry(account_id).or_default();
        if *count >= STREAMS_PER_ACCOUNT_MAX {
            return None;
        }
        *count += 1;
        metrics::gauge!(STREAMS).increment(1);
        Some(AccountStream { account_id, streams: Arc::clone(&self.0) })
    }
}

impl Drop for AccountStream {
    fn drop(&mut self) {
        metrics::gauge!(STREAMS).decrement(1);
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut entry) = streams.entry(self.account_id) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

impl Watch {
    fn sent(&mut self, answer: QueueAnswer) {
        self.last = Some(answer);
        self.sent_at = Instant::now();
    }

    /// The next status that differs from the last one; `None` where the stream ends.
    async fn next(&mut self) -> Option<QueueAnswer> {
        if self.last.as_ref().is_some_and(|last| last.status == StatusAnswer::Expired) {
            return None;
        }
        let draining = self.api.draining.clone();
        tokio::select! {
            () = draining.begun() => None,
            next = self.changed() => next,
        }
    }

    async fn changed(&mut self) -> Option<QueueAnswer> {
        loop {
            sleep_until(self.sent_at + BETWEEN_EVENTS).await;
            self.wait().await?;
            let read_at = Instant::now();
            let view = self.api.services.waiting_room.status(self.place).await;
            let answer = QueueAnswer::from(view.map_err(ended_by).ok()?);
            if self.last.as_ref() != Some(&answer) {
                return Some(answer);
            }
            self.sent_at = read_at;
        }
    }

    /// Waits until the line has changed, or it is time to look without that: the estimate and the end of an
    /// admission come with time, and reading the status shows that the holder is still there.
    async fn wait(&mut self) -> Option<()> {
        let asked = self.last.as_ref().and_then(|last| last.poll_after_seconds).map_or(u64::MAX, u64::from);
        let at_most = Duration::from_secs(asked.max(1)).min(self.api.settings.event_heartbeat);
        let changed = self.api.services.waiting_room.changed(self.place.concert_id, self.seen);
        if let Ok(version) = timeout(at_most, changed).await {
            self.seen = version.map_err(ended_by).ok()?;
        }
        Some(())
    }
}

/// The client connects again, and is then told what is wrong.
fn ended_by(error: impl std::error::Error + 'static) {
    tracing::warn!(error = &error as &dyn std::error::Error, "an event stream was ended by a failure");
}
