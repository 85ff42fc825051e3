//! The stream of queue events.

use std::time::Duration;

use axum::{Router, body::Body, http::StatusCode};
use boxoffice_domain::waiting_room::WaitingRoom;
use boxoffice_http::Code;
use futures::StreamExt;
use serde_json::Value;
use tokio::time::Instant;
use tower::ServiceExt;

use crate::world::{World, get};

/// An open stream.
struct Stream(axum::body::BodyDataStream);

impl Stream {
    async fn open(router: &Router, token: &str) -> Self {
        let request = get("/v1/queue/events").queued(token).into_request();
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let fields = ["content-type", "cache-control", "x-accel-buffering"].map(|name| &response.headers()[name]);
        assert_eq!(fields, ["text/event-stream", "no-store", "no"]);
        Self(Body::into_data_stream(response.into_body()))
    }

    /// The next piece of text; `None` if the stream has ended.
    async fn next(&mut self) -> Option<String> {
        let bytes = self.0.next().await?.unwrap();
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }

    /// The position in the next event, whatever heartbeats come before.
    async fn event(&mut self) -> Option<u64> {
        loop {
            let text = self.next().await?;
            if let Some(data) = text.strip_prefix("event: status\ndata: ") {
                let status: Value = serde_json::from_str(data.trim_end()).unwrap();
                return status["position"].as_u64();
            }
            assert!(text.starts_with(':'), "{text}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_fast_queue_sends_an_event_each_200_milliseconds_at_most() {
    let mut world = World::new().await;
    let (token, ahead) = world.waiting_at(1_000).await;
    let mut stream = Stream::open(&world.router(), &token).await;
    stream.event().await.unwrap();
    let started = Instant::now();
    let queues = world.queues.clone();
    let mover = tokio::spawn(async move {
        for place in &ahead[1..] {
            queues.leave(place).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let mut events = 0;
    while stream.event().await.unwrap() > 1 {
        events += 1;
    }
    mover.await.unwrap();
    let most = started.elapsed().as_millis() / 200 + 1;
    assert!((3..=most).contains(&events), "{events} events");
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_changes_sends_heartbeats() {
    let mut world = World::new().await;
    world.settings.event_heartbeat = Duration::from_secs(5);
    let mut stream = Stream::open(&world.router(), &world.token().await).await;
    stream.event().await.unwrap();
    let started = Instant::now();
    assert!(stream.next().await.unwrap().starts_with(": heartbeat"));
    assert_eq!(started.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn streams_are_bounded_and_a_closed_one_makes_room() {
    let mut world = World::new().await;
    world.settings.event_streams_max = 1;
    let (router, token) = (world.router(), world.token().await);
    let stream = Stream::open(&router, &token).await;
    get("/v1/queue/events").queued(&token).send(&router).await.refuses(Code::Unavailable);
    drop(stream);
    Stream::open(&router, &token).await.event().await.unwrap();
}
