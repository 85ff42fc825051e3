//! The metrics that operators rely on. `tests/documents` checks what the documents say about them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use boxoffice_testkit::servers::{RedisServer, free_port};
use boxoffice_tests::{Metric, documented_metrics, read, word_at};
use serde_json::json;

use crate::support::{
    client::{Api, Buyer},
    queue_stream::QueueStream,
    server::{MARIADB, Server, run_binary},
    show::{PRICE, Show, Terms},
    until,
};

/// The metrics in the text format of Prometheus.
fn exported(text: &str) -> BTreeMap<String, Metric> {
    let mut metrics = BTreeMap::new();
    let mut latest = "";
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) {
            metrics.insert(name.to_owned(), Metric { kind: kind.to_owned(), labels: BTreeSet::new() });
            latest = name;
        } else if let Some((labels, _)) = word_at(line).1.strip_prefix('{').and_then(|rest| rest.split_once("\"}")) {
            let names = labels.split("\",").filter_map(|label| Some(label.split_once('=')?.0));
            // A histogram has a label for its buckets.
            let names = names.filter(|name| *name != "le").map(str::to_owned);
            metrics.get_mut(latest).expect("the kind comes first").labels.extend(names);
        }
    }
    metrics
}

/// A server with the settings of the reference deployment, and the address of its metrics.
async fn reference_server(redis: &RedisServer) -> (Server, Api) {
    let environment = read("docs/operations/boxoffice.env");
    let variables = environment.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    let mut settings: BTreeMap<_, _> =
        variables.map(|(name, value)| (name.strip_prefix("BOXOFFICE_").expect("a setting"), value)).collect();
    let metrics = format!("127.0.0.1:{}", free_port().expect("a port"));
    let redis = redis.url();
    // Addresses are those of the test, which does not wait for a load balancer at its end.
    for (name, value) in [
        ("LISTEN", None),
        ("DATABASE", None),
        ("DATABASE_CA_FILE", None),
        ("KEYS_FILE", None),
        ("METRICS_LISTEN", Some(metrics.as_str())),
        ("WAITING_ROOM", Some(redis.as_str())),
        ("DRAIN_SECONDS", Some("0")),
    ] {
        assert!(settings.remove(name).is_some(), "{name} is not in the file");
        settings.extend(value.map(|value| (name, value)));
    }
    // Nobody is there; the metrics of traces count all the same.
    settings.insert("TRACES_ENDPOINT", "http://127.0.0.1:9/v1/traces");
    settings.extend([("MAIL", "smtp://127.0.0.1:9"), ("MAIL_FROM", "tickets@example.org")]);
    settings.insert("EVENTS", "amqp://127.0.0.1:9");
    let server = Server::start_on(MARIADB, &settings.into_iter().collect::<Vec<_>>()).await;
    (server, Api::new(&format!("http://{metrics}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exported_metrics_are_the_documented_ones_and_count_what_happens() {
    let redis = RedisServer::start().await.expect("it starts");
    let (server, operators) = reference_server(&redis).await;
    let show = Show::on(&server, Terms::default()).await;
    let buyer = Buyer::admitted(server.api(), &show.concert).await;
    buyer.charge(5 * PRICE).await;
    buyer.seats(&show.performance).await;
    let mut stream = QueueStream::open(&buyer).await;
    assert_eq!(stream.status().await["status"], "active");
    let counts = async |name: &str, expected: f64| {
        let counted = operators.metric(name).await;
        assert!((counted - expected).abs() < f64::EPSILON, "{name} is {counted}");
    };
    counts("boxoffice_event_streams", 1.0).await;
    drop(stream);
    let reservation = buyer.hold(&show.performance, &["A-1-1", "A-1-2"]).await;
    buyer.pay(&reservation).await;
    buyer.ask_cancel("no-id").send().await.refuses(400, "malformed_request");
    let queue_active = format!(r#"boxoffice_queue_active{{concert="{}"}} 0"#, show.concert);
    until("the stream is closed, and the queues and the pending charges are measured", async || {
        let text = operators.metrics().await;
        let has = |series: &str| text.lines().any(|line| line.starts_with(series));
        let measured = has(&queue_active) && has("boxoffice_charges_pending 0");
        measured && has("boxoffice_event_streams 0") && has("boxoffice_redis_connected 1")
    })
    .await;
    let text = operators.metrics().await;
    assert_eq!(exported(&text), documented_metrics());
    for (name, expected) in [
        ("boxoffice_holds_total", 1.0),
        ("boxoffice_payments_total", 1.0),
        ("boxoffice_points_charged_total", 5_000.0),
        ("boxoffice_queue_joined_total", 1.0),
        ("boxoffice_refusals_total", 1.0),
    ] {
        counts(name, expected).await;
    }
    for name in [
        "http_request_duration_seconds_count",
        "boxoffice_batch_commands_count",
        "boxoffice_commit_seconds_count",
        "boxoffice_pool_connections",
    ] {
        assert!(operators.metric(name).await > 0.0, "{name} counts nothing");
    }
    for series in [
        r#"boxoffice_refusals_total{code="malformed_request"} 1"#,
        r#"http_requests_total{method="POST",route="/v1/reservations",status="201"} 1"#,
        r#"route="/v1/reservations/{id}/cancel",status="400"} 1"#,
    ] {
        assert!(text.contains(series), "{series}\n{text}");
    }
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_behind_alerts_are_counted() {
    let redis = RedisServer::start().await.expect("it starts");
    let settings = [("WAITING_ROOM", &*redis.url()), ("SIMULATOR_MODE", "fail"), ("CHARGE_RETRY_SECONDS", "1")];
    let mut server = Server::prepare(&settings);
    let keys = server.keys_file();
    run_binary(&["keys", "rotate", "--keys-file", &keys]);
    server.set("KEYS_FILE", &keys);
    let server = server.started().await;
    let api = server.api();
    let counted = async |series: &str, least: f64, most: f64| {
        until(series, async || {
            let text = api.metrics().await;
            let value = text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse::<f64>().ok());
            value.is_some_and(|value| (least..=most).contains(&value))
        })
        .await;
    };
    counted("boxoffice_redis_connected", 1.0, 1.0).await;
    counted("boxoffice_charges_pending", 0.0, 0.0).await;
    counted(r#"boxoffice_keys_accepted{tokens="access"}"#, 1.0, 1.0).await;
    counted(r#"boxoffice_worker_failures_total{worker="keys"}"#, 0.0, 0.0).await;
    counted(r#"boxoffice_write_retries_total{reason="connection_lost"}"#, 0.0, 0.0).await;
    counted(r#"boxoffice_redis_failures_total{reason="redis"}"#, 0.0, 0.0).await;

    let buyer = Buyer::new(api).await;
    buyer.ask_charge(10).send().await.refuses(502, "gateway_failed");
    counted("boxoffice_charges_pending", 1.0, 1.0).await;
    run_binary(&["keys", "rotate", "--keys-file", &keys, "--prepare"]);
    counted(r#"boxoffice_keys_accepted{tokens="access"}"#, 2.0, 2.0).await;
    fs::remove_file(&keys).expect("the file is removed");
    counted(r#"boxoffice_worker_failures_total{worker="keys"}"#, 1.0, f64::MAX).await;
    redis.kill().await.expect("it is killed");
    counted("boxoffice_redis_connected", 0.0, 0.0).await;
    counted(r#"boxoffice_redis_failures_total{reason="away"}"#, 1.0, f64::MAX).await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_may_have_a_port_of_their_own() {
    let address = format!("127.0.0.1:{}", free_port().expect("a port"));
    let server = Server::start(&[("METRICS_LISTEN", &address)]).await;
    server.api().get("/metrics").send().await.refuses(404, "not_found");
    let operators = Api::new(&format!("http://{address}"));
    operators.get("/metrics").send().await.is(200);
    assert_eq!(operators.get("/readyz").send().await.is(200), &json!({"status": "ok"}));
    let version = operators.get("/version").send().await;
    assert_eq!(version.is(200), &json!({"name": "boxoffice", "version": env!("CARGO_PKG_VERSION")}));
    operators.get("/healthz").send().await.is(200);
    server.finish().await;
}
