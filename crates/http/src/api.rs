//! The state that all handlers share.

use std::{
    ops::Deref,
    sync::{Arc, LazyLock},
};

use axum::{body::Bytes, extract::FromRef};
use boxoffice_domain::Timestamp;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;

use crate::{
    Draining, FreshnessMarks, HttpSettings, ReadinessCheck, Services,
    audit::AuditLog,
    cache::{catalog_reads::CatalogReads, seat_maps::SeatMaps},
    keys_in_flight::KeysInFlight,
    queue_streams::QueueStreams,
    request::{AcceptedInput, BodyReader, Limits},
    routes::accounts::export::EXPORTS_AT_ONCE_MAX,
};

/// The state that all handlers share.
#[derive(Clone)]
pub(crate) struct Api(Arc<Shared>);

/// Makes the text of the OpenAPI document.
pub(crate) type DocumentText = Box<dyn FnOnce() -> Bytes + Send + Sync>;

/// What follows from the description of the routes.
pub(crate) struct Described {
    pub input: AcceptedInput,
    pub audit_log: AuditLog,
    pub document: DocumentText,
}

/// The parts of [`Api`].
pub(crate) struct Shared {
    pub services: Services,
    pub settings: HttpSettings,
    pub draining: Draining,
    /// The input that the routes take.
    pub input: AcceptedInput,
    pub audit_log: AuditLog,
    /// The limits of one client.
    pub limits: Limits,
    /// Reads the bodies of requests.
    pub bodies: BodyReader,
    /// The permits of requests.
    pub requests: Arc<Semaphore>,
    /// The permits of acts, which may outlive their requests.
    pub acts: Arc<Semaphore>,
    pub queue_streams: QueueStreams,
    /// The permits of copies of accounts.
    pub exports: Arc<Semaphore>,
    pub keys_in_flight: KeysInFlight,
    /// Responses about the catalog that are kept for a moment.
    pub reads: CatalogReads,
    /// Seat maps that are shown for a moment.
    pub seat_maps: SeatMaps,
    /// How new the seats have to be that an account is shown.
    pub marks: Arc<FreshnessMarks>,
    /// The text of the OpenAPI document.
    pub document: LazyLock<Bytes, DocumentText>,
    operations: Operations,
}

/// The state of the routes for operators, which may be served without the others.
#[derive(Clone)]
pub(crate) struct Operations {
    pub readiness: Arc<ReadinessCheck>,
    pub metrics: Option<PrometheusHandle>,
    pub metrics_readers: MetricsReaders,
    pub draining: Draining,
}

/// Who may read the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetricsReaders {
    /// Everybody who reaches the port.
    All,
    /// Programs on this machine, if they speak for themselves and pass nothing on.
    ThisMachine,
}

impl Api {
    pub(crate) fn new(
        services: Services,
        settings: HttpSettings,
        metrics: Option<PrometheusHandle>,
        draining: Draining,
        marks: Arc<FreshnessMarks>,
        described: Described,
    ) -> Self {
        let Described { input, audit_log, document } = described;
        let readiness = Arc::clone(&services.readiness);
        Self(Arc::new(Shared {
            operations: Operations {
                readiness,
                metrics,
                metrics_readers: MetricsReaders::ThisMachine,
                draining: draining.clone(),
            },
            draining,
            input,
            audit_log,
            requests: Arc::new(Semaphore::new(settings.concurrent_requests_max)),
            acts: Arc::new(Semaphore::new(settings.concurrent_requests_max)),
            exports: Arc::new(Semaphore::new(EXPORTS_AT_ONCE_MAX)),
            queue_streams: QueueStreams::new(&settings),
            limits: Limits::new(&settings, &services.peers),
            bodies: BodyReader::new(settings.slow_client, settings.bodies_bytes_max),
            keys_in_flight: KeysInFlight::default(),
            reads: CatalogReads::new(settings.answers_kept_for, &services.catalog.generation),
            seat_maps: SeatMaps::new(settings.answers_kept_for),
            marks,
            document: LazyLock::new(document),
            services,
            settings,
        }))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.services.clock.now()
    }
}

impl Deref for Api {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl FromRef<Api> for Operations {
    fn from_ref(api: &Api) -> Self {
        api.operations.clone()
    }
}
