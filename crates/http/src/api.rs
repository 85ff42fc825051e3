//! What every handler has at hand.

use std::{ops::Deref, sync::Arc};

use axum::extract::FromRef;
use boxoffice_domain::Timestamp;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;

use crate::{
    Draining, HttpSettings, Services,
    answered::Answered,
    events::{self, StreamsOfAccounts},
    idempotency::KeysInFlight,
    limits::AccountLimiter,
    neighbours::Neighbours,
    operations::Operations,
    reads::Reads,
    seat_maps::SeatMaps,
};

/// What every handler has at hand.
#[derive(Clone)]
pub(crate) struct Api(Arc<Shared>);

/// The parts of [`Api`].
pub(crate) struct Shared {
    pub services: Services,
    pub settings: HttpSettings,
    pub draining: Draining,
    /// How many more requests may be worked on.
    pub requests: Arc<Semaphore>,
    /// How many more acts may be run; an act may outlive its request.
    pub acts: Arc<Semaphore>,
    /// How many more event streams may be open.
    pub event_streams: Arc<Semaphore>,
    pub streams_of_accounts: StreamsOfAccounts,
    pub keys_in_flight: KeysInFlight,
    pub account_limiter: Option<AccountLimiter>,
    /// Answers about the catalogue that are kept for a moment.
    pub reads: Reads,
    /// Seat maps that are shown for a moment.
    pub seat_maps: SeatMaps,
    /// Who must not be shown seats as they were before.
    pub answered: Arc<Answered>,
    operations: Operations,
}

impl Api {
    pub(crate) fn new(
        services: Services,
        settings: HttpSettings,
        metrics: Option<PrometheusHandle>,
        draining: Draining,
        neighbours: Neighbours,
    ) -> Self {
        let readiness = Arc::clone(&services.readiness);
        metrics::gauge!(events::STREAMS).set(0);
        Self(Arc::new(Shared {
            operations: Operations { readiness, metrics, draining: draining.clone() },
            services,
            draining,
            requests: Arc::new(Semaphore::new(settings.concurrent_requests_max)),
            acts: Arc::new(Semaphore::new(settings.concurrent_requests_max)),
            event_streams: Arc::new(Semaphore::new(settings.event_streams_max)),
            streams_of_accounts: StreamsOfAccounts::default(),
            keys_in_flight: KeysInFlight::default(),
            account_limiter: AccountLimiter::new(settings.account_requests_per_minute, neighbours.quotas),
            reads: Reads::new(settings.answers_kept_for, neighbours.generation),
            seat_maps: SeatMaps::new(settings.answers_kept_for),
            answered: neighbours.answered,
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
