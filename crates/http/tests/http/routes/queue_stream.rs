//! The stream of queue events.

use std::time::Duration;

use axum::{Router, body::Body, http::StatusCode};
use boxoffice_domain::{fixtures::instant, waiting_room::WaitingRoom};
use boxoffice_http::Code;
use futures::StreamExt;
use serde_json::Value;
use tokio::time::Instant;
use tower::ServiceExt;

use crate::world::{Ask, BRIEF_SECONDS, World, delete, get};

/// An open stream.
struct Stream(axum::body::BodyDataStream);

impl Stream {
    async fn open(router: &Router, token: &str) -> Self {
        Self::open_by(router, get("/v1/queue/events").queued(token)).await
    }

    async fn open_by(router: &Router, ask: Ask) -> Self {
        let response = router.clone().oneshot(ask.into_request()).await.unwrap();
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

    /// The code in the next event, which tells the end, whatever comes before; the stream has to end then.
    async fn end(mut self) -> String {
        loop {
            let text = self.next().await.expect("an event that tells the end");
            if let Some(data) = text.strip_prefix("event: end\ndata: ") {
                let end: Value = serde_json::from_str(data.trim_end()).unwrap();
                assert_eq!(self.next().await, None);
                return end["code"].as_str().unwrap().to_owned();
            }
        }
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

#[tokio::test(start_paused = true)]
async fn an_account_and_a_network_have_their_shares_of_the_streams() {
    let mut world = World::new().await;
    world.settings.event_streams_per_account = 2;
    world.settings.event_streams_per_network = 3;
    world.settings.trust_forwarded_for = true;
    let (token, other) = (world.token().await, world.token_of(world.stranger).await);
    let router = world.router();
    let of_customer = |address: &str| get("/v1/queue/events").queued(&token).header("x-forwarded-for", address);
    let of_stranger = |address: &str| {
        get("/v1/queue/events").signed_in("stranger").header("queue-token", &other).header("x-forwarded-for", address)
    };
    let mut streams = Vec::new();
    for _ in 0..2 {
        streams.push(Stream::open_by(&router, of_customer("192.0.2.1")).await);
    }
    let refused = of_customer("198.51.100.1").send(&router).await;
    refused.refuses(Code::RateLimited);
    assert_eq!(refused.header("retry-after"), Some("5"));
    streams.push(Stream::open_by(&router, of_stranger("192.0.2.200")).await);
    of_stranger("192.0.2.3").send(&router).await.refuses(Code::RateLimited);
    streams.push(Stream::open_by(&router, of_stranger("192.0.3.3")).await);
    // A stream that was refused takes nothing, and one that is closed gives all of it back.
    drop(streams);
    let (first, second) = (of_customer("192.0.2.1"), of_customer("192.0.2.1"));
    let _again = (Stream::open_by(&router, first).await, Stream::open_by(&router, second).await);
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_its_access_token_and_tells_why() {
    let world = World::new().await;
    let (router, token) = (world.router(), world.token().await);
    let brief = get("/v1/queue/events").queued(&token).signed_in("brief");
    let (expiring, lasting) = (Stream::open_by(&router, brief).await, Stream::open(&router, &token).await);
    let expired = tokio::spawn(expiring.end());
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert!(!expired.is_finished(), "the token is valid");
    world.stage.clock.set(instant(BRIEF_SECONDS));
    let began = Instant::now();
    assert_eq!(expired.await.unwrap(), "access_token_expired");
    assert!(began.elapsed() <= Duration::from_secs(1), "{:?}", began.elapsed());
    delete("/v1/sessions/current").signed_in("customer").send(&router).await.succeeds(StatusCode::NO_CONTENT);
    let began = Instant::now();
    assert_eq!(lasting.end().await, "unauthenticated");
    assert!(began.elapsed() <= Duration::from_secs(1), "{:?}", began.elapsed());
}
