//! The server: from an empty folder to answering, and from there to a clean end.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use boxoffice_http::{Draining, FreshnessMarks};
use boxoffice_peers::leases::Lease;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    demo,
    exit::Exit,
    listener::{Bounds, Listener},
    output, routes,
    settings::Settings,
    subscriber::Subscriber,
    telemetry,
    wiring::{self, Adapters, UseCases, cache_time, seconds},
    workers::{
        self, Admissions, ExpirySweeper, KeysWatch, Leased, MetricsUpkeep, PendingCharges, PresenceWatch, Worker,
    },
};

/// How long the background workers and the write lanes have to end. Nothing that was answered depends on it.
const WORKERS_END_MAX: Duration = Duration::from_secs(10);

/// Serves until told to stop.
pub(crate) async fn serve(settings: &Settings) -> anyhow::Result<Exit> {
    // Whoever tells it to stop while it is starting is heard when it has started.
    let signals = Signals::listen()?;
    let metrics = telemetry::start_metrics()?;
    let url = settings.database_url();
    wiring::make_files(settings)?;
    let _lock = wiring::lock(&url)?;
    wiring::migrate(&url).await?;
    let adapters = Adapters::connect(settings).await?;
    let mut use_cases = adapters.use_cases(settings).await?;
    if settings.demo {
        demo::prepare(&use_cases.accounts, &use_cases.import, settings).await?;
    }
    tracing::info!(database = %url, data_dir = %settings.data_dir.display(), "the database is ready");

    let (workers, workers_stop) = (TaskTracker::new(), CancellationToken::new());
    start_workers(settings, &adapters, &use_cases, &metrics, &workers, &workers_stop);
    if settings.demo {
        let buyers = demo::Buyers {
            accounts: Arc::clone(&adapters.database.accounts),
            clock: Arc::clone(&adapters.clock),
            entropy: Arc::clone(&adapters.entropy),
            count: settings.demo_buyers,
        };
        // Each is made whole or not at all, so this may be broken off anywhere.
        workers.spawn(workers_stop.clone().run_until_cancelled_owned(buyers.make()));
    }
    let marks = Arc::new(FreshnessMarks::new(cache_time(settings)));
    if let Some(subscription) = use_cases.peering.subscription.take() {
        let subscriber = Subscriber {
            database: adapters.database.clone(),
            accounts: Arc::clone(&use_cases.accounts),
            generation: Arc::clone(&use_cases.generation),
            marks: Arc::clone(&marks),
        };
        workers.spawn(workers_stop.clone().run_until_cancelled_owned(subscriber.run(subscription)));
    }
    answer(settings, &adapters, &use_cases, marks, metrics, signals).await?;

    workers_stop.cancel();
    workers.close();
    if timeout(WORKERS_END_MAX, workers.wait()).await.is_err() {
        tracing::warn!("a background worker did not end in time");
    }
    if timeout(WORKERS_END_MAX, adapters.database.shutdown()).await.is_err() {
        tracing::warn!("the write lanes did not end in time");
    }
    use_cases.peering.peers.leave().await;
    tracing::info!("stopped");
    Ok(Exit::Success)
}

