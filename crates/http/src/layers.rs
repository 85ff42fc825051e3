//! The layers around every request.

use std::{panic::AssertUnwindSafe, pin::pin, sync::Arc};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version,
        header::{
            ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HOST,
            IF_MATCH, IF_NONE_MATCH, LOCATION, REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
        },
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use boxoffice_domain::EntropySource;
use futures::FutureExt;
use tokio::time::Instant;
use tower_http::cors::CorsLayer;
use tracing::{
    Instrument,
    field::{Empty, display},
};
use uuid::Uuid;

use crate::{
    api::Api,
    maintenance, outages,
    reply::{Code, IDEMPOTENCY_REPLAYED, PROBLEM_JSON, Problem, encoding::weighted},
    request::{IDEMPOTENCY_KEY, Origin, Passage, QUEUE_TOKEN},
    request_metrics::{RequestMetrics, UNMATCHED, method_name},
    routes::waiting_room::queue_stream,
    unread_body::UnreadBody,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The most characters of a request id that a client may choose.
const REQUEST_ID_CHARACTERS_MAX: usize = 128;

/// What the outermost layer needs.
#[derive(Clone)]
pub(crate) struct Observer {
    pub(crate) entropy: Arc<dyn EntropySource>,
    /// Whether a proxy in front writes the addresses of clients.
    pub(crate) trust_forwarded_for: bool,
    pub(crate) metrics: Arc<RequestMetrics>,
}

/// The outermost layer: gives the request its id and span, writes problems, adds the header fields that every response
/// has, and counts.
pub(crate) async fn observe(State(observer): State<Observer>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let request_id = chosen_id(request.headers()).unwrap_or_else(|| made_id(observer.entropy.as_ref()));
    let client = Origin::note(&mut request, Arc::clone(&request_id), observer.trust_forwarded_for);
    let method = method_name(request.method());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
    let head_only = request.method() == Method::HEAD;
    let client = client.map(display);
    let span = tracing::info_span!("http.request", request_id = &*request_id, method, route, client, account = Empty);

    let unread_body = UnreadBody::watch(&mut request);
    let mut response = if names_one_host(&request) {
        let outcome = AssertUnwindSafe(next.run(request)).catch_unwind().instrument(span.clone()).await;
        outcome.unwrap_or_else(|_panic| span.in_scope(panicked))
    } else {
        drop(request);
        Problem::malformed("The request has to have one Host field.").into_response()
    };
    let mut refusal = None;
    if let Some(problem) = problem_of(&mut response) {
        let code = problem.code().as_str();
        refusal = Some(code);
        metrics::counter!("boxoffice_refusals_total", "code" => code).increment(1);
        response = problem.render(&request_id, response, head_only);
    }
    add_common_fields(response.headers_mut(), &request_id);

    let status = response.status();
    // What is thrown away afterwards does not count.
    let duration = started.elapsed();
    let body_is_bad = matches!(status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT);
    if let Some(unread_body) = unread_body
        && (body_is_bad || !unread_body.throw_away().await)
    {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    span.in_scope(|| {
        let duration_seconds = duration.as_secs_f64();
        tracing::debug!(status = status.as_u16(), code = refusal, duration_seconds, "responded to a request");
    });
    observer.metrics.record(route, method, status, duration);
    response
}

/// Whether a request names its host once, if its version wants that (RFC 9112, section 3.2): a proxy in front could
/// otherwise take it for another host than this server does.
fn names_one_host(request: &Request) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    second.is_none() && (first.is_some() || request.version() != Version::HTTP_11)
}

/// The problem in a response. A bare 404, which the pages give for an unknown file, is one too, but no page that says so.
fn problem_of(response: &mut Response) -> Option<Problem> {
    let problem = response.extensions_mut().remove::<Problem>();
    let media_type = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let is_bare = response.status() == StatusCode::NOT_FOUND && !media_type.starts_with(b"text/html");
    problem.or_else(|| is_bare.then(|| Problem::new(Code::NotFound)))
}

fn made_id(entropy: &dyn EntropySource) -> Arc<str> {
    let mut text = Uuid::encode_buffer();
    Arc::from(&*entropy.uuid().hyphenated().encode_lower(&mut text))
}

/// The id that a client chose for its request, if it can be logged and sent back unchanged.
fn chosen_id(headers: &HeaderMap) -> Option<Arc<str>> {
    let text = headers.get(REQUEST_ID)?.to_str().ok()?;
    let sane =
        (1..=REQUEST_ID_CHARACTERS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    sane.then(|| text.into())
}

fn add_common_fields(headers: &mut HeaderMap, request_id: &str) {
    let always = [(X_CONTENT_TYPE_OPTIONS, "nosniff"), (REFERRER_POLICY, "no-referrer"), (X_FRAME_OPTIONS, "DENY")];
    for (name, value) in always {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let unless_said = [
        (CONTENT_SECURITY_POLICY, "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"),
        (CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in unless_said {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if let Ok(request_id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, request_id);
    }
}

/// Bounds the requests to the API: their number, their size and their time; and refuses those that do not accept the
/// form of the response, or that have input which their route does not take. It is one layer, because each layer copies
/// the futures of all below it for every request.
///
/// It refuses what exceeds a bound at once rather than letting it wait. Other limits apply to a body: it takes no permit
/// before it has arrived, and no time of the request. An act of a request whose time is over comes to its end all the
/// same, see [`Api::run_detached`].
pub(crate) async fn guard(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let audited = api.audit_log.audited(&request);
    let passage = Arc::new(Passage::new(api.clone()));
    // A block and not a function: the future of a function would be one more to be copied.
    let response = 'passed: {
        if !is_acceptable(&request) {
            break 'passed Problem::new(Code::NotAcceptable).into_response();
        }
        if let Err(problem) = maintenance::refuse(&api.services.maintenance, &request) {
            break 'passed problem.into_response();
        }
        let body_bytes_max = match api.input.check(&mut request, &api.bodies).await {
            Ok(body_bytes_max) => body_bytes_max,
            Err(problem) => break 'passed problem.into_response(),
        };
        match body_bytes_max {
            Some(bytes_max) => passage.take_body(bytes_max),
            None => {
                if let Err(problem) = passage.begin() {
                    break 'passed problem.into_response();
                }
            }
        }
        request.extensions_mut().insert(Arc::clone(&passage));
        let mut response = pin!(next.run(request));
        if body_bytes_max.is_some() {
            tokio::select! {
                biased;
                response = &mut response => break 'passed response,
                () = passage.begun() => {}
            }
        }
        let response = tokio::time::timeout(api.settings.request_timeout, response).await;
        response.unwrap_or_else(|_| {
            outages::took_too_long();
            Problem::unavailable("The response took too long; the request may have had its effect.").into_response()
        })
    };
    if let Some(audited) = audited {
        api.audit_log.write(&audited, &passage.sender, &response);
    }
    response
}

/// Whether the client accepts a media type of the route.
fn is_acceptable(request: &Request) -> bool {
    let streams = request.extensions().get::<MatchedPath>().is_some_and(|path| path.as_str() == queue_stream::PATH);
    let forms: &[&str] = if streams { &["text/event-stream"] } else { &["application/json", PROBLEM_JSON] };
    accepts_any(request.headers(), forms)
}

fn accepts_any(headers: &HeaderMap, forms: &[&str]) -> bool {
    let ranges: Vec<_> = weighted(headers, &ACCEPT).collect();
    // The most specific range that matches a form decides whether it is accepted.
    let accepts = |form: &&str| {
        let matching = ranges.iter().filter_map(|(range, weight)| Some((specificity(range, form)?, weight)));
        matching.max_by_key(|(specificity, _)| *specificity).is_some_and(|(_, weight)| *weight > 0)
    };
    ranges.is_empty() || forms.iter().any(accepts)
}

/// How specific a range of media types is that has this form; `None` if it does not have it.
fn specificity(range: &str, form: &str) -> Option<u8> {
    match range.strip_suffix('*') {
        Some("*/") => Some(0),
        Some(family) => form.starts_with(family).then_some(1),
        None => (range == form).then_some(2),
    }
}

/// Lets the pages of these origins call the API; `None` if there are no origins.
pub(crate) fn cross_origin(origins: &[String]) -> Option<CorsLayer> {
    let origins: Vec<HeaderValue> = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect();
    if origins.is_empty() {
        return None;
    }
    let methods = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let allowed =
        [AUTHORIZATION, CONTENT_TYPE, ACCEPT, IF_MATCH, IF_NONE_MATCH, QUEUE_TOKEN, IDEMPOTENCY_KEY, REQUEST_ID];
    let exposed = [
        ETAG,
        LOCATION,
        RETRY_AFTER,
        IDEMPOTENCY_REPLAYED,
        REQUEST_ID,
        HeaderName::from_static("ratelimit"),
        HeaderName::from_static("ratelimit-policy"),
    ];
    let layer = CorsLayer::new().allow_origin(origins).allow_methods(methods).allow_headers(allowed);
    Some(layer.expose_headers(exposed).max_age(std::time::Duration::from_mins(10)))
}

/// The response if a handler panicked. The panic hook has printed the message, which the client does not get.
fn panicked() -> Response {
    tracing::error!("a request handler panicked");
    Problem::internal().into_response()
}

pub(crate) async fn not_found() -> Problem {
    Problem::new(Code::NotFound)
}

pub(crate) async fn method_not_allowed() -> Problem {
    Problem::new(Code::MethodNotAllowed)
}
