//! The REST API of boxoffice on Axum.
//!
//! One file for each capability holds its routes: the types that go in and out, and handlers that parse,
//! call the use case, and map what it says. What all routes share lies beside them: errors in
//! [`problem`], and in private modules the reading of requests, authentication, idempotency, entity tags,
//! answers that are kept for a moment, cursors, rate limits and the layers around every request.

mod accounts;
mod act;
mod answered;
mod api;
mod auth;
mod catalog;
mod cursor;
mod document;
mod draining;
mod encoding;
mod etag;
mod events;
mod extract;
mod idempotency;
mod layers;
mod limits;
mod line_control;
mod operations;
mod payments;
pub mod problem;
mod read_cache;
mod reads;
mod reservations;
mod seat_maps;
mod settings;
mod validation;
mod waiting_room;
mod wallet;

use std::sync::Arc;

use axum::{Router, middleware};
use boxoffice_application::{
    AccountService, CatalogService, PaymentService, ReservationService, WaitingRoomService, WalletService,
};
use boxoffice_domain::{Clock, EntropySource, audit::Readiness};
use metrics_exporter_prometheus::PrometheusHandle;
use utoipa_axum::router::OpenApiRouter;

pub use document::openapi;
pub use draining::Draining;
pub use problem::Code;
pub use settings::HttpSettings;

use api::Api;

/// What the routes call.
#[derive(Clone)]
pub struct Services {
    /// Signing up and signing in.
    pub accounts: Arc<AccountService>,
    /// Venues, concerts, performances and seats.
    pub catalog: Arc<CatalogService>,
    /// The lines and the gate behind them.
    pub waiting_room: Arc<WaitingRoomService>,
    /// Holding seats, and giving them up.
    pub reservations: Arc<ReservationService>,
    /// Paying for held seats.
    pub payments: Arc<PaymentService>,
    /// Points and their history.
    pub wallet: Arc<WalletService>,
    /// Whether the storage can serve.
    pub readiness: Arc<dyn Readiness>,
    /// Makes request ids.
    pub entropy: Arc<dyn EntropySource>,
    /// Tells the time at which statuses are shown.
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").finish_non_exhaustive()
    }
}

/// Every route. Serve it with `into_make_service_with_connect_info::<SocketAddr>()`, so that clients are
/// told apart by their address. Without `metrics`, `/metrics` is not found: it is served elsewhere, by
/// [`operations_router`].
pub fn router(
    services: Services,
    settings: HttpSettings,
    metrics: Option<PrometheusHandle>,
    draining: Draining,
) -> Router {
    let cross_origin = layers::cross_origin(&settings.cors_origins);
    let api = Api::new(services, settings, metrics, draining);
    let (limited, _) = limited_routes().split_for_parts();
    let (routes, _) = routes().split_for_parts();
    let limited = limited.route_layer(middleware::from_fn_with_state(api.clone(), limits::limit_account_requests));
    let routes = routes.merge(limited).layer(middleware::from_fn_with_state(api.clone(), layers::guard));
    let (operations, _) = operations::routes().split_for_parts();
    let (document, _) = document::routes().split_for_parts();
    let all = routes.merge(operations).merge(document).merge(document::pages());
    let all = all.method_not_allowed_fallback(layers::method_not_allowed).fallback(layers::not_found);
    let all = match cross_origin {
        Some(cross_origin) => all.layer(cross_origin),
        None => all,
    };
    let observer = Arc::clone(&api.services.entropy);
    all.layer(middleware::from_fn_with_state(observer, layers::observe)).with_state(api)
}

/// `/healthz`, `/readyz` and `/metrics` alone, for a port that only operators reach.
pub fn operations_router(
    readiness: Arc<dyn Readiness>,
    entropy: Arc<dyn EntropySource>,
    metrics: Option<PrometheusHandle>,
    draining: Draining,
) -> Router {
    let operations = operations::Operations { readiness, metrics, draining };
    let (router, _) = operations::routes().split_for_parts();
    let router = router.method_not_allowed_fallback(layers::method_not_allowed).fallback(layers::not_found);
    router.layer(middleware::from_fn_with_state(entropy, layers::observe)).with_state(operations)
}

/// The routes whose use is limited for each client address.
fn limited_routes() -> OpenApiRouter<Api> {
    accounts::limited_routes()
}

fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .merge(accounts::routes())
        .merge(catalog::routes())
        .merge(waiting_room::routes())
        .merge(line_control::routes())
        .merge(events::routes())
        .merge(reservations::routes())
        .merge(payments::routes())
        .merge(wallet::routes())
}