/// Opens the ports, and answers until the signal to stop and the end of what is in flight then.
async fn answer(
    settings: &Settings,
    adapters: &Adapters,
    use_cases: &UseCases,
    marks: Arc<FreshnessMarks>,
    metrics: PrometheusHandle,
    mut signals: Signals,
) -> anyhow::Result<()> {
    let draining = Draining::new();
    let routers = routes::routers(settings, adapters, use_cases, marks, metrics, &draining);
    let listener = Listener::open(settings.listen, bounds_of(settings)).await?;
    let address = listener.address()?;
    // The operators' port stays open until the very end, so that the stopping can be watched.
    let operations_stop = CancellationToken::new();
    let _operations_end = operations_stop.clone().drop_guard();
    if let (Some(at), Some(router)) = (settings.metrics_listen, routers.operations) {
        let listener = Listener::open(at, bounds_of(settings)).await?;
        tracing::info!(address = %listener.address()?, "serving metrics and health");
        tokio::spawn(listener.serve(router, operations_stop));
    }
    let stop = CancellationToken::new();
    let serving = tokio::spawn(listener.serve(routers.api, stop.clone()));
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "serving");
    output::print_line(&format!("boxoffice listens on http://{address}"))?;

    signals.next().await;
    leave(settings, &draining, &mut signals).await;
    tracing::info!(seconds_max = settings.shutdown_seconds, "stopping: what is in flight may end");
    draining.begin();
    stop.cancel();
    let ended = async {
        serving.await.context("the server broke")?;
        // What a client set in motion and did not wait for.
        draining.acts_ended().await;
        anyhow::Ok(())
    };
    tokio::select! {
        ended = ended => ended?,
        () = tokio::time::sleep(seconds(settings.shutdown_seconds)) => {
            tracing::warn!("requests in flight did not end in time and are broken off");
        }
        () = signals.next() => tracing::warn!("told to stop a second time: requests in flight are broken off"),
    }
    Ok(())
}

/// Lets load balancers find out that no more requests should be sent here, while those that come are served.
async fn leave(settings: &Settings, draining: &Draining, signals: &mut Signals) {
    draining.leave();
    if settings.drain_seconds == 0 {
        return;
    }
    tracing::info!(seconds = settings.drain_seconds, "leaving: load balancers are told to send nothing more");
    tokio::select! {
        () = tokio::time::sleep(seconds(settings.drain_seconds)) => {}
        () = signals.next() => tracing::info!("told to stop a second time: load balancers are waited for no longer"),
    }
}

fn bounds_of(settings: &Settings) -> Bounds {
    Bounds { connections_max: settings.connections_max, head_timeout: seconds(settings.connection_idle_seconds) }
}

fn start_workers(
    settings: &Settings,
    adapters: &Adapters,
    use_cases: &UseCases,
    metrics: &PrometheusHandle,
    tracker: &TaskTracker,
    stop: &CancellationToken,
) {
    let sweeper =
        ExpirySweeper { reservations: Arc::clone(&use_cases.reservations), interval: seconds(settings.sweep_seconds) };
    start_for_all(settings, adapters, tracker, stop, sweeper);
    let charges = PendingCharges {
        wallet: Arc::clone(&use_cases.wallet),
        pending_seconds: settings.charge_retry_seconds,
        after: None,
        without_verdict: 0,
    };
    start_for_all(settings, adapters, tracker, stop, charges);
    let admissions =
        Admissions { waiting_room: Arc::clone(&use_cases.waiting_room), clock: Arc::clone(&adapters.clock) };
    workers::start(tracker, stop, admissions);
    if let Some(presence) = &use_cases.peering.presence {
        workers::start(tracker, stop, PresenceWatch { presence: Arc::clone(presence), has_peers: false });
    }
    let keys = KeysWatch { path: wiring::keys_path(settings), tokens: Arc::clone(&use_cases.tokens) };
    workers::start(tracker, stop, keys);
    let upkeep = MetricsUpkeep { queues: Arc::clone(&use_cases.queues), handle: metrics.clone(), measured: Vec::new() };
    workers::start(tracker, stop, upkeep);
}

/// Starts a worker that does something for all instances over one database, so that one of them at a time does it. An
/// embedded database has one instance.
fn start_for_all(
    settings: &Settings,
    adapters: &Adapters,
    tracker: &TaskTracker,
    stop: &CancellationToken,
    worker: impl Worker + Sync,
) {
    if settings.database_url().sqlite_path().is_some() {
        workers::start(tracker, stop, worker);
        return;
    }
    let (leases, clock) = (Arc::clone(&adapters.database.leases), Arc::clone(&adapters.clock));
    let lease = Lease::new(leases, clock, worker.name(), adapters.entropy.uuid());
    workers::start(tracker, stop, Leased { lease, worker });
}

/// The signals that mean to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
