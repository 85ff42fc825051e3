//! The stream of queue events.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use axum::{Router, body::Body, http::StatusCode};
use boxoffice_domain::{
    AccountId, ConcertId, Timestamp,
    waiting_room::{
        JoinRequest, Joined, QueueCensus, QueuePlace, QueueStats, QueueStatus, QueueTerms, Recall, RestoreRequest,
        Standing, WaitingRoom, WaitingRoomError,
    },
};
use boxoffice_http::Code;
use futures::StreamExt;
use serde_json::Value;
use tokio::{sync::watch, time::Instant};
use tower::ServiceExt;

use crate::world::{World, active, get, waiting};

/// A line of one, moved by the test.
struct Line {
    standing: Mutex<Standing>,
    version: watch::Sender<u64>,
}

impl Line {
    fn new(standing: Standing) -> Arc<Self> {
        Arc::new(Self { standing: Mutex::new(standing), version: watch::Sender::new(1) })
    }

    fn moves(&self, standing: Standing) {
        *self.standing.lock().unwrap() = standing;
        self.version.send_modify(|version| *version += 1);
    }

    fn router(self: &Arc<Self>, change: impl FnOnce(&mut World)) -> Router {
        let world = World::with(|world| world.other_waiting_room = Some(self.clone()));
        let mut world = world;
        change(&mut world);
        world.router()
    }
}

#[async_trait]
impl WaitingRoom for Line {
    async fn status(&self, place: &QueuePlace) -> Result<Recall, WaitingRoomError> {
        let standing = *self.standing.lock().unwrap();
        Ok(Recall::Known(QueueStatus { place: *place, standing }))
    }

    async fn changed(&self, _: ConcertId, seen: u64) -> Result<u64, WaitingRoomError> {
        Ok(*self.version.subscribe().wait_for(|version| *version != seen).await.unwrap())
    }

    async fn join(&self, _: JoinRequest) -> Result<Joined, WaitingRoomError> {
        unreachable!("no test joins")
    }

    async fn restore(&self, _: RestoreRequest) -> Result<QueueStatus, WaitingRoomError> {
        unreachable!("nothing is forgotten")
    }

    async fn leave(&self, _: &QueuePlace) -> Result<(), WaitingRoomError> {
        Ok(())
    }

    async fn keep_until(&self, _: ConcertId, _: AccountId, _: Option<Timestamp>) -> Result<(), WaitingRoomError> {
        Ok(())
    }

    async fn spend(&self, _: ConcertId, _: AccountId) -> Result<(), WaitingRoomError> {
        Ok(())
    }

    async fn set_terms(&self, _: ConcertId, _: QueueTerms) -> Result<(), WaitingRoomError> {
        Ok(())
    }

    async fn empty(&self, _: ConcertId) -> Result<u64, WaitingRoomError> {
        Ok(0)
    }

    async fn stats(&self, _: ConcertId) -> Result<Option<QueueStats>, WaitingRoomError> {
        Ok(None)
    }

    async fn advance(&self) -> Result<Option<Timestamp>, WaitingRoomError> {
        Ok(None)
    }

    async fn census(&self, _: usize) -> Result<Vec<QueueCensus>, WaitingRoomError> {
        Ok(Vec::new())
    }
}

/// An open stream.
struct Stream(axum::body::BodyDataStream);

impl Stream {
    async fn open(router: &Router) -> Self {
        let request = get("/v1/queue/events").queued("queue").into_request();
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self(Body::into_data_stream(response.into_body()))
    }

    /// The next piece of text; `None` where the stream has ended.
    async fn next(&mut self) -> Option<String> {
        let bytes = self.0.next().await?.unwrap();
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }

    /// The position and status of the next event, whatever heartbeats come before.
    async fn event(&mut self) -> Option<(u64, String)> {
        loop {
            let text = self.next().await?;
            if let Some(data) = text.strip_prefix("event: status\ndata: ") {
                let status: Value = serde_json::from_str(data.trim_end()).unwrap();
                return Some((status["position"].as_u64().unwrap(), status["status"].as_str().unwrap().to_owned()));
            }
            assert!(text.starts_with(':'), "{text}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_change_is_an_event_and_expired_the_last() {
    let line = Line::new(waiting(3));
    let router = line.router(|_| {});
    let mut stream = Stream::open(&router).await;
    assert_eq!(stream.event().await, Some((3, "waiting".to_owned())));
    line.moves(waiting(2));
    assert_eq!(stream.event().await, Some((2, "waiting".to_owned())));
    line.moves(active());
    assert_eq!(stream.event().await, Some((0, "active".to_owned())));
    line.moves(Standing::Expired);
    assert_eq!(stream.event().await, Some((0, "expired".to_owned())));
    assert_eq!(stream.event().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_fast_queue_sends_an_event_each_200_milliseconds_at_most() {
    let line = Line::new(waiting(1_000));
    let router = line.router(|_| {});
    let mut stream = Stream::open(&router).await;
    stream.event().await.unwrap();
    let started = Instant::now();
    let mover = tokio::spawn({
        let line = line.clone();
        async move {
            for position in (1..1_000).rev() {
                line.moves(waiting(position));
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
    let mut events = 0;
    while stream.event().await.unwrap().0 > 1 {
        events += 1;
    }
    mover.await.unwrap();
    let most = started.elapsed().as_millis() / 200 + 1;
    assert!((3..=most).contains(&events), "{events} events");
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_changes_sends_heartbeats() {
    let line = Line::new(active());
    let router = line.router(|world| world.settings.event_heartbeat = Duration::from_secs(5));
    let mut stream = Stream::open(&router).await;
    stream.event().await.unwrap();
    let started = Instant::now();
    assert!(stream.next().await.unwrap().starts_with(": heartbeat"));
    assert_eq!(started.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn draining_ends_the_streams() {
    let line = Line::new(waiting(3));
    let draining = boxoffice_http::Draining::new();
    let router = line.router(|world| world.draining = draining.clone());
    let mut stream = Stream::open(&router).await;
    stream.event().await.unwrap();
    draining.begin();
    assert_eq!(stream.event().await, None);
}

#[tokio::test(start_paused = true)]
async fn streams_are_bounded_and_a_closed_one_makes_room() {
    let line = Line::new(waiting(3));
    let router = line.router(|world| world.settings.event_streams_max = 1);
    let stream = Stream::open(&router).await;
    let refused = get("/v1/queue/events").queued("queue").send(&router).await;
    refused.refuses(Code::Unavailable);
    assert!(refused.header("retry-after").is_some());
    drop(stream);
    Stream::open(&router).await.event().await.unwrap();
}
