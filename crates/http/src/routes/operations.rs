//! For operators: whether the server is alive, whether it can serve, what it counted, and the OpenAPI document.

use std::net::SocketAddr;

use axum::{
    Json,
    extract::{ConnectInfo, Request, State},
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, FORWARDED, VIA},
    },
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api::{Api, MetricsReaders, Operations},
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
refusals!(NotServedRefusals: [INPUT], [NotFound]);

/// Whether the process responds
#[utoipa::path(
    get, path = "/healthz", tag = "operations", operation_id = "operations_healthz",
    responses((status = 200, description = "It responds.", body = HealthResponse), Refusals),
)]
pub(crate) async fn healthz() -> Json<HealthResponse> {
    Json(HealthResponse { status: "ok" })
}

/// What serves here.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Version)]
pub(crate) struct VersionResponse {
    #[schema(example = "boxoffice")]
    name: &'static str,
    #[schema(example = "0.1.0")]
    version: &'static str,
}

/// Which version it is
#[utoipa::path(
    get, path = "/version", tag = "operations", operation_id = "operations_version",
    responses((status = 200, description = "The version.", body = VersionResponse), Refusals),
)]
pub(crate) async fn version() -> Json<VersionResponse> {
    Json(VersionResponse { name: "boxoffice", version: env!("CARGO_PKG_VERSION") })
}

/// Whether the server is ready: the storage serves, and the server is not about to stop
///
/// Asks the storage once a second at most.
#[utoipa::path(
    get, path = "/readyz", tag = "operations", operation_id = "operations_readyz",
    responses((status = 200, description = "The server is ready.", body = HealthResponse), ReadyRefusals),
)]
pub(crate) async fn readyz(State(operations): State<Operations>) -> Result<Json<HealthResponse>, Problem> {
    if operations.draining.is_leaving() {
        return Err(Problem::unavailable("The server is about to stop."));
    }
    let ready = operations.readiness.ready().await;
    ready.map_err(|_| Problem::unavailable("The storage is not ready."))?;
    Ok(Json(HealthResponse { status: "ok" }))
}

/// What the server counted, in the text format of Prometheus
///
/// Not found if metrics are served on another port, and for clients on other machines.
#[utoipa::path(
    get, path = "/metrics", tag = "operations", operation_id = "operations_metrics_text",
    responses((status = 200, description = "The counts.", body = String, content_type = "text/plain"), NotServedRefusals),
)]
pub(crate) async fn metrics_text(State(operations): State<Operations>, request: Request) -> Response {
    let may_read = operations.metrics_readers == MetricsReaders::All || is_of_this_machine(&request);
    match operations.metrics.filter(|_| may_read) {
        Some(metrics) => {
            let text = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
            (StatusCode::OK, text, metrics.render()).into_response()
        }
        None => Problem::new(Code::NotFound).into_response(),
    }
}

/// Whether a program on this machine asks for itself. A proxy on this machine connects from here, too, and says for whom.
fn is_of_this_machine(request: &Request) -> bool {
    let connected = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let is_from_here = connected.is_some_and(|ConnectInfo(client)| client.ip().to_canonical().is_loopback());
    let headers = request.headers();
    let is_passed_on = headers.contains_key("x-forwarded-for") || headers.contains_key("x-real-ip");
    is_from_here && !is_passed_on && !headers.contains_key(FORWARDED) && !headers.contains_key(VIA)
}

/// This document
///
/// Not found if the operator has turned it off.
#[utoipa::path(
    get, path = "/openapi.json", tag = "operations", operation_id = "operations_openapi_json",
    responses((status = 200, description = "The document.", body = Object), NotServedRefusals),
)]
pub(crate) async fn openapi_json(State(api): State<Api>) -> Response {
    let fields = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")];
    (fields, api.document.clone()).into_response()
}
