//! The background workers of a server.
//!
//! No rule depends on a worker. Each only does early, for buyers who do not come back, what the next request would do
//! anyway. So a failure never ends a worker; it tries again, each time later.

mod certificate;
mod clock;
mod events;
mod gateway;
mod mail;
mod maintenance;
mod readiness;
mod retention;
mod webhooks;

use std::{panic::AssertUnwindSafe, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use boxoffice_application::{AccountService, ReservationService, WaitingRoomService};
use boxoffice_domain::{Clock, ConcertId, waiting_room::WaitingRoom};
use boxoffice_peers::{Peers, leases::Lease, presence::Presence};
use futures::FutureExt;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::adapters::{CurrentTokens, Keys};

pub(crate) use {
    certificate::CertificateWatch,
    clock::{ClockWatch, WARNED_FROM},
    events::{Broker, Mail, Reader, Relay, RelayToWebhooks, Sequencing, Webhooks},
    gateway::{GatewayMessages, PendingCharges, PendingRefunds, WaitingCharges},
    mail::MailWorker,
    maintenance::MaintenanceWatch,
    readiness::ReadinessWatch,
    retention::RetentionWorker,
    webhooks::WebhookWorker,
};

/// How many lapsed holds one transaction marks as expired.
const EXPIRE_MAX: u32 = 500;
/// How many queues have metrics: each label costs memory here and where metrics are collected.
const QUEUES_MEASURED_MAX: usize = 100;
/// How long to wait after the first failure; twice as long after each further one.
const BACKOFF_MIN: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// How long to rest between two looks at the queues, whenever the next admission ends.
const ADVANCE_MIN: Duration = Duration::from_millis(20);
const ADVANCE_MAX: Duration = Duration::from_millis(500);
/// How long to rest between two looks at the sales of queues.
const SALES_INTERVAL: Duration = Duration::from_millis(50);
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
/// How often an instance that does not hold a lease tries to take it.
const LEASE_INTERVAL: Duration = Duration::from_secs(1);
/// How often an instance extends a lease during a tick, which may take longer than a lease lasts.
const LEASE_KEPT_INTERVAL: Duration = Duration::from_secs(2);
/// How often the file of the keys is read.
const KEYS_INTERVAL: Duration = Duration::from_secs(2);
/// How often an instance reads what was revoked that hears nothing of it, and how often one that should have heard of it.
const REVOCATIONS_INTERVAL: Duration = Duration::from_secs(1);
const REVOCATIONS_HEARD_INTERVAL: Duration = Duration::from_secs(10);
/// How often it is looked whether lines about failing requests are due.
const FAILING_REQUESTS_INTERVAL: Duration = Duration::from_secs(1);
/// How often an instance looks for peers that it cannot reach.
const PRESENCE_INTERVAL: Duration = Duration::from_secs(1);

/// A job that a server does again and again.
#[async_trait]
pub(crate) trait Worker: Send + 'static {
    /// The name in logs and metrics.
    const NAME: &'static str;

    /// Does one round, and returns how long to rest. It always runs to its end: a transaction that is dropped halfway
    /// would stay open.
    async fn tick(&mut self) -> anyhow::Result<Duration>;

    /// Takes note that another instance does the job.
    fn is_done_elsewhere(&mut self) {}

    /// Cleans up after the last tick.
    async fn end(&mut self) {}
}

/// Writes the lines about failing requests, without end.
pub(crate) async fn report_failing_requests() {
    loop {
        tokio::time::sleep(FAILING_REQUESTS_INTERVAL).await;
        boxoffice_http::report_failing_requests();
    }
}

#[derive(Debug, Default)]
pub(crate) struct Workers {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Workers {
    pub(crate) fn start(&self, worker: impl Worker) {
        self.tasks.spawn(run_ticks(worker, self.stop.clone()));
    }

    /// Runs a task that may be aborted at any point.
    pub(crate) fn run(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(task));
    }

