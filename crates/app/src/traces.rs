//! Traces of requests, sent to a collector by OTLP over HTTP: what a request did, and how long each part of it took.
//!
//! A request is a span by the semantic conventions of OpenTelemetry for servers
//! (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>), and what it does are the spans of `tracing` below it.
//! Neither has a path, a login id, an address or a token in it: the request's id leads to its log lines.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::Context as _;
use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use opentelemetry::{
    Context, KeyValue,
    propagation::TextMapPropagator,
    trace::{FutureExt, SpanKind, Status, TraceContextExt, Tracer as _, TracerProvider},
};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    propagation::TraceContextPropagator,
    trace::{BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, Span, SpanData, SpanExporter, SpanProcessor},
};
use reqwest::{blocking::Client, redirect};
use tracing::{Metadata, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer,
    filter::{FilterExt, filter_fn},
    registry::LookupSpan,
};

use crate::settings::Settings;

/// How long the collector may take to answer.
const SEND_MAX: Duration = Duration::from_secs(5);
/// How long the spans that are left may take when the server stops.
const END_MAX: Duration = Duration::from_secs(5);
/// The span that log lines are written in. The one that is made here says the same by the conventions.
const LOGGED_SPAN: &str = "http.request";

/// Counts the spans that were made, and those that were sent.
const MADE: &str = "boxoffice_trace_spans_total";
const SENT: &str = "boxoffice_trace_spans_sent_total";

/// Makes traces and sends them.
pub(crate) struct Traces {
    provider: SdkTracerProvider,
    /// Whether a proxy in front says which trace a request belongs to.
    trust_parent: bool,
}

impl Traces {
    /// Begins to make traces; `None` if the settings want none. The collector need not be there.
    pub(crate) fn start(settings: &Settings) -> anyhow::Result<Option<Self>> {
        let Some(endpoint) = &settings.traces_endpoint else { return Ok(None) };
        let client = Client::builder().timeout(SEND_MAX).redirect(redirect::Policy::none()).build();
        let sender = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(client.context("no client for sending traces can be made")?)
            .with_endpoint(endpoint.as_str())
            .with_timeout(SEND_MAX)
            .build()
            .context("traces cannot be sent to `traces_endpoint`")?;
        let sender = Watched { sender, fails: AtomicBool::new(false) };
        let service = Resource::builder()
            .with_attribute(KeyValue::new("service.name", "boxoffice"))
            // Those of the environment replace the name.
            .with_detector(Box::new(opentelemetry_sdk::resource::EnvResourceDetector::new()))
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.traces_ratio))))
            .with_resource(service.build())
            .with_span_processor(Counted(BatchSpanProcessor::builder(sender).build()))
            .build();
        Ok(Some(Self { provider, trust_parent: settings.trust_forwarded_for }))
    }

    /// Makes spans of those of `tracing`.
    pub(crate) fn layer<S: Subscriber + for<'s> LookupSpan<'s>>(&self) -> impl Layer<S> {
        let ours = |metadata: &Metadata<'_>| {
            metadata.is_span() && metadata.target().starts_with("boxoffice") && metadata.name() != LOGGED_SPAN
        };
        tracing_opentelemetry::layer()
            .with_tracer(self.tracer())
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(LevelFilter::DEBUG.and(filter_fn(ours)))
    }

    /// A span around each request.
    pub(crate) fn around(&self, router: Router) -> Router {
        for counted in [MADE, SENT] {
            metrics::counter!(counted).absolute(0);
        }
        router.layer(from_fn_with_state(Requests { tracer: self.tracer(), trust_parent: self.trust_parent }, trace))
    }

    /// Sends what is left. Blocks.
    pub(crate) fn end(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(END_MAX) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the last traces could not be sent");
        }
    }

    fn tracer(&self) -> SdkTracer {
        self.provider.tracer("boxoffice")
    }
}

#[derive(Clone)]
struct Requests {
    tracer: SdkTracer,
    trust_parent: bool,
}

async fn trace(State(requests): State<Requests>, request: Request, next: Next) -> Response {
    let parent = if requests.trust_parent {
        TraceContextPropagator::new().extract_with_context(&Context::new(), &HeaderExtractor(request.headers()))
    } else {
        Context::new()
    };
    let method = match boxoffice_http::method_name(request.method()) {
        "other" => "_OTHER",
        method => method,
    };
    let mut attributes = vec![KeyValue::new("http.request.method", method)];
    let mut name = method.to_owned();
    if let Some(route) = request.extensions().get::<MatchedPath>() {
        name = format!("{method} {}", route.as_str());
        attributes.push(KeyValue::new("http.route", route.as_str().to_owned()));
    }
    let builder = requests.tracer.span_builder(name).with_kind(SpanKind::Server).with_attributes(attributes);
    let span = requests.tracer.build_with_context(builder, &parent);
    let context = parent.with_span(span);
    let response = next.run(request).with_context(context.clone()).await;

    let (status, span) = (response.status(), context.span());
    span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
    if let Some(id) = response.headers().get("x-request-id").and_then(|id| id.to_str().ok()) {
        span.set_attribute(KeyValue::new("boxoffice.request_id", id.to_owned()));
    }
    if status.is_server_error() {
        span.set_attribute(KeyValue::new("error.type", status.as_str().to_owned()));
        span.set_status(Status::error(""));
    }
    response
}

/// Counts the spans that are made. What was made and not sent is waiting, or lost.
#[derive(Debug)]
struct Counted(BatchSpanProcessor);

impl SpanProcessor for Counted {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.0.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        metrics::counter!(MADE).increment(1);
        self.0.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

/// Says when sending begins to fail, and when it works again: a collector that is away must not fill the log.
#[derive(Debug)]
struct Watched<S> {
    sender: S,
    fails: AtomicBool,
}

impl<S: SpanExporter> Watched<S> {
    fn note(&self, spans: u64, sent: &OTelSdkResult) {
        let failed = self.fails.swap(sent.is_err(), Ordering::Relaxed);
        match sent {
            Ok(()) => {
                metrics::counter!(SENT).increment(spans);
                if failed {
                    tracing::info!("traces are sent again");
                }
            }
            Err(OTelSdkError::AlreadyShutdown) => {}
            Err(error) if !failed => {
                let error = error as &dyn std::error::Error;
                tracing::warn!(error, "traces cannot be sent to the collector and are lost");
            }
            Err(_) => {}
        }
    }
}

impl<S: SpanExporter> SpanExporter for Watched<S> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let sent = self.sender.export(batch).await;
        self.note(spans, &sent);
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.sender.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.sender.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.sender.set_resource(resource);
    }
}
