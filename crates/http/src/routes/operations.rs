//! For operators: whether the server is alive, whether it can serve, what it counted, and the OpenAPI document.

use axum::{
    Json,
    extract::State,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api::{Api, Operations},
    reply::{Code, Problem, refusals},
};

/// That the server is well.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
pub(crate) struct HealthResponse {
    /// Always `ok`; everything else is an error.
    #[schema(example = "ok")]
    status: &'static str,
}

refusals!(Refusals: [INPUT], []);
refusals!(ReadyRefusals: [INPUT], [Unavailable]);
refusals!(MetricsRefusals: [INPUT], [NotFound]);

/// Whether the process responds
#[utoipa::path(
    get, path = "/healthz", tag = "operations", operation_id = "operations_healthz",
    responses((status = 200, description = "It responds.", body = HealthResponse), Refusals),
)]
pub(crate) async fn healthz() -> Json<HealthResponse> {
    Json(HealthResponse { status: "ok" })
}

/// Whether the server is ready: the storage serves, and the server is not about to stop
#[utoipa::path(
    get, path = "/readyz", tag = "operations", operation_id = "operations_readyz",
    responses((status = 200, description = "The server is ready.", body = HealthResponse), ReadyRefusals),
)]
pub(crate) async fn readyz(State(operations): State<Operations>) -> Result<Json<HealthResponse>, Problem> {
    if operations.draining.is_leaving() {
        return Err(Problem::unavailable("The server is about to stop."));
    }
    operations.readiness.ready().await.map_err(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "the storage is not ready");
        Problem::unavailable("The storage is not ready.")
    })?;
    Ok(Json(HealthResponse { status: "ok" }))
}

/// What the server counted, in the text format of Prometheus
///
/// Not found if metrics are served on another port.
#[utoipa::path(
    get, path = "/metrics", tag = "operations", operation_id = "operations_metrics_text",
    responses((status = 200, description = "The counts.", body = String, content_type = "text/plain"), MetricsRefusals),
)]
pub(crate) async fn metrics_text(State(operations): State<Operations>) -> Response {
    match operations.metrics {
        Some(metrics) => {
            let text = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
            (StatusCode::OK, text, metrics.render()).into_response()
        }
        None => Problem::new(Code::NotFound).into_response(),
    }
}

/// This document
#[utoipa::path(
    get, path = "/openapi.json", tag = "operations", operation_id = "operations_openapi_json",
    responses((status = 200, description = "The document.", body = Object), Refusals),
)]
pub(crate) async fn openapi_json(State(api): State<Api>) -> Response {
    let fields = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")];
    (fields, api.document.clone()).into_response()
}
