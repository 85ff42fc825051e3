//! What happens in the background while the server runs.
//!
//! Nothing depends on a worker having run: each only does early, for those who do not come, what would happen
//! anyway when somebody does. So a worker never ends with a failure; it tries again, later each time.

use std::{panic::AssertUnwindSafe, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use boxoffice_application::{ReservationService, WaitingRoomService, WalletService};
use boxoffice_domain::{Clock, ConcertId, waiting_room::WaitingRoom, wallet::PendingKey};
use boxoffice_peers::{leases::Lease, presence::Presence};
use futures::FutureExt;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::adapters::{CurrentTokens, Keys};

/// How many lapsed holds one transaction tidies away.
const EXPIRE_MAX: u32 = 500;
/// How many pending charges are looked at in one tick: few, since each may take as long as the gateway's time
/// limit, and a stop waits for the end of the tick.
const CHARGES_MAX: u32 = 20;
/// How many lines have metrics: each label costs memory here and in whatever collects them.
const LINES_MEASURED_MAX: usize = 100;
/// How long to wait after the first failure; twice as long after each further one.
const BACKOFF_MIN: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// How soon and how late the lines are looked at, whenever they say that something ends.
const TIDY_MIN: Duration = Duration::from_millis(20);
const TIDY_MAX: Duration = Duration::from_millis(500);
const UPKEEP: Duration = Duration::from_secs(5);
/// How often an instance that does not hold a lease tries to take it.
const LEASE_INTERVAL: Duration = Duration::from_secs(1);
/// How often the small file of the keys is read: how long a change of it takes to be seen.
const KEYS_READ_AGAIN: Duration = Duration::from_secs(2);
/// How often peers are looked for.
const PRESENCE_INTERVAL: Duration = Duration::from_secs(1);

/// Something done again and again.
#[async_trait]
pub(crate) trait Worker: Send + 'static {
    /// What it is called in logs and metrics.
    fn name(&self) -> &'static str;

    /// Does one round, and returns how long to rest. It is never broken off: a transaction that is dropped halfway
    /// stays open.
    async fn tick(&mut self) -> anyhow::Result<Duration>;

    /// Another instance does this at the moment.
    fn is_done_elsewhere(&mut self) {}

    /// Ends what the ticks have begun, after the last one.
    async fn end(&mut self) {}
}

