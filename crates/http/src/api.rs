//! What every handler has at hand.

use std::{ops::Deref, sync::Arc};

use axum::extract::FromRef;
use boxoffice_domain::Timestamp;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;

use crate::{
    Draining, HttpSettings, Services, events::StreamsOfAccounts, idempotency::KeysInFlight, limits::AccountLimiter,
    operations::Operations,
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
    operations: Operations,
}

impl Api {
    pub(crate) fn new(
        services: Services,
        settings: HttpSettings,
        metrics: Option<PrometheusHandle>,
        draining: Draining,
    ) -> Self {
        let readiness = Arc::clone(&services.readiness);
        Self(Arc::new(Shared {
            operations: Operations { readiness, metrics, draining: draining.clone() },
            services,
            draining,
            requests: Arc::new(Semaphore::new(settings.concurrent_requests_max)),
            acts: Arc::new(Semaphore::new(settings.concurrent_requests_max)),
            event_streams: Arc::new(Semaphore::new(settings.event_streams_max)),
            streams_of_accounts: StreamsOfAccounts::default(),
            keys_in_flight: KeysInFlight::default(),
            account_limiter: AccountLimiter::new(settings.account_requests_per_minute),
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
