//! What is served on which port, and within which bounds.

use std::sync::Arc;

use axum::Router;
use boxoffice_http::{Draining, FreshnessMarks, HttpSettings, Services};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::{
    settings::Settings,
    wiring::{Adapters, UseCases, cache_time, seconds},
};

/// How often an event stream in which nothing happens shows that it is alive. Proxies that close idle connections
/// wait for a minute or more.
const EVENT_HEARTBEAT_SECONDS: u32 = 15;

/// A router for each port.
pub(crate) struct Routers {
    /// For the port of the API.
    pub(crate) api: Router,
    /// For the port of the operators, where they have one.
    pub(crate) operations: Option<Router>,
}

/// Every route.
pub(crate) fn routers(
    settings: &Settings,
    adapters: &Adapters,
    use_cases: &UseCases,
    marks: Arc<FreshnessMarks>,
    metrics: PrometheusHandle,
    draining: &Draining,
) -> Routers {
    let readiness = &adapters.database.readiness;
    let services = Services {
        accounts: Arc::clone(&use_cases.accounts),
        catalog: Arc::clone(&use_cases.catalog),
        reservations: Arc::clone(&use_cases.reservations),
        payments: Some(Arc::clone(&use_cases.payments)),
        wallet: Some(Arc::clone(&use_cases.wallet)),
        peers: Arc::clone(&use_cases.peering.peers),
        readiness: Arc::clone(readiness),
        entropy: Arc::clone(&adapters.entropy),
        clock: Arc::clone(&adapters.clock),
    };
    let http = http_settings(settings);
    if settings.metrics_listen.is_none() {
        let api = boxoffice_http::router(services, http, Some(metrics), draining.clone(), marks);
        return Routers { api, operations: None };
    }
    let entropy = Arc::clone(&adapters.entropy);
    let operations = boxoffice_http::operations_router(Arc::clone(readiness), entropy, Some(metrics), draining.clone());
    let api = boxoffice_http::router(services, http, None, draining.clone(), marks);
    Routers { api, operations: Some(operations) }
}

fn http_settings(settings: &Settings) -> HttpSettings {
    HttpSettings {
        body_bytes_max: settings.body_bytes_max,
        request_timeout: seconds(settings.request_timeout_seconds),
        concurrent_requests_max: settings.concurrent_requests_max,
        account_requests_per_minute: settings.account_requests_per_minute,
        event_streams_max: settings.event_streams_max,
        event_heartbeat: seconds(EVENT_HEARTBEAT_SECONDS),
        cors_origins: settings.cors_origins.clone(),
        rules: settings.selling_rules(),
        trust_forwarded_for: settings.trust_forwarded_for,
        answers_kept_for: cache_time(settings),
    }
}
