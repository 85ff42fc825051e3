//! Traces, as a collector gets them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use boxoffice_testkit::servers::RedisServer;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message;
use tokio::net::TcpListener;

use crate::support::{
    client::Buyer,
    server::{MARIADB, Server},
    show::{Show, Terms, server_with_buyer},
    until,
};

/// What a collector was sent.
#[derive(Default)]
struct Received {
    spans: Vec<Span>,
    services: Vec<BTreeMap<String, String>>,
    fields: Vec<HeaderMap>,
    /// What it answers with, if it refuses.
    refuses_with: Option<StatusCode>,
}

/// A collector: an endpoint for OTLP over HTTP.
struct Collector {
    url: String,
    received: Arc<Mutex<Received>>,
}

impl Collector {
    async fn start() -> Self {
        let received = Arc::<Mutex<Received>>::default();
        let router = Router::new().route("/v1/traces", post(receive)).with_state(Arc::clone(&received));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, router).await });
        Self { url, received }
    }

    /// Settings with which a server traces each request to it.
    fn settings(&self) -> [(&str, &str); 2] {
        [("TRACES_ENDPOINT", &self.url), ("TRACES_RATIO", "1")]
    }

    fn spans(&self) -> Vec<Span> {
        self.received.lock().unwrap().spans.clone()
    }

    fn refuse_with(&self, status: Option<StatusCode>) {
        self.received.lock().unwrap().refuses_with = status;
    }
}

async fn receive(State(received): State<Arc<Mutex<Received>>>, fields: HeaderMap, body: Bytes) -> StatusCode {
    let mut received = received.lock().unwrap();
    if let Some(status) = received.refuses_with {
        return status;
    }
    assert_eq!(fields["content-type"], "application/x-protobuf");
    received.fields.push(fields);
    let request = ExportTraceServiceRequest::decode(body).expect("a request by the protocol");
    for resource in request.resource_spans {
        received.services.push(attributes(&resource.resource.expect("a service").attributes));
        received.spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
    }
    StatusCode::OK
}

fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &KeyValue| match value.value.clone().and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|attribute| (attribute.key.clone(), text(attribute))).collect()
}

/// The names of the spans below one, and of those below them, in the order of their beginning.
fn below<'s>(spans: &'s [Span], parent: &Span) -> Vec<&'s str> {
    let mut children: Vec<_> = spans.iter().filter(|span| span.parent_span_id == parent.span_id).collect();
    children.sort_by_key(|span| span.start_time_unix_nano);
    children.into_iter().flat_map(|child| [vec![&*child.name], below(spans, child)].concat()).collect()
}

fn named<'s>(spans: &'s [Span], name: &str) -> &'s Span {
    let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no {name} in {names:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_shows_what_a_request_did_and_which_batch_its_command_came_into() {
    let collector = Collector::start().await;
    let mut server = Server::prepare(&collector.settings());
    server.set_variable("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test");
    server.set_variable("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer collector-key");
    let mut server = server.started().await;
    let show = Show::on(&server, Terms::default()).await;
    let buyer = Buyer::admitted(server.api(), &show.concert).await;
    let held = buyer.ask_hold(&show.performance, &["A-1-1"]).header("x-request-id", "the-hold").send().await;
    held.is(201);
    server.api().get("/v1/nothing").send().await.refuses(404, "not_found");
    // What is left is sent when the server stops.
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(0));

    let spans = collector.spans();
    let request = named(&spans, "POST /v1/reservations");
    assert_eq!((request.kind, request.parent_span_id.len()), (2, 0), "a server's span, and the first of its trace");
    let expected = [
        ("boxoffice.request_id", "the-hold"),
        ("http.request.method", "POST"),
        ("http.response.status_code", "201"),
        ("http.route", "/v1/reservations"),
    ];
    assert_eq!(attributes(&request.attributes), expected.map(|(key, value)| (key.into(), value.into())).into());
    let below_it = below(&spans, request);
    assert!(below_it.starts_with(&["http.reservations.hold"]), "{below_it:?}");
    assert!(below_it.contains(&"persistence.command"), "{below_it:?}");

    let command = |span: &&Span| span.name == "persistence.command" && span.trace_id == request.trace_id;
    let command = spans.iter().find(command).expect("the command of the hold");
    let said = attributes(&command.attributes);
    assert_eq!((&*said["lane"], &*said["batch_commands"]), ("0", "1"));
    assert!(said["waited_seconds"].parse::<f64>().unwrap() >= 0.0);
    let leads_to_command = |batch: &&Span| batch.links.iter().any(|link| link.span_id == command.span_id);
    let batch = spans.iter().find(leads_to_command).expect("the batch of the hold");
    assert_eq!((&*batch.name, batch.parent_span_id.len()), ("persistence.batch", 0));
    let stages = ["persistence.transaction", "persistence.load", "persistence.save", "persistence.commit"];
    assert_eq!(below(&spans, batch), stages);

    // Neither what a client made up nor anything that names a person is in a trace.
    let unknown = named(&spans, "GET");
    assert_eq!(attributes(&unknown.attributes)["http.response.status_code"], "404");
    let text = format!("{spans:?}");
    for secret in ["/v1/nothing", "127.0.0.1", &buyer.login_id, &buyer.asks.access_token, &show.performance] {
        assert!(!text.contains(secret), "{secret}");
    }
    let Received { services, fields, .. } = std::mem::take(&mut *collector.received.lock().unwrap());
    for service in &services {
        assert_eq!((&*service["service.name"], &*service["deployment.environment.name"]), ("boxoffice", "test"));
    }
    assert!(fields.iter().all(|fields| fields["authorization"] == "Bearer collector-key"));
    server.remove_database().await;
}

