//! All routes, with their limits and layers.

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::FromRef, middleware, routing::post};
use boxoffice_domain::EntropySource;
use metrics_exporter_prometheus::PrometheusHandle;
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Draining, FreshnessMarks, HttpSettings, ReadinessCheck, Services,
    api::{Api, Described, MetricsReaders, Operations},
    audit::AuditLog,
    document, layers,
    request::{AcceptedInput, BodyReader, refuse_unknown_input},
    request_metrics,
    routes::{
        self, accounts, catalog, history, operations, payments, queue_control, reservations, waiting_room, wallet,
        webhooks,
    },
};

/// The longest body, in bytes, that is looked at before a route for operators refuses it.
const OPERATIONS_BODY_BYTES_MAX: usize = 1_024;
/// How long such a body may take.
const OPERATIONS_BODY_PATIENCE: Duration = Duration::from_secs(5);

/// What a product may have beside accounts, a catalog and reservations.
#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a part that a product may lack")]
struct Extent {
    waiting_room: bool,
    payments: bool,
    wallet: bool,
    webhooks: bool,
}

impl Extent {
    const WHOLE: Self = Self { waiting_room: true, payments: true, wallet: true, webhooks: true };

    fn of(services: &Services) -> Self {
        Self {
            waiting_room: services.waiting_room().is_some(),
            payments: services.payments.is_some(),
            wallet: services.wallet.is_some(),
            webhooks: services.webhooks.is_some(),
        }
    }

    /// The routes of the API.
    fn routes(self) -> OpenApiRouter<Api> {
        let mut routes = core_routes();
        for (has, more) in [
            (self.waiting_room, waiting_room_routes as fn() -> OpenApiRouter<Api>),
            (self.payments, payment_routes),
            (self.wallet, wallet_routes),
            (self.webhooks, webhook_routes),
        ] {
            if has {
                routes = routes.merge(more());
            }
        }
        routes
    }

    fn document(self) -> OpenApi {
        let routes = self.routes().merge(operations_routes::<Api>()).merge(document_routes());
        document::describe(routes.into_openapi(), self.waiting_room, self.webhooks)
    }
}

/// The routes that every product has.
fn core_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(accounts::sign_up::handler))
        .routes(routes!(accounts::sign_in::handler))
        .routes(routes!(accounts::refresh::handler))
        .routes(routes!(accounts::change_password::handler))
        .routes(routes!(accounts::second_factor::begin, accounts::second_factor::remove))
        .routes(routes!(accounts::second_factor::confirm))
        .routes(routes!(accounts::sign_out::handler))
        .routes(routes!(accounts::me::handler, accounts::me::change, accounts::erase::handler))
        .routes(routes!(accounts::email::begin, accounts::email::remove))
        .routes(routes!(accounts::email::verify))
        .routes(routes!(accounts::password_reset::begin))
        .routes(routes!(accounts::password_reset::complete))
        .routes(routes!(accounts::list_sessions::handler, accounts::end_sessions::others))
        .routes(routes!(accounts::end_sessions::one))
        .routes(routes!(accounts::export::handler))
        .routes(routes!(catalog::concerts::handler, catalog::publish_concert::handler))
        .routes(routes!(catalog::concert::handler, catalog::update_concert::handler))
        .routes(routes!(history::of_concert::handler))
        .routes(routes!(history::all::handler))
        .routes(routes!(catalog::performances::handler, catalog::publish_performance::handler))
        .routes(routes!(catalog::performance::handler))
        .routes(routes!(catalog::seats::handler))
        .routes(routes!(catalog::sales::handler))
        .routes(routes!(catalog::managed_concerts::handler))
        .routes(routes!(catalog::venues::handler, catalog::publish_venue::handler))
        .routes(routes!(catalog::venue::handler))
        .routes(routes!(reservations::hold::handler, reservations::list::handler))
        .routes(routes!(reservations::find::handler))
        .routes(routes!(reservations::cancel::handler))
}

fn waiting_room_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(waiting_room::join::handler, queue_control::empty::handler))
        .routes(routes!(waiting_room::status::handler, waiting_room::leave::handler))
        .routes(routes!(waiting_room::queue_stream::handler))
        .routes(routes!(queue_control::stats::handler))
        .routes(routes!(queue_control::pausing::pause))
        .routes(routes!(queue_control::pausing::resume))
}

fn payment_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(payments::pay::handler, payments::list::handler))
        .routes(routes!(payments::find::handler))
}

fn wallet_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(wallet::balance::handler))
        .routes(routes!(wallet::charge::handler))
        .routes(routes!(wallet::find_charge::handler))
        .routes(routes!(wallet::refund_charge::handler))
        .routes(routes!(wallet::entries::handler))
}