/// Starts a worker. It ends on `stop`, after the tick that it is in.
pub(crate) fn start(tracker: &TaskTracker, stop: &CancellationToken, mut worker: impl Worker) {
    let stop = stop.clone();
    metrics::counter!("boxoffice_worker_failures_total", "worker" => worker.name()).absolute(0);
    tracker.spawn(async move {
        let mut failures = 0;
        loop {
            let rest = match run_tick(&mut worker).await {
                Ok(rest) => {
                    if failures > 0 {
                        tracing::info!(worker = worker.name(), failures, "a background worker works again");
                    }
                    failures = 0;
                    rest
                }
                Err(error) => {
                    metrics::counter!("boxoffice_worker_failures_total", "worker" => worker.name()).increment(1);
                    if failures == 0 {
                        let error = error.as_ref() as &dyn std::error::Error;
                        tracing::warn!(worker = worker.name(), error, "a background worker failed and will try again");
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
    });
}

async fn run_tick(worker: &mut impl Worker) -> anyhow::Result<Duration> {
    // The panic itself has been logged by the hook; a worker has no state that it could have spoilt.
    AssertUnwindSafe(worker.tick()).catch_unwind().await.unwrap_or_else(|_| Err(anyhow::anyhow!("it panicked")))
}

fn backoff(failures: u32) -> Duration {
    BACKOFF_MIN.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(BACKOFF_MAX)
}

/// Lets one instance at a time run a worker. The others take over soon after the holder of the lease has ended, however it
/// has ended.
pub(crate) struct Leased<W> {
    pub(crate) lease: Lease,
    pub(crate) worker: W,
}

#[async_trait]
impl<W: Worker + Sync> Worker for Leased<W> {
    fn name(&self) -> &'static str {
        self.worker.name()
    }

    async fn tick(&mut self) -> anyhow::Result<Duration> {
        let held = self.lease.hold().await?;
        metrics::gauge!("boxoffice_worker_lease_held", "worker" => self.worker.name()).set(u8::from(held));
        if held {
            return self.worker.tick().await;
        }
        self.worker.is_done_elsewhere();
        Ok(LEASE_INTERVAL)
    }

    async fn end(&mut self) {
        self.worker.end().await;
        self.lease.release().await;
    }
}

/// Looks for peers that there should not be.
pub(crate) struct PresenceWatch {
    pub(crate) presence: Arc<Presence>,
    /// Whether there were any at the last look.
    pub(crate) has_peers: bool,
}

#[async_trait]
impl Worker for PresenceWatch {
    fn name(&self) -> &'static str {
        "presence"
    }

    async fn tick(&mut self) -> anyhow::Result<Duration> {
        let has_peers = self.presence.look().await?;
        if has_peers && !self.has_peers {
            tracing::warn!(
                "another instance works with this database, and each has lines of its own and admits by itself: \
                 let them share a Redis (waiting_room)"
            );
        }
        self.has_peers = has_peers;
        Ok(PRESENCE_INTERVAL)
    }

    async fn end(&mut self) {
        self.presence.end().await;
    }
}

/// Tidies lapsed holds away.
#[derive(Debug)]
pub(crate) struct ExpirySweeper {
    pub(crate) reservations: Arc<ReservationService>,
    pub(crate) interval: Duration,
}

#[async_trait]
impl Worker for ExpirySweeper {
    fn name(&self) -> &'static str {
        "expiry"
    }

    async fn tick(&mut self) -> anyhow::Result<Duration> {
        let expired = self.reservations.expire_due(EXPIRE_MAX).await?;
        metrics::counter!("boxoffice_holds_expired_total").increment(u64::from(expired));
        // A full tick means that more wait.
        Ok(if expired < EXPIRE_MAX { self.interval } else { Duration::ZERO })
    }
}

/// Asks the payment gateway again about charges that have no verdict.
#[derive(Debug)]
pub(crate) struct PendingCharges {
    pub(crate) wallet: Arc<WalletService>,
    pub(crate) pending_seconds: u32,
    /// Where the last tick ended, if it did not reach the end.
    pub(crate) after: Option<PendingKey>,
    /// How many have had no verdict since the first of them was asked about.
    pub(crate) without_verdict: u32,
}

#[async_trait]
impl Worker for PendingCharges {
    fn name(&self) -> &'static str {
        "pending_charges"
    }

    async fn tick(&mut self) -> anyhow::Result<Duration> {
        let resolved = self.wallet.resolve_pending(self.pending_seconds, self.after, CHARGES_MAX).await?;
        self.after = resolved.next;
        self.without_verdict = self.without_verdict.saturating_add(resolved.pending);
        if self.after.is_none() {
            metrics::gauge!("boxoffice_charges_pending").set(std::mem::take(&mut self.without_verdict));
        }
        if resolved.ended > 0 {
            tracing::info!(ended = resolved.ended, pending = resolved.pending, "pending charges were resolved");
        }
        let rest = if resolved.next.is_some() { 1 } else { self.pending_seconds.clamp(1, 10) };
        Ok(Duration::from_secs(u64::from(rest)))
    }

    fn is_done_elsewhere(&mut self) {
        (self.after, self.without_verdict) = (None, 0);
        metrics::gauge!("boxoffice_charges_pending").set(0);
    }
}

/// Ends admissions whose time is over where nobody comes who would do it.
pub(crate) struct Admissions {
    pub(crate) waiting_room: Arc<WaitingRoomService>,
    pub(crate) clock: Arc<dyn Clock>,
}

#[async_trait]
impl Worker for Admissions {
    fn name(&self) -> &'static str {
        "admissions"
    }

    async fn tick(&mut self) -> anyhow::Result<Duration> {
        let next = self.waiting_room.advance().await?;
        let until = next.map(|next| (next - self.clock.now()).to_std().unwrap_or_default());
        // Something that ends earlier than told may be added meanwhile, so it never rests for long.
        Ok(until.unwrap_or(TIDY_MAX).clamp(TIDY_MIN, TIDY_MAX))
    }
}

/// Takes over what has changed in the file of the keys.
#[derive(Debug)]
pub(crate) struct KeysWatch {
    pub(crate) path: PathBuf,
    pub(crate) tokens: Arc<CurrentTokens>,
}

#[async_trait]
impl Worker for KeysWatch {
    fn name(&self) -> &'static str {
        "keys"
    }

    /// A file that cannot be used changes nothing: the keys of before go on.
    async fn tick(&mut self) -> anyhow::Result<Duration> {
        let path = self.path.clone();
        let keys = tokio::task::spawn_blocking(move || Keys::load_shared(&path)).await??;
        if self.tokens.change(keys)? {
            tracing::info!(path = %self.path.display(), "the signing keys were changed");
        }
        Ok(KEYS_READ_AGAIN)
    }
}

/// Measures the lines, and keeps the metrics themselves small.
pub(crate) struct MetricsUpkeep {
    pub(crate) queues: Arc<dyn WaitingRoom>,
    pub(crate) handle: PrometheusHandle,
    /// The lines of the last tick.
    pub(crate) measured: Vec<ConcertId>,
}

