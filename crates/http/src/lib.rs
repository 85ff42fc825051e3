//! The REST API of boxoffice on Axum.
//!
//! `router.rs` lists all routes. Each operation has a file in `routes/`, in the folder of its capability, with its
//! request, its response, its refusals, its handler and its OpenAPI documentation. `request/` holds what requests are
//! read with, `json/` how JSON is read, also by the command line, `reply/` what responses are made of, and `cache/` responses that are kept for a moment.

mod api;
mod audit;
mod cache;
mod detached;
mod document;
mod draining;
mod fair_queue;
mod hashing;
pub mod json;
mod keys_in_flight;
mod layers;
mod maintenance;
mod outages;
mod pace;
mod queue_streams;
mod readiness;
mod reply;
mod request;
mod request_metrics;
mod router;
mod routes;
mod settings;
mod shares;
mod unread_body;

use std::sync::Arc;

use boxoffice_application::{
    AccountService, CatalogService, Gate, MaintenanceMode, PaymentService, ReservationService, WaitingRoomService,
    WalletService, WebhookService,
};
use boxoffice_domain::{Clock, EntropySource};
use boxoffice_peers::Peers;

pub use cache::freshness_marks::FreshnessMarks;
pub use document::openapi_text;
pub use draining::Draining;
pub use outages::report_failing_requests;
pub use pace::Pace;
pub use readiness::ReadinessCheck;
pub use reply::Code;
pub use request_metrics::method_name;
pub use router::{openapi, operations_router, router};
pub use settings::HttpSettings;
pub use shares::{Share, Shares};

/// What the routes call. What is `None` has no routes, and is not in the OpenAPI document; nor have the queues if the
/// [gate](boxoffice_application::Gate) of the catalog is an open door.
#[derive(Clone)]
pub struct Services {
    pub accounts: Arc<AccountService>,
    pub catalog: Arc<CatalogService>,
    pub reservations: Arc<ReservationService>,
    /// Paying held seats, if the product takes points.
    pub payments: Option<Arc<PaymentService>>,
    /// Points and their history, if the product has wallets.
    pub wallet: Option<Arc<WalletService>>,
    /// Sending events to other systems, if the product does.
    pub webhooks: Option<Arc<WebhookService>>,
    /// Count the requests of a client over all instances.
    pub peers: Arc<dyn Peers>,
    pub readiness: Arc<ReadinessCheck>,
    /// Whether anything new may be begun.
    pub maintenance: Arc<MaintenanceMode>,
    /// Makes request ids.
    pub entropy: Arc<dyn EntropySource>,
    /// Tells the time of which a response shows the status.
    pub clock: Arc<dyn Clock>,
}

impl Services {
    fn waiting_room(&self) -> Option<&Arc<WaitingRoomService>> {
        match &self.catalog.gate {
            Gate::Queue(waiting_room) => Some(waiting_room),
            Gate::OpenDoor => None,
        }
    }
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").finish_non_exhaustive()
    }
}