    /// Waits until every worker has ended, each after its present tick.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn run_ticks<W: Worker>(mut worker: W, stop: CancellationToken) {
    let failures_total = metrics::counter!("boxoffice_worker_failures_total", "worker" => W::NAME);
    failures_total.absolute(0);
    let mut failures = 0;
    loop {
        let rest = match run_tick(&mut worker).await {
            Ok(rest) => {
                if failures > 0 {
                    tracing::info!(worker = W::NAME, failures, "a worker works again");
                }
                failures = 0;
                rest
            }
            Err(error) => {
                failures_total.increment(1);
                if failures == 0 {
                    let error = error.as_ref() as &dyn std::error::Error;
                    tracing::warn!(worker = W::NAME, error, "a worker failed and will try again");
                }
                failures += 1;
                backoff(failures)
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = tokio::time::sleep(rest) => {}
        }
    }
    worker.end().await;
}

async fn run_tick(worker: &mut impl Worker) -> anyhow::Result<Duration> {
    // The hook has logged the panic. A worker has no state that a panic can break.
    AssertUnwindSafe(worker.tick()).catch_unwind().await.unwrap_or_else(|_| Err(anyhow::anyhow!("it panicked")))
}

fn backoff(failures: u32) -> Duration {
    BACKOFF_MIN.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(BACKOFF_MAX)
}

/// Runs a worker at one instance at a time. Another takes over soon after the holder of the lease has ended, however that
/// happened.
pub(crate) struct Leased<W> {
    pub(crate) lease: Lease,
    pub(crate) worker: W,
}

#[async_trait]
impl<W: Worker + Sync> Worker for Leased<W> {
    const NAME: &'static str = W::NAME;

    async fn tick(&mut self) -> anyhow::Result<Duration> {
        let held = self.lease.hold().await?;
        metrics::gauge!("boxoffice_worker_lease_held", "worker" => W::NAME).set(u8::from(held));
        if !held {
            self.worker.is_done_elsewhere();
            return Ok(LEASE_INTERVAL);
        }
        let Self { lease, worker } = self;
        let mut tick = worker.tick();
        loop {
            tokio::select! {
                rest = &mut tick => return rest,
                () = tokio::time::sleep(LEASE_KEPT_INTERVAL) => {
                    // If it cannot be extended, another instance may take over before the tick has ended, which does no harm.
                    if let Err(error) = lease.hold().await {
                        tracing::debug!(error = &error as &dyn std::error::Error, "a lease was not extended");
                    }
                }
            }
        }
    }

    async fn end(&mut self) {
        self.worker.end().await;
        self.lease.release().await;
    }
}

/// Looks for peers that this instance cannot reach, and warns of them.
pub(crate) struct PresenceWatch {
    pub(crate) presence: Arc<Presence>,
    /// Whether there were any at the last look.
    pub(crate) has_peers: bool,
}

#[async_trait]
impl Worker for PresenceWatch {
    const NAME: &'static str = "presence";

    async fn tick(&mut self) -> anyhow::Result<Duration> {
        let has_peers = self.presence.look().await?;
        if has_peers && !self.has_peers {
            tracing::warn!(
                "another instance uses this database, and each runs separate queues: set `waiting_room` to a Redis that \
                 they share"
            );
        }
        self.has_peers = has_peers;
        Ok(PRESENCE_INTERVAL)
    }

    async fn end(&mut self) {
        self.presence.end().await;
    }
}

/// Reads what was revoked by processes of which this instance has not heard: peers, and commands of the operator.
pub(crate) struct RevocationsWatch {
    accounts: Arc<AccountService>,
    peers: Arc<dyn Peers>,
    read_at: Option<Instant>,
}

impl RevocationsWatch {
    pub(crate) fn new(accounts: Arc<AccountService>, peers: Arc<dyn Peers>) -> Self {
        Self { accounts, peers, read_at: None }
    }
}

#[async_trait]
impl Worker for RevocationsWatch {
    const NAME: &'static str = "revocations";

