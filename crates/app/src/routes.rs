//! What is served on which port.

use std::sync::Arc;

use anyhow::Context;
use axum::{
    Router,
    http::{HeaderValue, header::STRICT_TRANSPORT_SECURITY},
    middleware::map_response,
    response::Response,
};
use boxoffice_http::{Draining, FreshnessMarks, HttpSettings, Services};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::{
    settings::Settings,
    traces::Traces,
    wiring::{cache_time, hashing_parallel, seconds},
};

/// How often a queue stream without events sends a heartbeat. Proxies close connections that are idle for a minute or
/// more.
const EVENT_HEARTBEAT_SECONDS: u32 = 15;
/// How often an admitted client should ask at most.
const ACTIVE_POLL_SECONDS: u32 = 4;

pub(crate) struct Routers {
    pub(crate) api: Router,
    /// For the port of the operators, if there is one.
    pub(crate) operations: Option<Router>,
}

/// Lets browsers come with TLS alone for a year.
async fn with_strict_transport(mut response: Response) -> Response {
    response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    response
}

/// The pages, if they are served.
pub(crate) fn pages(settings: &Settings) -> anyhow::Result<Option<Router>> {
    let pages = settings.pages.then(|| boxoffice_pages::router(settings.pages_brand_dir.as_deref())).transpose();
    pages.context("`pages_brand_dir` cannot be used")
}

pub(crate) fn routers(
    settings: &Settings,
    services: Services,
    marks: Arc<FreshnessMarks>,
    metrics: PrometheusHandle,
    draining: &Draining,
    traces: Option<&Traces>,
) -> anyhow::Result<Routers> {
    let pages = pages(settings)?;
    let http = http_settings(settings);
    let secured = |api: Router| {
        let api = match traces {
            Some(traces) => traces.around(api),
            None => api,
        };
        if settings.tls_certificate_file.is_some() { api.layer(map_response(with_strict_transport)) } else { api }
    };
    if settings.metrics_listen.is_none() {
        let api = boxoffice_http::router(services, http, Some(metrics), draining.clone(), marks, pages);
        return Ok(Routers { api: secured(api), operations: None });
    }
    let (readiness, entropy) = (Arc::clone(&services.readiness), Arc::clone(&services.entropy));
    let operations = boxoffice_http::operations_router(readiness, entropy, Some(metrics), draining.clone());
    let api = boxoffice_http::router(services, http, None, draining.clone(), marks, pages);
    Ok(Routers { api: secured(api), operations: Some(operations) })
}

fn http_settings(settings: &Settings) -> HttpSettings {
    HttpSettings {
        body_bytes_max: settings.body_bytes_max,
        request_timeout: seconds(settings.request_timeout_seconds),
        slow_client: seconds(settings.slow_client_seconds),
        bodies_bytes_max: settings.bodies_bytes_max,
        concurrent_requests_max: settings.concurrent_requests_max,
        account_requests_in_flight: settings.account_requests_in_flight,
        account_acts_per_second: settings.account_acts_per_second,
        account_acts_burst: settings.account_acts_burst,
        account_requests_per_minute: settings.account_requests_per_minute,
        session_refreshes_per_minute: settings.session_refreshes_per_minute,
        hashing_parallel: hashing_parallel(settings),
        hashing_waiting_max: settings.hashing_waiting_max,
        event_streams_max: settings.event_streams_max,
        event_streams_per_account: settings.event_streams_per_account,
        event_streams_per_network: settings.event_streams_per_network,
        // A third of what is allowed, so that one poll may fail.
        active_poll_seconds: ACTIVE_POLL_SECONDS.min(settings.no_show_seconds / 3),
        event_heartbeat: seconds(EVENT_HEARTBEAT_SECONDS),
        docs: settings.docs,
        cors_origins: settings.cors_origins.clone(),
        rules: settings.selling_rules(),
        trust_forwarded_for: settings.trust_forwarded_for,
        tls: settings.tls_certificate_file.is_some(),
        answers_kept_for: cache_time(settings),
    }
}