/// One that comes from anybody would let a stranger choose what is traced.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_belongs_to_the_trace_that_the_proxy_in_front_names() {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    let traceparent = format!("00-{TRACE}-b7ad6b7169203331-01");
    for (behind_proxy, traced) in [("true", true), ("false", false)] {
        let collector = Collector::start().await;
        // Of those that belong to no trace, none is traced.
        let settings =
            [("TRACES_ENDPOINT", &*collector.url), ("TRACES_RATIO", "0"), ("TRUST_FORWARDED_FOR", behind_proxy)];
        let mut server = Server::start(&settings).await;
        for traceparent in [Some(&traceparent), None] {
            let ask = server.api().get("/v1/concerts");
            let ask = match traceparent {
                Some(traceparent) => ask.header("traceparent", traceparent),
                None => ask,
            };
            ask.send().await.is(200);
        }
        server.terminate();
        server.ended().await;
        let spans = collector.spans();
        let of_trace = |span: &Span| span.trace_id == u128::from_str_radix(TRACE, 16).unwrap().to_be_bytes();
        assert_eq!(spans.iter().any(of_trace), traced, "{spans:?}");
        assert!(spans.iter().all(of_trace), "{spans:?}");
        server.remove_database().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_refuses_or_is_away_costs_nothing_but_its_traces() {
    let collector = Collector::start().await;
    collector.refuse_with(Some(StatusCode::SERVICE_UNAVAILABLE));
    let [endpoint, ratio] = collector.settings();
    let settings = [endpoint, ratio];
    let mut server = Server::prepare(&settings);
    server.set_variable("OTEL_BSP_SCHEDULE_DELAY", "100");
    let mut server = server.started().await;
    server.breaks_things = true;
    let show = Show::on(&server, Terms::default()).await;
    let buyer = Buyer::admitted(server.api(), &show.concert).await;
    buyer.hold(&show.performance, &["A-1-1"]).await;
    until("the server says that traces are lost", async || server.log().contains("traces cannot be sent")).await;
    collector.refuse_with(None);
    until("traces are sent again", async || {
        server.api().get("/v1/concerts").send().await.is(200);
        server.log().contains("traces are sent again")
    })
    .await;
    assert_eq!(server.log().matches("traces cannot be sent").count(), 1, "{}", server.log());
    let made = server.api().metric("boxoffice_trace_spans_total").await;
    let sent = server.api().metric("boxoffice_trace_spans_sent_total").await;
    assert!(0.0 < sent && sent < made, "{sent} of {made}");
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_and_scripts_of_servers_are_in_traces() {
    let collector = Collector::start().await;
    let redis = RedisServer::start().await.unwrap();
    let [endpoint, ratio] = collector.settings();
    let mut server = Server::start_on(MARIADB, &[endpoint, ratio, ("WAITING_ROOM", &redis.url())]).await;
    let show = Show::on(&server, Terms::default()).await;
    let buyer = Buyer::admitted(server.api(), &show.concert).await;
    buyer.seats(&show.performance).await;
    server.terminate();
    server.ended().await;
    let spans = collector.spans();
    let joined = named(&spans, "POST /v1/concerts/{id}/queue");
    assert!(below(&spans, joined).contains(&"redis.script"), "{:?}", below(&spans, joined));
    assert!(spans.iter().any(|span| span.name == "persistence.read"));
    server.remove_database().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_trace_is_made_unless_that_is_wanted() {
    let (server, show, buyer) = server_with_buyer(&[("TRACES_RATIO", "1")], Terms::default()).await;
    buyer.seats(&show.performance).await;
    assert!(!server.api().metrics().await.contains("boxoffice_trace_spans_total "));
    server.finish().await;
}
