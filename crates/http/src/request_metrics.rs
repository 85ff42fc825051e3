//! How many requests were answered, and how long they took.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::Duration,
};

use axum::http::{Method, StatusCode};
use metrics::{Counter, Histogram};
use utoipa::openapi::OpenApi;

use crate::{reply::Code, request::operations_of};

/// The label of a request without a route. Its path is no label, since a client can make up any number of paths.
pub(crate) const UNMATCHED: &str = "unmatched";
/// The methods that are labels; a client can make up any number of others.
static METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PATCH, Method::PUT, Method::DELETE, Method::OPTIONS];

/// The name of a method in labels.
pub fn method_name(method: &Method) -> &'static str {
    METHODS.iter().find(|known| *known == method).map_or("other", Method::as_str)
}

/// The metrics of the routes. Each is looked up once, since every request counts.
#[derive(Default)]
pub(crate) struct RequestMetrics(RwLock<HashMap<Box<str>, Arc<OfRoute>>>);

/// Those of one route, by method.
#[derive(Default)]
struct OfRoute([OfMethod; METHODS.len() + 1]);

#[derive(Default)]
struct OfMethod {
    duration: OnceLock<Histogram>,
    /// By status, of which there are few.
    counts: RwLock<Vec<(StatusCode, Counter)>>,
}

impl RequestMetrics {
    /// Counts a request that was answered.
    pub(crate) fn record(&self, route: &str, method: &'static str, status: StatusCode, duration: Duration) {
        let of_route = self.of_route(route);
        let index = METHODS.iter().position(|known| known.as_str() == method).unwrap_or(METHODS.len());
        let of_method = &of_route.0[index];
        let counts = of_method.counts.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, counter)) = counts.iter().find(|(known, _)| *known == status) {
            counter.increment(1);
        } else {
            drop(counts);
            let counter = count(method, route, status);
            counter.increment(1);
            of_method.counts.write().unwrap_or_else(PoisonError::into_inner).push((status, counter));
        }
        let histogram = || {
            let labels = [("method", method.to_owned()), ("route", route.to_owned())];
            metrics::histogram!("http_request_duration_seconds", &labels)
        };
        of_method.duration.get_or_init(histogram).record(duration);
    }

    fn of_route(&self, route: &str) -> Arc<OfRoute> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(route).cloned();
        known.unwrap_or_else(|| {
            let mut routes = self.0.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(routes.entry(route.into()).or_default())
        })
    }
}

/// Reports failures and refusals as 0 from the start: the first one would otherwise show no increase.
pub(crate) fn count_from_zero(document: &OpenApi) {
    for (route, item) in &document.paths.paths {
        for (method, _) in operations_of(item) {
            for status in [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE] {
                count(method_name(&method), route, status).absolute(0);
            }
        }
    }
    for code in Code::ALL {
        metrics::counter!("boxoffice_refusals_total", "code" => code.as_str()).absolute(0);
    }
}

fn count(method: &'static str, route: &str, status: StatusCode) -> Counter {
    let labels = [("method", method.to_owned()), ("route", route.to_owned()), ("status", status.as_u16().to_string())];
    metrics::counter!("http_requests_total", &labels)
}
