//! Slow and greedy clients, which must not keep others from being served.

use std::{net::Ipv4Addr, time::Duration};

use boxoffice_testkit::load_balancer::LoadBalancer;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::support::{
    all,
    client::Buyer,
    queue_stream::QueueStream,
    raw::Raw,
    send_together,
    server::Server,
    show::{Terms, server_with_show},
    text, until,
};

/// A patience that tests wait for.
const SHORT: (&str, &str) = ("SLOW_CLIENT_SECONDS", "1");
const CROWD: usize = 40;

/// A head whose body has a hundred bytes.
const HEAD: &str =
    "POST /v1/accounts HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n";

async fn waits_for_cuts(server: &Server, reason: &str, count: usize) {
    let line = format!("boxoffice_connections_cut_total{{reason=\"{reason}\"}} {count}");
    until(&line, async || server.api().metrics().await.lines().any(|known| known == line)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_comes_slowly_is_cut_off_and_an_idle_connection_is_not() {
    let server = Server::start(&[SHORT]).await;
    let mut idle = Raw::connect(&server).await;
    let mut slow = Vec::new();
    for _ in 0..CROWD {
        let mut connection = Raw::connect(&server).await;
        connection.send("GET /v1/concerts HTTP/1.1\r\nHost: test\r\nX-Slow: ").await;
        slow.push(tokio::spawn(connection.drip("x", Duration::from_millis(100))));
    }
    server.api().get("/v1/concerts").send().await.is(200);
    all(slow).await;
    waits_for_cuts(&server, "head", CROWD).await;
    // It has sent nothing for longer than a head may take.
    idle.send("GET /v1/concerts HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert_eq!(idle.response().await.0, 200);
    // The time begins with the head, not with the connection.
    idle.send("GET /v1/concerts HTTP/1.1\r\nHost: ").await;
    idle.drip("x", Duration::from_millis(100)).await;
    waits_for_cuts(&server, "head", CROWD + 1).await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_has_64_kib_at_most_and_one_host() {
    let server = Server::start(&[]).await;
    let head = |bytes: usize| {
        let begin = "GET /v1/concerts HTTP/1.1\r\nHost: test\r\n";
        let fields = (bytes - begin.len() - 2) / 4_096;
        let field = |number| format!("X-{number:04}: {}\r\n", "x".repeat(4_096 - 10));
        let mut head = begin.to_owned();
        head.extend((0..fields).map(field));
        let rest = bytes - head.len() - 2;
        head.extend(["Y: ", &"y".repeat(rest - 5), "\r\n\r\n"]);
        assert_eq!(head.len(), bytes);
        head
    };
    for (bytes, status) in [(64 * 1_024, 200), (64 * 1_024 + 1, 431), (100 * 1_024, 431)] {
        let mut connection = Raw::connect(&server).await;
        connection.send(&head(bytes)).await;
        assert_eq!(connection.response().await.0, status, "{bytes}");
    }
    for hosts in ["", "Host: one\r\nHost: two\r\n", "Host: one\r\nHost: one\r\n"] {
        let mut connection = Raw::connect(&server).await;
        connection.send(&format!("GET /v1/concerts HTTP/1.1\r\n{hosts}\r\n")).await;
        connection.refused(400, "malformed_request").await;
    }
    let mut older = Raw::connect(&server).await;
    older.send("GET /v1/concerts HTTP/1.0\r\n\r\n").await;
    assert_eq!(older.response().await.0, 200);
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_one_byte_on_more_connections_than_permits_keep_nobody_out() {
    let server = Server::start(&[SHORT, ("CONCURRENT_REQUESTS_MAX", "4")]).await;
    let mut slow = Vec::new();
    for _ in 0..CROWD {
        let mut connection = Raw::connect(&server).await;
        connection.send(&format!("{HEAD}{{")).await;
        slow.push(connection);
    }
    for _ in 0..CROWD {
        server.api().get("/v1/concerts").send().await.is(200);
    }
    Buyer::new(server.api()).await;
    for mut connection in slow {
        connection.refused(408, "body_too_slow").await;
        assert!(connection.is_closed().await);
    }
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_responses_slowly_is_cut_off_and_a_quiet_stream_is_not() {
    let (server, show) = server_with_show(&[SHORT], Terms::max_active(1)).await;
    let buyers = Buyer::many_in_queue(server.api(), 2, &show.concert).await;
    let mut stream = QueueStream::open(&buyers[1]).await;
    assert_eq!(stream.status().await["position"], 1);
    let opened = Instant::now();
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut connection = Raw::connect(&server).await;
        // Far more than what the kernels take.
        connection.send(&"GET /openapi.json HTTP/1.1\r\nHost: test\r\n\r\n".repeat(100)).await;
        slow.push(tokio::spawn(connection.sip(64, Duration::from_millis(200))));
    }
    waits_for_cuts(&server, "response", 4).await;
    slow.iter().for_each(tokio::task::JoinHandle::abort);
    // Nothing was written to the stream for longer than a response may take.
    sleep(Duration::from_secs(3).saturating_sub(opened.elapsed())).await;
    buyers[0].leave().await;
    assert_eq!(stream.status().await["status"], "active");
    drop(stream);
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_its_share_of_the_connections_unless_a_proxy_counts_them() {
    let server = Server::start(&[("CONNECTIONS_PER_ADDRESS", "3")]).await;
    let greedy = Ipv4Addr::new(127, 0, 0, 2);
    let ask = "GET /v1/concerts HTTP/1.1\r\nHost: test\r\n\r\n";
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut connection = Raw::connect_from(&server, greedy).await;
        connection.send(ask).await;
        assert_eq!(connection.response().await.0, 200);
        open.push(connection);
    }
    for _ in 0..5 {
        assert!(Raw::connect_from(&server, greedy).await.is_closed().await);
    }
    waits_for_cuts(&server, "address", 5).await;
    // Those that it has go on, and so do other addresses.
    open[0].send(ask).await;
    assert_eq!(open[0].response().await.0, 200);
    server.api().get("/v1/concerts").send().await.is(200);
    // One that it closes makes room.
    open.pop();
    until("there is room", async || {
        let mut connection = Raw::connect_from(&server, greedy).await;
        connection.try_send(ask).await && connection.try_response().await.is_some_and(|(status, _)| status == 200)
    })
    .await;
    drop(open);
    server.finish().await;

    let server = Server::start(&[("CONNECTIONS_PER_ADDRESS", "3"), ("TRUST_FORWARDED_FOR", "true")]).await;
    let mut open = Vec::new();
    for _ in 0..10 {
        let mut connection = Raw::connect(&server).await;
        connection.send(ask).await;
        assert_eq!(connection.response().await.0, 200);
        open.push(connection);
    }
    drop(open);
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_counts_the_connections_of_an_address_and_keeps_slow_bodies() {
    let server = Server::start(&[("TRUST_FORWARDED_FOR", "true"), ("CONCURRENT_REQUESTS_MAX", "1")]).await;
    let balancer = LoadBalancer::start_limited(&[server.address()], 3).await.expect("HAProxy starts");
    let greedy = Ipv4Addr::new(127, 0, 0, 2);
    let mut slow = Vec::new();
    for _ in 0..3 {
        let mut connection = Raw::connect_to(balancer.address(), greedy).await;
        connection.send(&format!("{HEAD}{{")).await;
        slow.push(connection);
    }
    // The proxy accepts by several threads, so a later connection may be counted before an earlier one, which is refused
    // then: what comes in its place stays open.
    let mut later = Vec::new();
    until("the address has all its connections", async || {
        let connection = Raw::unless_refused(balancer.address(), greedy).await;
        let is_refused = connection.is_none();
        later.extend(connection);
        is_refused
    })
    .await;
    for _ in 0..5 {
        assert!(Raw::is_refused(balancer.address(), greedy).await);
    }
    let mut other = Raw::connect_to(balancer.address(), Ipv4Addr::new(127, 0, 0, 3)).await;
    other.send("GET /v1/concerts HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert_eq!(other.response().await.0, 200);
    // The instance sees a request when its body has come.
    let mut first = slow.remove(0);
    first.send(&format!("{}}}", " ".repeat(98))).await;
    first.refused(422, "validation_failed").await;
    let accounts = "http_requests_total{method=\"POST\",route=\"/v1/accounts\",status=\"422\"} 1";
    assert!(server.api().metrics().await.lines().any(|line| line == accounts));
    drop((slow, later, first, other, balancer));
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_holds_and_cancels_without_end_is_slowed_down_and_others_are_not() {
    let settings = [("ACCOUNT_ACTS_PER_SECOND", "5"), ("ACCOUNT_ACTS_BURST", "12")];
    let (server, show) = server_with_show(&settings, Terms::default()).await;
    let buyers = Buyer::many_admitted(server.api(), 2, &show.concert).await;
    let (greedy, other) = (&buyers[0], &buyers[1]);
    let began = Instant::now();
    let (mut pairs, mut refused) = (0, 0);
    for _ in 0..40 {
        let held = greedy.ask_hold(&show.performance, &["A-1-1"]).send().await;
        if held.status == 201 {
            pairs += 1;
            until("it is cancelled", async || {
                let cancelled = greedy.ask_cancel(&held.id()).send().await;
                refused += usize::from(cancelled.status == 429);
                cancelled.status == 200
            })
            .await;
        } else {
            held.refuses(429, "rate_limited");
            assert_eq!(held.header("ratelimit-policy"), Some("\"acts\";q=12;w=3"));
            refused += 1;
        }
    }
    let acts = 12.0 + 5.0 * began.elapsed().as_secs_f64();
    assert!(f64::from(pairs) * 2.0 <= acts, "{pairs} pairs in {:?}", began.elapsed());
    assert!(refused > 0);
    // Reading is no act.
    for answer in send_together(30, |_| greedy.get("/v1/wallet")).await {
        answer.is(200);
    }
    other.hold(&show.performance, &["A-2-1"]).await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_network_has_its_share_of_the_streams_and_another_gets_one() {
    let settings = [("EVENT_STREAMS_PER_NETWORK", "4"), ("EVENT_STREAMS_MAX", "5"), ("TRUST_FORWARDED_FOR", "true")];
    let (server, show) = server_with_show(&settings, Terms::default()).await;
    let buyers = Buyer::many_admitted(server.api(), 3, &show.concert).await;
    let mut streams = Vec::new();
    for number in 0..4 {
        streams.push(QueueStream::open_from(&buyers[number / 2], &format!("2001:db8:1:{number}::1")).await);
    }
    let events = |buyer: &Buyer| buyer.get("/v1/queue/events").header("accept", "text/event-stream");
    let refused = events(&buyers[2]).header("x-forwarded-for", "2001:db8:1:ffff::1").send().await;
    refused.refuses(429, "rate_limited");
    assert_eq!(refused.header("ratelimit-policy"), Some("\"streams\";q=4;qu=\"concurrent-requests\""));
    let mut other = QueueStream::open_from(&buyers[2], "2001:db8:2::1").await;
    assert_eq!(other.status().await["status"], "active");
    events(&buyers[2]).header("x-forwarded-for", "192.0.2.1").send().await.refuses(503, "unavailable");
    drop((streams, other));
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_its_access_token_expires_or_its_session_ends() {
    let (server, show) = server_with_show(&[("ACCESS_TOKEN_SECONDS", "4")], Terms::default()).await;
    let mut buyer = Buyer::admitted(server.api(), &show.concert).await;
    let stream = QueueStream::open(&buyer).await;
    assert_eq!(stream.end().await, "access_token_expired");
    buyer.get("/v1/me").send().await.refuses(401, "access_token_expired");
    let body = json!({"refresh_token": buyer.refresh_token});
    let session = server.api().post("/v1/sessions/refresh", &body).send().await;
    text(session.is(200), "access_token").clone_into(&mut buyer.asks.access_token);
    let mut stream = QueueStream::open(&buyer).await;
    assert_eq!(stream.status().await["status"], "active");
    buyer.delete("/v1/sessions/current").send().await.is(204);
    assert_eq!(stream.end().await, "unauthenticated");
    server.finish().await;
}
