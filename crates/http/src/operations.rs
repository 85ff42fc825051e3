//! What operators ask: whether the server is alive, whether it can serve, and what it counted.

use std::sync::Arc;

use axum::{
    Json,
    extract::{FromRef, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use boxoffice_domain::audit::Readiness;
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Draining,
    problem::{Code, Problem, documented},
};

/// What the routes of operators need.
#[derive(Clone)]
pub(crate) struct Operations {
    pub readiness: Arc<dyn Readiness>,
    pub metrics: Option<PrometheusHandle>,
    pub draining: Draining,
}

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// Always `ok`; what is not is an error.
    #[schema(example = "ok")]
    status: &'static str,
}

pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> OpenApiRouter<S>
where
    Operations: FromRef<S>,
{
    OpenApiRouter::default().routes(routes!(healthz)).routes(routes!(readyz)).routes(routes!(metrics_text))
}

struct ReadyProblems;

impl utoipa::IntoResponses for ReadyProblems {
    fn responses() -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::Response>> {
        documented(&[&[Code::Unavailable]])
    }
}

struct MetricsProblems;

impl utoipa::IntoResponses for MetricsProblems {
    fn responses() -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::Response>> {
        documented(&[&[Code::NotFound]])
    }
}

/// Whether the process answers
#[utoipa::path(
    get, path = "/healthz", tag = "operations",
    responses((status = 200, description = "It does.", body = Health)),
)]
async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Whether requests should be sent here: the storage serves, and the server is not about to stop
#[utoipa::path(
    get, path = "/readyz", tag = "operations",
    responses((status = 200, description = "They should.", body = Health), ReadyProblems),
)]
async fn readyz(State(operations): State<Operations>) -> Result<Json<Health>, Problem> {
    if operations.draining.is_leaving() {
        return Err(Problem::unavailable("The server is about to stop."));
    }
    operations.readiness.ready().await.map_err(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "the storage is not ready");
        Problem::unavailable("The storage is not ready.")
    })?;
    Ok(Json(Health { status: "ok" }))
}

/// What the server counted, in the text format of Prometheus
///
/// Not found where metrics are bound to another port.
#[utoipa::path(
    get, path = "/metrics", tag = "operations",
    responses((status = 200, description = "The counts.", body = String, content_type = "text/plain"), MetricsProblems),
)]
async fn metrics_text(State(operations): State<Operations>) -> Response {
    match operations.metrics {
        Some(metrics) => {
            let text = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
            (StatusCode::OK, text, metrics.render()).into_response()
        }
        None => Problem::new(Code::NotFound).into_response(),
    }
}
