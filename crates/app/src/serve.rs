//! The server, from an empty folder to serving, and from there to a clean end.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use boxoffice_http::{Draining, FreshnessMarks};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    demo,
    exit::Exit,
    listener::{Bounds, Listener},
    output, reloading,
    routes::{self, Routers},
    settings::{Gateway, Layers, Settings},
    subscriber::Subscriber,
    telemetry,
    tls::Tls,
    traces::Traces,
    wiring::{self, Adapters, UseCases, cache_time, seconds},
    workers::{
        Admissions, Broker, CertificateWatch, ExpirySweeper, GatewayMessages, KeysWatch, Leased, Mail, MailWorker,
        MaintenanceWatch, MetricsUpkeep, PendingCharges, PendingRefunds, PresenceWatch, Reader as _, ReadinessWatch,
        Relay, RelayToWebhooks, RetentionWorker, RevocationsWatch, Sales, Sequencing, WaitingCharges, WebhookWorker,
        Webhooks, Worker, Workers, report_failing_requests,
    },
};

/// How long the workers have to end, and the write lanes after them. No response depends on it.
const END_MAX: Duration = Duration::from_secs(10);

/// Serves until a signal to stop.
pub(crate) async fn serve(settings: &Settings, layers: &Layers, traces: Option<&Traces>) -> anyhow::Result<Exit> {
    demo::refuse_elsewhere(settings)?;
    let tls = Tls::of(settings)?;
    wiring::check_mail(settings)?;
    // A signal that comes during the start takes effect after it.
    let signals = Signals::listen()?;
    let metrics = telemetry::start_metrics()?;
    let url = settings.database_url();
    wiring::make_files(settings)?;
    let _lock = wiring::lock(&url)?;
    wiring::migrate(&url).await?;
    let adapters = Adapters::connect(settings).await?;
    let mut use_cases = adapters.use_cases(settings).await?;
    let mut clock = adapters.clock_watch(settings, Arc::clone(&use_cases.services.peers));
    clock.compare().await.context("the clock cannot be compared with that of the database")?;
    let mut maintenance = MaintenanceWatch(Arc::clone(&use_cases.services.maintenance));
    maintenance.tick().await.context("it cannot be read whether there is maintenance")?;
    if settings.demo {
        let services = &use_cases.services;
        if let Err(error) = demo::prepare(&services.accounts, &services.catalog, &use_cases.import, settings).await {
            let error: &(dyn std::error::Error + 'static) = error.as_ref();
            tracing::warn!(error, "the demo is not complete; the next start tries again");
        }
    } else {
        demo::say_what_is_left(adapters.database.accounts.as_ref()).await;
    }
    match settings.gateway {
        Gateway::None => tracing::info!(
            "no payment gateway is set (`gateway`): charging points is refused, and pending charges stay as they are"
        ),
        Gateway::Stripe if settings.pages => tracing::warn!(
            "points are charged over Stripe, and the pages have no way to enter a card: buyers need another client, or a \
             payment method that confirms by a redirect"
        ),
        Gateway::Stripe => tracing::info!("points are charged over Stripe"),
        Gateway::Simulator if settings.demo => {}
        Gateway::Simulator => tracing::warn!("the payment gateway is a simulator: points cost nothing"),
    }
    warn_of_weak_secrets(settings);
    let accounts = &use_cases.services.accounts;
    accounts.read_revocations().await.context("it cannot be read which sessions have ended")?;
    tracing::info!(database = %url, data_dir = %settings.data_dir.display(), "the database is ready");

    let workers = Workers::default();
    if let Some(sender) = wiring::mail_sender(settings, &adapters)? {
        start_for_all(settings, &adapters, &workers, MailWorker::new(sender));
    }
    start_workers(settings, &adapters, &use_cases, &metrics, &workers);
    workers.run(report_failing_requests());
    workers.run(reloading::run(settings.clone(), layers.clone()));
    workers.start(clock);
    workers.start(maintenance);
    workers.start(ReadinessWatch(Arc::clone(&use_cases.services.readiness)));
    if let Some(tls) = &tls {
        workers.start(CertificateWatch { tls: Arc::clone(tls) });
    }
    let marks = Arc::new(FreshnessMarks::new(cache_time(settings)));
    if let Some(subscription) = use_cases.peering.subscription.take() {
        let subscriber = Subscriber {
            database: adapters.database.clone(),
            accounts: Arc::clone(&use_cases.services.accounts),
            generation: Arc::clone(&use_cases.services.catalog.generation),
            marks: Arc::clone(&marks),
        };
        workers.run(subscriber.run(subscription));
    }
    let draining = Draining::new();
    let routers = routes::routers(settings, use_cases.services.clone(), marks, metrics, &draining, traces)?;
    answer(settings, routers, tls, draining, signals).await?;

    if timeout(END_MAX, workers.end()).await.is_err() {
        tracing::warn!("a worker did not end in time");
    }
    if timeout(END_MAX, adapters.database.shutdown()).await.is_err() {
        tracing::warn!("the write lanes did not end in time");
    }
    use_cases.peering.peers.leave().await;
    tracing::info!("stopped");
    Ok(Exit::Success)
}

/// What Argon2id has to cost at least, as memory in KiB and passes over it: any of these (OWASP Password Storage Cheat Sheet).
const HASHING_COSTS_MIN: [(u32, u32); 5] = [(47_104, 1), (19_456, 2), (12_288, 3), (9_216, 4), (7_168, 5)];
/// The longest life of an access token without a warning at the start. A thief can use a stolen token until it expires.
const ACCESS_TOKEN_SECONDS_LONG: u32 = 3_600;

/// Warns of settings with which a secret is found, or used by a thief, more easily than by default.
fn warn_of_weak_secrets(settings: &Settings) {
    let (memory_kib, iterations) = (settings.password_memory_kib, settings.password_iterations);
    let covers = |least: &(u32, u32)| memory_kib >= least.0 && iterations >= least.1;
    if !HASHING_COSTS_MIN.iter().any(covers) {
        tracing::warn!(
            memory_kib,
            iterations,
            "passwords are hashed with so little work that stolen hashes are soon broken: raise `password_memory_kib` or \
             `password_iterations`"
        );
    }
    if settings.access_token_seconds > ACCESS_TOKEN_SECONDS_LONG {
        tracing::warn!(
            seconds = settings.access_token_seconds,
            "an access token is good for long, also in the hands of a thief: lower `access_token_seconds`"
        );
    }
}

/// Opens the ports, and serves until a signal to stop and the end of the requests that are in flight then.
async fn answer(
    settings: &Settings,
    routers: Routers,
    tls: Option<Arc<Tls>>,
    draining: Draining,
    mut signals: Signals,
) -> anyhow::Result<()> {
    let bounds = Bounds {
        connections_max: settings.connections_max,
        // Behind a proxy all clients have its address.
        connections_per_address: if settings.trust_forwarded_for { 0 } else { settings.connections_per_address },
        idle_timeout: seconds(settings.connection_idle_seconds),
        slow_client: seconds(settings.slow_client_seconds),
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    if tls.is_none() && !settings.listen.is_loopback() && !settings.trust_forwarded_for {
        tracing::warn!(
            listen = %settings.listen,
            "passwords and tokens come over the network without TLS: put a proxy in front (`trust_forwarded_for`), or set \
             `tls_certificate_file`"
        );
    }
    let listener = Listener::open(&settings.listen, bounds).await?.with_tls(tls);
    let address = listener.address()?;
    // The operators' port stays open until the end, so that they can watch the stop.
    let operations_stop = CancellationToken::new();
    let _operations_end = operations_stop.clone().drop_guard();
    if let (Some(at), Some(router)) = (&settings.metrics_listen, routers.operations) {
        let listener = Listener::open(at, Bounds { connections_per_address: 0, ..bounds }).await?;
        tracing::info!(address = %listener.address()?, "serving metrics and health");
        tokio::spawn(listener.serve(router, operations_stop));
    }
    let stop = CancellationToken::new();
    let serving = tokio::spawn(listener.serve(routers.api, stop.clone()));
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "serving");
    output::print_line(&format!("boxoffice listens on {scheme}://{address}"))?;
    if settings.pages {
        output::print_line(&format!("the shop is at {scheme}://{address}/"))?;
    }

    signals.next().await;
    leave(settings, &draining, &mut signals).await;
    tracing::info!(seconds_max = settings.shutdown_seconds, "stopping when the requests in flight have ended");
    draining.begin();
    stop.cancel();
    let ended = async {
        serving.await.context("the server panicked")?;
        // Clients may have left before their acts ended.
        draining.acts_ended().await;
        anyhow::Ok(())
    };
    tokio::select! {
        ended = ended => ended?,
        () = tokio::time::sleep(seconds(settings.shutdown_seconds)) => {
            tracing::warn!("the requests in flight did not end in time and are aborted");
        }
        () = signals.next() => tracing::warn!("a second signal to stop: the requests in flight are aborted"),
    }
    Ok(())
}

/// Gives load balancers time to notice that this instance stops. It still serves the requests that come.
async fn leave(settings: &Settings, draining: &Draining, signals: &mut Signals) {
    draining.leave();
    if settings.drain_seconds == 0 {
        return;
    }
    tracing::info!(seconds = settings.drain_seconds, "leaving: /readyz answers 503, and requests are still served");
    tokio::select! {
        () = tokio::time::sleep(seconds(settings.drain_seconds)) => {}
        () = signals.next() => tracing::info!("a second signal to stop: load balancers get no more time"),
    }
}

fn start_workers(
    settings: &Settings,
    adapters: &Adapters,
    use_cases: &UseCases,
    metrics: &PrometheusHandle,
    workers: &Workers,
) {
    let UseCases { services, waiting_room, wallet, webhooks, peering, tokens, .. } = use_cases;
    let interval = seconds(settings.sweep_seconds);
    let sweeper = ExpirySweeper { reservations: Arc::clone(&services.reservations), interval };
    start_for_all(settings, adapters, workers, sweeper);
    let charges = PendingCharges::new(Arc::clone(wallet), settings.charge_retry_seconds);
    start_for_all(settings, adapters, workers, charges);
    start_for_all(settings, adapters, workers, WaitingCharges::new(Arc::clone(wallet)));
    let refunds = PendingRefunds::new(Arc::clone(wallet), settings.charge_retry_seconds);
    start_for_all(settings, adapters, workers, refunds);
    if settings.gateway == Gateway::Stripe {
        start_for_all(settings, adapters, workers, GatewayMessages(Arc::clone(wallet)));
    }
    let sending = WebhookWorker::new(Arc::clone(webhooks), settings.webhook_delivery_days);
    start_for_all(settings, adapters, workers, sending);
    let retention = adapters.retention(settings);
    let unread_seconds = f64::from(retention.kept_days.outbox_unread) * 86_400.0;
    metrics::gauge!("boxoffice_outbox_unread_seconds_max").set(unread_seconds);
    start_for_all(settings, adapters, workers, RetentionWorker::new(retention));
    start_relay(adapters, use_cases, settings, workers);
    workers.start(Admissions { waiting_room: Arc::clone(waiting_room), clock: Arc::clone(&adapters.clock) });
    workers.start(Sales { waiting_room: Arc::clone(waiting_room), fails: false });
    if let Some(presence) = &peering.presence {
        workers.start(PresenceWatch { presence: Arc::clone(presence), has_peers: false });
    }
    workers.start(RevocationsWatch::new(Arc::clone(&services.accounts), Arc::clone(&services.peers)));
    workers.start(KeysWatch { path: wiring::keys_path(settings), tokens: Arc::clone(tokens) });
    let queues = Arc::clone(&waiting_room.waiting_room);
    workers.start(MetricsUpkeep { queues, handle: metrics.clone(), measured: Vec::new() });
    if settings.demo {
        let buyers = demo::Buyers {
            accounts: Arc::clone(&adapters.database.accounts),
            clock: Arc::clone(&adapters.clock),
            entropy: Arc::clone(&adapters.entropy),
            count: settings.demo_buyers,
        };
        // An account is made in one transaction, so this may be aborted at any point.
        workers.run(buyers.make());
    }
}

/// Starts what takes events from the outbox to those who read them.
fn start_relay(adapters: &Adapters, use_cases: &UseCases, settings: &Settings, workers: &Workers) {
    let clock = || Arc::clone(&adapters.clock);
    if let Some(broker) = &use_cases.broker {
        let reader = adapters.event_reader(Broker::NAME, Arc::clone(broker));
        start_for_all(settings, adapters, workers, Relay::<Broker>::new(reader, clock()));
    }
    if let Some(mail) = wiring::mail_reader(settings, adapters) {
        let reader = adapters.event_reader(Mail::NAME, mail);
        start_for_all(settings, adapters, workers, Relay::<Mail>::new(reader, clock()));
    }
    let reader = adapters.event_reader(Webhooks::NAME, wiring::webhook_fan_out(adapters));
    let webhooks = Arc::clone(&adapters.database.webhooks);
    let relay = RelayToWebhooks::new(Relay::new(reader, clock()), webhooks);
    start_for_all(settings, adapters, workers, relay);
    let sequencing = Sequencing::new(Arc::clone(&adapters.database.event_log), clock());
    start_for_all(settings, adapters, workers, sequencing);
}

/// Starts a worker that works for all instances over one database, at one of them at a time. An embedded database has one
/// instance.
fn start_for_all<W: Worker + Sync>(settings: &Settings, adapters: &Adapters, workers: &Workers, worker: W) {
    if settings.database_url().sqlite_path().is_some() {
        workers.start(worker);
    } else {
        workers.start(Leased { lease: adapters.lease(W::NAME), worker });
    }
}

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