#[async_trait]
impl Worker for MetricsUpkeep {
    fn name(&self) -> &'static str {
        "metrics"
    }

    async fn tick(&mut self) -> anyhow::Result<Duration> {
        self.handle.run_upkeep();
        let lines = self.queues.census(LINES_MEASURED_MAX).await?;
        let gone = self.measured.iter().filter(|id| lines.iter().all(|line| line.concert_id != **id));
        for id in gone {
            measure(*id, 0, 0);
        }
        for line in &lines {
            measure(line.concert_id, line.waiting, line.active);
            metrics::gauge!("boxoffice_queue_admitted", "concert" => line.concert_id.to_string())
                .set(as_gauge(line.admitted_total));
        }
        self.measured = lines.iter().map(|line| line.concert_id).collect();
        Ok(UPKEEP)
    }
}

fn measure(id: ConcertId, waiting: u64, active: u64) {
    metrics::gauge!("boxoffice_queue_waiting", "concert" => id.to_string()).set(as_gauge(waiting));
    metrics::gauge!("boxoffice_queue_active", "concert" => id.to_string()).set(as_gauge(active));
}

#[expect(clippy::cast_precision_loss, reason = "a line has far fewer than 2^52 people")]
fn as_gauge(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use boxoffice_domain::Timestamp;
    use boxoffice_peers::{MemoryLeases, leases::Leases};
    use uuid::Uuid;

    use super::*;

    struct Stumbling {
        ticks: Arc<AtomicU32>,
    }

    #[async_trait]
    impl Worker for Stumbling {
        fn name(&self) -> &'static str {
            "stumbling"
        }

        async fn tick(&mut self) -> anyhow::Result<Duration> {
            match self.ticks.fetch_add(1, Ordering::SeqCst) {
                0 => anyhow::bail!("the database is away"),
                1 => panic!("a defect"),
                _ => Ok(Duration::from_secs(1)),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_outlives_its_failures_and_panics_and_ends_when_told_to() {
        let (ticks, tracker, stop) = (Arc::new(AtomicU32::new(0)), TaskTracker::new(), CancellationToken::new());
        start(&tracker, &stop, Stumbling { ticks: Arc::clone(&ticks) });
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(ticks.load(Ordering::SeqCst) >= 5);
        stop.cancel();
        tracker.close();
        tracker.wait().await;
    }

    /// Counts its ticks.
    struct Counting {
        ticks: Arc<AtomicU32>,
    }

    #[async_trait]
    impl Worker for Counting {
        fn name(&self) -> &'static str {
            "counting"
        }

        async fn tick(&mut self) -> anyhow::Result<Duration> {
            self.ticks.fetch_add(1, Ordering::SeqCst);
            Ok(Duration::from_millis(100))
        }
    }

    /// The time since the test began, as the runtime has it.
    struct RuntimeClock(tokio::time::Instant);

    impl Default for RuntimeClock {
        fn default() -> Self {
            Self(tokio::time::Instant::now())
        }
    }

    impl Clock for RuntimeClock {
        fn now(&self) -> Timestamp {
            boxoffice_domain::fixtures::instant(0) + self.0.elapsed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_of_several_instances_does_the_work_and_another_takes_over() {
        let (leases, clock) = (Arc::new(MemoryLeases::default()), Arc::new(RuntimeClock::default()));
        let tracker = TaskTracker::new();
        let instances: Vec<_> = (1..=3)
            .map(|number| {
                let (ticks, stop) = (Arc::new(AtomicU32::new(0)), CancellationToken::new());
                let worker = Counting { ticks: Arc::clone(&ticks) };
                let (leases, clock) = (Arc::clone(&leases) as Arc<dyn Leases>, Arc::clone(&clock) as Arc<dyn Clock>);
                let lease = Lease::new(leases, clock, worker.name(), Uuid::from_u128(number));
                start(&tracker, &stop, Leased { lease, worker });
                (ticks, stop)
            })
            .collect();
        let ticks = || instances.iter().map(|(ticks, _)| ticks.load(Ordering::SeqCst)).collect::<Vec<_>>();
        tokio::time::sleep(Duration::from_mins(1)).await;
        let first = ticks();
        assert_eq!(first.iter().filter(|ticks| **ticks > 500).count(), 1, "{first:?}");
        assert_eq!(first.iter().filter(|ticks| **ticks == 0).count(), 2, "{first:?}");
        // It ends in order, and another one takes over within a second or two.
        let ended = first.iter().position(|ticks| *ticks > 0).unwrap();
        instances[ended].1.cancel();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let second = ticks();
        assert_eq!(second.iter().filter(|ticks| **ticks == 0).count(), 1, "{second:?}");
        for (_, stop) in &instances {
            stop.cancel();
        }
        tracker.close();
        tracker.wait().await;
        assert!(leases.is_empty());
    }

    #[test]
    fn a_failing_worker_waits_longer_each_time_up_to_a_bound() {
        let waits: Vec<_> = [1, 2, 3, 8, 1_000_000].map(|failures| backoff(failures).as_millis()).to_vec();
        assert_eq!(waits, [500, 1_000, 2_000, 30_000, 30_000]);
    }
}