    async fn tick(&mut self) -> anyhow::Result<Duration> {
        let hears = self.peers.are_reachable() && self.peers.all_received();
        let is_fresh = self.read_at.is_some_and(|at| at.elapsed() < REVOCATIONS_HEARD_INTERVAL);
        if !hears || !is_fresh || self.accounts.revocations.is_missed() {
            self.accounts.read_revocations().await?;
            self.read_at = Some(Instant::now());
        }
        Ok(REVOCATIONS_INTERVAL)
    }
}

/// Marks lapsed holds as expired.
#[derive(Debug)]
pub(crate) struct ExpirySweeper {
    pub(crate) reservations: Arc<ReservationService>,
    pub(crate) interval: Duration,
}

#[async_trait]
impl Worker for ExpirySweeper {
    const NAME: &'static str = "expiry";

    async fn tick(&mut self) -> anyhow::Result<Duration> {
        let expired = self.reservations.expire_due(EXPIRE_MAX).await?;
        metrics::counter!("boxoffice_holds_expired_total").increment(u64::from(expired));
        // After a full batch there may be more.
        Ok(if expired < EXPIRE_MAX { self.interval } else { Duration::ZERO })
    }
}

/// Advances the queues, so that admissions end on time also if no buyer polls.
pub(crate) struct Admissions {
    pub(crate) waiting_room: Arc<WaitingRoomService>,
    pub(crate) clock: Arc<dyn Clock>,
}

#[async_trait]
impl Worker for Admissions {
    const NAME: &'static str = "admissions";

    async fn tick(&mut self) -> anyhow::Result<Duration> {
        let next = self.waiting_room.advance().await?;
        let until = next.map(|next| (next - self.clock.now()).to_std().unwrap_or_default());
        // Meanwhile an admission may begin that ends earlier, so it never rests for long.
        Ok(until.unwrap_or(ADVANCE_MAX).clamp(ADVANCE_MIN, ADVANCE_MAX))
    }
}

/// Lets queues have what their sales have for them.
pub(crate) struct Sales {
    pub(crate) waiting_room: Arc<WaitingRoomService>,
    /// Whether the last tick failed.
    pub(crate) fails: bool,
}

#[async_trait]
impl Worker for Sales {
    const NAME: &'static str = "sales";

    /// A failure does not make it rest: what changes meanwhile has to reach the queues at once when it is over.
    async fn tick(&mut self) -> anyhow::Result<Duration> {
        let followed = self.waiting_room.follow_sales().await;
        if let Err(error) = &followed
            && !self.fails
        {
            tracing::warn!(error = error as &dyn std::error::Error, "a queue cannot follow its sale");
        }
        self.fails = followed.is_err();
        Ok(SALES_INTERVAL)
    }
}

/// Takes over changes of the file of the keys.
#[derive(Debug)]
pub(crate) struct KeysWatch {
    pub(crate) path: PathBuf,
    pub(crate) tokens: Arc<CurrentTokens>,
}

#[async_trait]
impl Worker for KeysWatch {
    const NAME: &'static str = "keys";

    /// A file that cannot be used changes nothing: the previous keys stay valid.
    async fn tick(&mut self) -> anyhow::Result<Duration> {
        let path = self.path.clone();
        let keys = tokio::task::spawn_blocking(move || Keys::load_shared(&path)).await??;
        if self.tokens.change(keys)? {
            tracing::info!(path = %self.path.display(), "the signing keys were changed");
        }
        Ok(KEYS_INTERVAL)
    }
}

/// Measures the queues, and lets the metrics recorder clean up.
pub(crate) struct MetricsUpkeep {
    pub(crate) queues: Arc<dyn WaitingRoom>,
    pub(crate) handle: PrometheusHandle,
    /// The queues of the last tick.
    pub(crate) measured: Vec<ConcertId>,
}

#[async_trait]
impl Worker for MetricsUpkeep {
    const NAME: &'static str = "metrics";

