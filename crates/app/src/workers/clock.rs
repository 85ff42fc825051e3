//! Whether the clock of this machine is right.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use boxoffice_domain::{Clock, ClockReading, Timestamp, audit::Readiness};
use boxoffice_peers::Peers;
use chrono::TimeDelta;
use tokio::time::Instant;

use super::Worker;
use crate::adapters::SystemClock;

/// How often it is looked whether the clock was set, which costs nothing.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often the clock is compared with others.
const COMPARE_INTERVAL: Duration = Duration::from_secs(10);
/// How often the database is asked for one comparison. The shortest answer says the most.
const READINGS: usize = 3;
/// From which difference on the operator should know.
pub(crate) const WARNED_FROM: TimeDelta = TimeDelta::milliseconds(500);
/// A clock that moves so much more or less than time passes was set.
const SET_FROM: TimeDelta = TimeDelta::milliseconds(100);

/// Compares the clock of this machine with that of the database, which is the one that counts, and with those of the peers.
/// If it differs too much from that of the database, it is not trusted until it is right again.
pub(crate) struct ClockWatch {
    clock: Arc<SystemClock>,
    readiness: Arc<dyn Readiness>,
    peers: Arc<dyn Peers>,
    skew_max: TimeDelta,
    /// When it was compared the last time, by the clock and by the time that passes.
    compared: Option<(Timestamp, Instant)>,
    said: Said,
}

/// What the log says of the clock by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Right,
    Off,
    Wrong,
}

impl ClockWatch {
    pub(crate) fn new(
        clock: Arc<SystemClock>,
        readiness: Arc<dyn Readiness>,
        peers: Arc<dyn Peers>,
        skew_max_milliseconds: u32,
    ) -> Self {
        let skew_max = TimeDelta::milliseconds(i64::from(skew_max_milliseconds));
        Self { clock, readiness, peers, skew_max, compared: None, said: Said::Right }
    }

    /// Whether it is time to compare the clock, or it was set.
    fn is_due(&self) -> bool {
        let Some((at, instant)) = self.compared else { return true };
        let passed = TimeDelta::from_std(instant.elapsed()).unwrap_or(TimeDelta::MAX);
        let was_set = ((self.clock.now() - at) - passed).abs() >= SET_FROM;
        was_set || instant.elapsed() >= COMPARE_INTERVAL
    }

    /// Compares the clock, and returns by how much that of the database is ahead; `None` if it is the same clock.
    pub(crate) async fn compare(&mut self) -> anyhow::Result<Option<TimeDelta>> {
        let mut best: Option<ClockReading> = None;
        for _ in 0..READINGS {
            let asked_at = self.clock.now();
            let Some(other) = self.readiness.clock().await? else { break };
            let reading = ClockReading { asked_at, answered_at: self.clock.now(), other };
            if best.is_none_or(|best| reading.took() < best.took()) {
                best = Some(reading);
            }
        }
        self.compared = Some((self.clock.now(), Instant::now()));
        let of_peers = self.peers.clock_difference();
        let of_database = best.map(|reading| reading.other_ahead());
        for (against, ahead) in [("database", of_database), ("peers", of_peers)] {
            if let Some(ahead) = ahead {
                metrics::gauge!("boxoffice_clock_skew_seconds", "against" => against).set(-ahead.as_seconds_f64());
            }
        }
        self.judge(of_database, of_peers);
        Ok(of_database)
    }

    fn judge(&mut self, of_database: Option<TimeDelta>, of_peers: Option<TimeDelta>) {
        let is_wrong = of_database.is_some_and(|ahead| ahead.abs() > self.skew_max);
        let is_off = [of_database, of_peers].into_iter().flatten().any(|ahead| ahead.abs() >= WARNED_FROM);
        self.clock.trust(!is_wrong);
        let says = if is_wrong {
            Said::Wrong
        } else if is_off {
            Said::Off
        } else {
            Said::Right
        };
        if says == self.said {
            return;
        }
        self.said = says;
        let seconds = |ahead: Option<TimeDelta>| ahead.map(|ahead| -ahead.as_seconds_f64());
        let (database_seconds, peers_seconds) = (seconds(of_database), seconds(of_peers));
        match says {
            Said::Wrong => tracing::error!(
                database_seconds,
                seconds_max = self.skew_max.as_seconds_f64(),
                "the clock of this machine differs too much from that of the database: the server is not ready, and writes \
                 nothing until it is right"
            ),
            Said::Off => tracing::warn!(
                database_seconds,
                peers_seconds,
                "the clock of this machine differs from that of the database or of another instance: holds and tokens \
                 expire early or late by as much"
            ),
            Said::Right => tracing::info!(database_seconds, peers_seconds, "the clock of this machine is right again"),
        }
    }
}

#[async_trait]
impl Worker for ClockWatch {
    const NAME: &'static str = "clock";

    async fn tick(&mut self) -> anyhow::Result<Duration> {
        if self.is_due() {
            self.compare().await?;
        }
        Ok(LOOK_INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use boxoffice_domain::StorageError;
    use boxoffice_peers::Alone;

    use super::*;

    /// A database whose clock is ahead by so much of that of this machine.
    struct Ahead(std::sync::Mutex<TimeDelta>);

    #[async_trait]
    impl Readiness for Ahead {
        async fn ready(&self) -> Result<(), StorageError> {
            Ok(())
        }

        async fn clock(&self) -> Result<Option<Timestamp>, StorageError> {
            Ok(Some(SystemClock::default().now() + *self.0.lock().unwrap()))
        }
    }

    #[tokio::test]
    async fn a_clock_that_is_too_far_off_is_not_trusted_until_it_is_right() {
        let (clock, database) = (Arc::<SystemClock>::default(), Arc::new(Ahead(std::sync::Mutex::default())));
        let mut watch = ClockWatch::new(Arc::clone(&clock), database.clone(), Arc::new(Alone), 2_000);
        assert!(watch.is_due());
        for (milliseconds, trusted, said) in [
            (0, true, Said::Right),
            (1_900, true, Said::Off),
            (2_100, false, Said::Wrong),
            (-2_100, false, Said::Wrong),
            (-700, true, Said::Off),
            (300, true, Said::Right),
        ] {
            *database.0.lock().unwrap() = TimeDelta::milliseconds(milliseconds);
            let found = watch.compare().await.unwrap().unwrap();
            assert!((found - TimeDelta::milliseconds(milliseconds)).abs() < TimeDelta::milliseconds(90), "{found}");
            assert_eq!((clock.is_trusted(), watch.said), (trusted, said), "{milliseconds}");
        }
        assert!(!watch.is_due(), "it has just been compared");
        watch.compared = watch.compared.map(|(at, instant)| (at - TimeDelta::milliseconds(150), instant));
        assert!(watch.is_due(), "the clock was set");
    }
}
