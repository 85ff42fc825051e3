//! Events for other systems, sent by the server to endpoints on the loopback.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
    routing::post,
};
use boxoffice_testkit::tcp_proxy::{CutAt, Network, TcpProxy};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle, time::Instant};

use crate::support::{client::Buyer, seconds_from_now, server::Server, text, until};

/// What an endpoint has received: the header fields and the body.
type Received = Arc<Mutex<BTreeMap<String, Vec<(HeaderMap, String)>>>>;

/// Endpoints, one for each path, whose name says what it does. They are behind a network that can be broken.
pub(crate) struct Endpoints {
    network: TcpProxy,
    received: Received,
    serving: JoinHandle<()>,
}

impl Endpoints {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let network = TcpProxy::start(listener.local_addr().expect("an address")).expect("a free port");
        let received = Received::default();
        Self { network, serving: serve(listener, &received), received }
    }

    /// Refuses connections from now on, and cuts those that are open: answers under way are lost. What was received stays.
    pub(crate) async fn stop(&self) {
        self.network.set(Network::Refusing).await;
        self.network.cut_all();
    }

    /// Takes connections again at the same address.
    pub(crate) async fn start_again(&self) {
        self.network.set(Network::Whole).await;
    }

    /// From now on, cuts one in `one_in` of the connections that bring an event.
    pub(crate) fn cut_one_in(&self, one_in: usize, at: CutAt) {
        self.network.cut_when(b"webhook-id", at, one_in);
    }

    /// How many connections that brought an event were cut.
    pub(crate) fn cuts(&self) -> usize {
        self.network.cuts()
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.network.address())
    }

    pub(crate) fn received(&self, name: &str) -> Vec<(HeaderMap, String)> {
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        received.get(name).cloned().unwrap_or_default()
    }
}