    async fn tick(&mut self) -> anyhow::Result<Duration> {
        self.handle.run_upkeep();
        let queues = self.queues.census(QUEUES_MEASURED_MAX).await?;
        let gone = self.measured.iter().filter(|id| queues.iter().all(|queue| queue.concert_id != **id));
        for id in gone {
            measure(*id, 0, 0);
        }
        for queue in &queues {
            measure(queue.concert_id, queue.waiting, queue.active);
            metrics::gauge!("boxoffice_queue_admitted", "concert" => queue.concert_id.to_string())
                .set(as_gauge(queue.admitted_total));
        }
        self.measured = queues.iter().map(|queue| queue.concert_id).collect();
        Ok(UPKEEP_INTERVAL)
    }
}

fn measure(id: ConcertId, waiting: u64, active: u64) {
    metrics::gauge!("boxoffice_queue_waiting", "concert" => id.to_string()).set(as_gauge(waiting));
    metrics::gauge!("boxoffice_queue_active", "concert" => id.to_string()).set(as_gauge(active));
}

#[expect(clippy::cast_precision_loss, reason = "a queue has far fewer than 2^52 accounts")]
fn as_gauge(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use boxoffice_domain::fixtures::TestClock;
    use boxoffice_peers::{MemoryLeases, leases::Leases};
    use uuid::Uuid;

    use super::*;

    /// Counts its ticks, the first of which fail.
    struct Counting {
        ticks: Arc<AtomicU32>,
        stumbles: bool,
    }

    #[async_trait]
    impl Worker for Counting {
        const NAME: &'static str = "counting";

        async fn tick(&mut self) -> anyhow::Result<Duration> {
            match self.ticks.fetch_add(1, Ordering::SeqCst) {
                0 if self.stumbles => anyhow::bail!("the database is away"),
                1 if self.stumbles => panic!("a defect"),
                _ => Ok(Duration::from_millis(100)),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_outlives_its_failures_and_panics_and_ends_when_stopped() {
        let (ticks, workers) = (Arc::new(AtomicU32::new(0)), Workers::default());
        workers.start(Counting { ticks: Arc::clone(&ticks), stumbles: true });
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(ticks.load(Ordering::SeqCst) >= 5);
        workers.end().await;
    }

    #[tokio::test(start_paused = true)]
    async fn one_of_several_instances_does_the_work_and_another_takes_over() {
        let (leases, clock) = (Arc::new(MemoryLeases::default()), Arc::new(TestClock::new()));
        let start = |number| {
            let (ticks, workers) = (Arc::new(AtomicU32::new(0)), Workers::default());
            let worker = Counting { ticks: Arc::clone(&ticks), stumbles: false };
            let (leases, clock) = (Arc::clone(&leases) as Arc<dyn Leases>, Arc::clone(&clock) as Arc<dyn Clock>);
            let lease = Lease::new(leases, clock, Counting::NAME, Uuid::from_u128(number));
            workers.start(Leased { lease, worker });
            (ticks, workers)
        };
        let mut instances: Vec<_> = (1..=3).map(start).collect();
        let idle = |instances: &[(Arc<AtomicU32>, Workers)]| {
            instances.iter().filter(|(ticks, _)| ticks.load(Ordering::SeqCst) == 0).count()
        };
        for _ in 0..60 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            clock.advance_seconds(1);
        }
        assert_eq!(idle(&instances), 2);
        let working = instances.iter().position(|(ticks, _)| ticks.load(Ordering::SeqCst) > 500).unwrap();
        instances.swap_remove(working).1.end().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(idle(&instances), 1, "one of the others has taken over");
        for (_, workers) in instances {
            workers.end().await;
        }
        assert!(leases.is_empty());
    }

    #[test]
    fn a_failing_worker_waits_longer_each_time_up_to_a_bound() {
        let waits: Vec<_> = [1, 2, 3, 8, 1_000_000].map(|failures| backoff(failures).as_millis()).to_vec();
        assert_eq!(waits, [500, 1_000, 2_000, 30_000, 30_000]);
    }
}