fn webhook_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(webhooks::create::handler, webhooks::list::handler))
        .routes(routes!(webhooks::one::find, webhooks::one::change, webhooks::one::remove))
        .routes(routes!(webhooks::secrets::handler))
        .routes(routes!(webhooks::deliveries::send_test))
        .routes(routes!(webhooks::deliveries::list))
        .routes(routes!(webhooks::resend::one))
        .routes(routes!(webhooks::resend::span))
}

/// The routes for operators, which may be served on another port.
fn operations_routes<S: Clone + Send + Sync + 'static>() -> OpenApiRouter<S>
where
    Operations: FromRef<S>,
{
    OpenApiRouter::default()
        .routes(routes!(operations::healthz))
        .routes(routes!(operations::readyz))
        .routes(routes!(operations::version))
        .routes(routes!(operations::metrics_text))
}

fn document_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(operations::openapi_json))
}

/// The router of routes for operators, none of which takes a body.
fn without_body<S: Clone + Send + Sync + 'static>(routes: OpenApiRouter<S>) -> Router<S> {
    let input = AcceptedInput::of(&[routes.get_openapi()], OPERATIONS_BODY_BYTES_MAX, |_| 0);
    let bodies = BodyReader::new(OPERATIONS_BODY_PATIENCE, OPERATIONS_BODY_BYTES_MAX);
    Router::from(routes).layer(middleware::from_fn_with_state((Arc::new(input), bodies), refuse_unknown_input))
}

/// The description of the whole API: `OpenAPI` 3.1, generated from the routes.
pub fn openapi() -> OpenApi {
    Extent::WHOLE.document()
}

/// The routes of these services. Serve it with `into_make_service_with_connect_info::<SocketAddr>()`, so that the limits
/// know the addresses of clients. `/metrics` answers to programs on this machine; without `metrics` it is not found, as
/// [`operations_router`] serves it elsewhere. `pages` are served beside, observed like the others, and answer
/// where there is no route.
pub fn router(
    services: Services,
    settings: HttpSettings,
    metrics: Option<PrometheusHandle>,
    draining: Draining,
    marks: Arc<FreshnessMarks>,
    pages: Option<Router>,
) -> Router {
    let cross_origin = layers::cross_origin(&settings.cors_origins);
    let observer = layers::Observer {
        entropy: Arc::clone(&services.entropy),
        trust_forwarded_for: settings.trust_forwarded_for,
        metrics: Arc::default(),
    };
    let (extent, serves_document) = (Extent::of(&services), settings.docs);
    let document = move || extent.document().to_json().unwrap_or_default().into();
    let api_routes = extent.routes();
    let promised_bytes = |operation: &str| routes::promised_bytes(operation, &settings.rules);
    let input = AcceptedInput::of(&[api_routes.get_openapi()], settings.body_bytes_max, promised_bytes);
    let audit_log = AuditLog::of(api_routes.get_openapi());
    request_metrics::count_from_zero(api_routes.get_openapi());
    let described = Described { input, audit_log, document: Box::new(document) };
    let api = Api::new(services, settings, metrics, draining, marks, described);

    let gateway_events = if extent.wallet {
        Router::new().route(wallet::gateway_event::STRIPE, post(wallet::gateway_event::handler))
    } else {
        Router::new()
    };
    let guarded = Router::from(api_routes).layer(middleware::from_fn_with_state(api.clone(), layers::guard));
    let all = if serves_document {
        guarded.merge(without_body(operations_routes().merge(document_routes()))).merge(document::pages())
    } else {
        guarded.merge(without_body(operations_routes()))
    };
    let all = all.merge(gateway_events);
    let all = match pages {
        Some(pages) => all.merge(pages.with_state(())),
        None => all.fallback(layers::not_found),
    };
    let all = all.method_not_allowed_fallback(layers::method_not_allowed);
    let all = match cross_origin {
        Some(cross_origin) => all.layer(cross_origin),
        None => all,
    };
    all.layer(middleware::from_fn_with_state(observer, layers::observe)).with_state(api)
}

/// `/healthz`, `/readyz` and `/metrics` alone, for a port that only operators reach.
pub fn operations_router(
    readiness: Arc<ReadinessCheck>,
    entropy: Arc<dyn EntropySource>,
    metrics: Option<PrometheusHandle>,
    draining: Draining,
) -> Router {
    let router = without_body(operations_routes());
    let router = router.method_not_allowed_fallback(layers::method_not_allowed).fallback(layers::not_found);
    let observer = layers::Observer { entropy, trust_forwarded_for: false, metrics: Arc::default() };
    let observed = router.layer(middleware::from_fn_with_state(observer, layers::observe));
    observed.with_state(Operations { readiness, metrics, metrics_readers: MetricsReaders::All, draining })
}