impl Drop for Endpoints {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn serve(listener: TcpListener, received: &Received) -> JoinHandle<()> {
    let router = Router::new().route("/{name}", post(answer)).with_state(Arc::clone(received));
    tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") })
}

async fn answer(State(received): State<Received>, Path(name): Path<String>, head: HeaderMap, body: String) -> Response {
    let count = {
        let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
        let requests = received.entry(name.clone()).or_default();
        requests.push((head, body));
        requests.len()
    };
    match name.as_str() {
        "fails_once" if count == 1 => (StatusCode::INTERNAL_SERVER_ERROR, "not today").into_response(),
        "gone" => StatusCode::GONE.into_response(),
        "redirects" => (StatusCode::FOUND, [(LOCATION, "/target")]).into_response(),
        "hangs" => std::future::pending().await,
        _ => (StatusCode::OK, "thanks").into_response(),
    }
}

async fn server() -> Server {
    Server::start(&[("WEBHOOKS_PRIVATE_ADDRESSES", "true"), ("ACCOUNT_ACTS_PER_SECOND", "0")]).await
}

/// Makes a webhook, and returns its path.
pub(crate) async fn webhook(owner: &Buyer, url: &str) -> String {
    let made = owner.post("/v1/webhooks", &json!({"url": url, "kinds": ["*"]})).send().await;
    format!("/v1/webhooks/{}", text(made.is(201), "id"))
}

async fn send_test(owner: &Buyer, webhook: &str) {
    owner.ask("POST", format!("{webhook}/test")).send().await.is(202);
}

/// The newest deliveries of a webhook.
async fn deliveries(owner: &Buyer, webhook: &str, query: &str) -> Vec<Value> {
    let list = owner.get(format!("{webhook}/deliveries?limit=100{query}")).send().await;
    list.is(200)["items"].as_array().expect("a list").clone()
}

/// Waits until the only delivery of a webhook is as it should be.
async fn until_delivery(owner: &Buyer, webhook: &str, is_right: impl Fn(&Value) -> bool) -> Value {
    until("the delivery is as it should be", async || {
        deliveries(owner, webhook, "").await.first().is_some_and(&is_right)
    })
    .await;
    deliveries(owner, webhook, "").await.remove(0)
}

#[tokio::test]
async fn an_event_is_sent_until_the_endpoint_accepts_it() {
    let (server, endpoints) = (server().await, Endpoints::start().await);
    let promoter = server.promoter("promoter").await;
    let names = ["accepts", "fails_once", "gone", "redirects"];
    let mut webhooks = BTreeMap::new();
    for name in names {
        let webhook = webhook(&promoter, &endpoints.url(name)).await;
        send_test(&promoter, &webhook).await;
        webhooks.insert(name, webhook);
    }
    let accepted = until_delivery(&promoter, &webhooks["accepts"], |found| found["status"] == "delivered").await;
    assert_eq!((&accepted["attempts_count"], &accepted["last_attempt"]["status"]), (&json!(1), &json!(200)));
    assert_eq!(accepted["last_attempt"]["answer"], "thanks");
    let received = endpoints.received("accepts");
    let [(head, body)] = &received[..] else { panic!("{received:?}") };
    let event: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!((&event["kind"], &event["id"]), (&json!("webhook.test"), &accepted["event_id"]));
    assert_eq!(head["webhook-id"], text(&event, "id"));
    assert!(head["webhook-signature"].to_str().expect("text").starts_with("v1,"));

    let gone = until_delivery(&promoter, &webhooks["gone"], |found| !found["last_attempt"].is_null()).await;
    assert_eq!((&gone["status"], &gone["last_attempt"]["status"]), (&json!("pending"), &json!(410)));
    let off = promoter.get(webhooks["gone"].as_str()).send().await;
    assert_eq!((&off.is(200)["on"], &off.json["off_reason"]), (&json!(false), &json!("gone")));
    let redirected = until_delivery(&promoter, &webhooks["redirects"], |found| !found["last_attempt"].is_null()).await;
    assert_eq!(redirected["last_attempt"]["status"], 302);
    assert_eq!(endpoints.received("target").len(), 0, "a redirect is not followed");

    let second = until_delivery(&promoter, &webhooks["fails_once"], |found| found["status"] == "delivered").await;
    assert_eq!(second["attempts_count"], 2);
    let received = endpoints.received("fails_once");
    let ids: Vec<_> = received.iter().map(|(head, _)| head["webhook-id"].clone()).collect();
    assert_eq!((ids.len(), &ids[0], &received[0].1), (2, &ids[1], &received[1].1), "the same event twice");
    let working = promoter.get(webhooks["fails_once"].as_str()).send().await;
    assert_eq!(working.is(200)["failing_since"], Value::Null);
    server.finish().await;
}

#[tokio::test]
async fn an_endpoint_that_hangs_delays_no_other_and_no_stop() {
    let (mut server, endpoints) = (server().await, Endpoints::start().await);
    let promoter = server.promoter("promoter").await;
    let slow = webhook(&promoter, &endpoints.url("hangs")).await;
    let fast = webhook(&promoter, &endpoints.url("accepts")).await;
    for webhook in [&slow, &fast] {
        for _ in 0..30 {
            send_test(&promoter, webhook).await;
        }
    }
    until("all is sent to the other endpoint", async || {
        deliveries(&promoter, &fast, "&status=delivered").await.len() == 30
    })
    .await;
    assert_eq!(deliveries(&promoter, &slow, "&status=pending").await.len(), 30);
    let before = endpoints.received("hangs").len();
    assert!((1..=2).contains(&before), "{before} requests at once to an endpoint that has not answered");

    let began = Instant::now();
    server.stop().await;
    assert!(began.elapsed() < Duration::from_secs(10), "the stop took {:?}", began.elapsed());
    server.start_again().await;
    until("what was in flight is sent again", async || endpoints.received("hangs").len() > before).await;
    server.finish().await;
}

#[tokio::test]
async fn what_leads_to_a_private_address_is_not_sent() {
    let (server, endpoints) = (Server::start(&[]).await, Endpoints::start().await);
    let promoter = server.promoter("promoter").await;
    let port = endpoints.network.address().port();
    let webhook = webhook(&promoter, &format!("http://localhost:{port}/accepts")).await;
    send_test(&promoter, &webhook).await;
    let refused = until_delivery(&promoter, &webhook, |found| !found["last_attempt"].is_null()).await;
    assert_eq!(
        (&refused["status"], &refused["last_attempt"]["failure"]),
        (&json!("pending"), &json!("refused_address"))
    );
    assert_eq!(endpoints.received("accepts").len(), 0);
    server.finish().await;
}

/// Prints how fast it is, for which a build for release is needed to mean anything.
#[tokio::test]
async fn a_span_of_events_is_sent_again() {
    const EVENTS: usize = 300;
    let (server, endpoints) = (server().await, Endpoints::start().await);
    let promoter = server.promoter("promoter").await;
    let webhook = webhook(&promoter, &endpoints.url("accepts")).await;
    for _ in 0..EVENTS {
        send_test(&promoter, &webhook).await;
    }
    until("all is sent", async || endpoints.received("accepts").len() >= EVENTS).await;
    until("all is stored", async || deliveries(&promoter, &webhook, "&status=pending").await.is_empty()).await;
    let span = json!({"from": "2020-01-01T00:00:00Z", "to": "2020-01-31T00:00:00Z"});
    let none = promoter.post(format!("{webhook}/resend"), &span).send().await;
    assert_eq!(none.is(202)["deliveries"], 0);
    let span = json!({"from": seconds_from_now(-3_600), "to": seconds_from_now(3_600)});
    let before = endpoints.received("accepts").len();
    let began = Instant::now();
    let again = promoter.post(format!("{webhook}/resend"), &span).send().await;
    assert_eq!(again.is(202)["deliveries"], EVENTS);
    until("all is sent again", async || endpoints.received("accepts").len() >= before + EVENTS).await;
    eprintln!("{EVENTS} events were sent again in {:?}", began.elapsed());
    server.finish().await;
}
