//! The real binary behind nginx, with the configuration that operators get.

use std::time::Duration;

use boxoffice_testkit::nginx::Nginx;
use serde_json::json;
use tokio::time::Instant;

use crate::support::{
    client::{Api, Buyer},
    queue_stream::QueueStream,
    server::{PASSWORD, Server},
    show::{PRICE, Show, Terms, server_with_show},
};

/// How long an event may take through a proxy that sends it on as it comes. One that collects a response sends nothing
/// until the stream ends.
const SOON: Duration = Duration::from_secs(5);

async fn behind_nginx(settings: &[(&str, &str)], terms: Terms) -> (Server, Show, Nginx, Api) {
    let mut all = vec![("TRUST_FORWARDED_FOR", "true")];
    all.extend_from_slice(settings);
    let (server, show) = server_with_show(&all, terms).await;
    let nginx = Nginx::start(&[server.address()]).await.expect("nginx starts");
    let api = Api::balanced(&format!("http://{}", nginx.address()));
    (server, show, nginx, api)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_stream_passes_nginx_event_by_event() {
    let (server, show, _nginx, api) = behind_nginx(&[], Terms::max_active(1)).await;
    let buyers = Buyer::many_in_queue(&api, 3, &show.concert).await;
    let opened = Instant::now();
    let mut stream = QueueStream::open(&buyers[2]).await;
    let status = stream.status().await;
    assert_eq!((&status["status"], &status["position"]), (&json!("waiting"), &json!(2)));
    assert!(opened.elapsed() < SOON, "the first event came after {:?}", opened.elapsed());
    for (leaves, position, status) in [(&buyers[0], 1, "waiting"), (&buyers[1], 0, "active")] {
        let left = Instant::now();
        leaves.leave().await;
        let seen = stream.status().await;
        assert_eq!((&seen["position"], &seen["status"]), (&json!(position), &json!(status)));
        assert!(left.elapsed() < SOON, "the change came after {:?}", left.elapsed());
    }
    drop(stream);
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_and_the_largest_bodies_pass_nginx() {
    let (server, show, _nginx, api) = behind_nginx(&[], Terms::default()).await;
    let buyer = Buyer::admitted(&api, &show.concert).await;
    buyer.charge(PRICE).await;
    let held = buyer.hold(&show.performance, &["A-1-1"]).await;
    buyer.pay(&held).await;
    assert_eq!(buyer.balance().await, 0);

    let promoter = Buyer { api: api.clone(), ..server.promoter("promoter").await };
    let rows: Vec<_> = (0..2_500).map(|row| json!({"name": format!("{row:가>255}"), "seats": 24})).collect();
    let venue = json!({"name": "Arena", "location": "Seoul", "sections": [{"name": "A", "rows": rows}]});
    assert_eq!(promoter.post("/v1/venues", &venue).send().await.is(201)["capacity"], 60_000);
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_tells_clients_apart_and_answers_for_an_instance_that_is_gone() {
    let settings = [("TRUST_FORWARDED_FOR", "true"), ("ACCOUNT_REQUESTS_PER_MINUTE", "1")];
    let mut server = Server::start(&settings).await;
    let nginx = Nginx::start(&[server.address()]).await.expect("nginx starts");
    let api = Api::balanced(&format!("http://{}", nginx.address()));
    let sign_in = json!({"login_id": "no-such-account", "password": PASSWORD});
    // A client cannot choose its address: nginx adds the one that has connected.
    for (address, status) in [("192.0.2.1", 401), ("192.0.2.2", 429)] {
        let answer = api.post("/v1/sessions", &sign_in).header("x-forwarded-for", address).send().await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }
    // Operators ask the instance directly.
    for request_id in ["chosen-1", "\"quoted\""] {
        let closed = api.get("/metrics").header("x-request-id", request_id).send().await;
        let problem = closed.refuses(404, "not_found");
        assert_eq!(problem["request_id"].as_str(), closed.header("x-request-id"));
        assert_eq!(problem["request_id"] == request_id, request_id == "chosen-1");
    }
    server.breaks_things = true;
    server.kill();
    api.get("/v1/concerts").send().await.refuses(503, "unavailable");
    server.start_again().await;
    server.finish().await;
}
