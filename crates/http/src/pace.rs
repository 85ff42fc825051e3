//! How fast a client has to be.

use std::time::Duration;

use tokio::time::Instant;

/// How many bytes a client has a patience for, and how many it has to send or take in each second after them.
const STEP_BYTES: usize = 1_024;
const MICROS_PER_SECOND: u64 = 1_000_000;

/// The time that a client has: a patience for the first KiB, and then one second for each further KiB. What it is faster
/// counts for later, for the patience at most, so a client that stops is noticed soon however much it sent before.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    patience: Duration,
    deadline: Instant,
    /// What is left of the first KiB.
    first_bytes: usize,
}

impl Pace {
    /// Begins now.
    pub fn begin(patience: Duration) -> Self {
        Self { patience, deadline: Instant::now() + patience, first_bytes: STEP_BYTES }
    }

    /// Counts what was sent or taken.
    pub fn advance(&mut self, bytes: usize) {
        let now = Instant::now();
        let later_bytes = bytes.saturating_sub(self.first_bytes);
        if self.first_bytes > 0 {
            self.first_bytes = self.first_bytes.saturating_sub(bytes);
            if self.first_bytes > 0 {
                return;
            }
            self.deadline = now + self.patience;
        }
        let micros = (later_bytes as u64).saturating_mul(MICROS_PER_SECOND) / STEP_BYTES as u64;
        self.deadline = (self.deadline + Duration::from_micros(micros)).min(now + self.patience);
    }

    /// When the client is too slow.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    /// After how many seconds a client is cut off that sends `bytes` every `millis`; `None` if not within an hour.
    async fn seconds_of(bytes: usize, millis: u64) -> Option<u64> {
        let (began, mut pace) = (Instant::now(), Pace::begin(PATIENCE));
        while began.elapsed() < Duration::from_hours(1) {
            advance(Duration::from_millis(millis)).await;
            if pace.deadline() <= Instant::now() {
                return Some((pace.deadline() - began).as_secs());
            }
            pace.advance(bytes);
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_kib_has_a_patience_and_each_further_one_a_second() {
        assert_eq!(seconds_of(1, 1_000).await, Some(5), "a byte a second");
        assert_eq!(seconds_of(64, 4_000).await, Some(5), "64 bytes every four seconds");
        assert_eq!(seconds_of(1_024, 1_000).await, None, "a KiB a second, for an hour");
        assert_eq!(seconds_of(4_096, 4_000).await, None, "in larger pieces");
        assert_eq!(seconds_of(4_096, 6_000).await, Some(5), "no pause is longer than the patience");
        assert_eq!(seconds_of(512, 1_000).await, Some(11), "half a KiB a second: it falls behind");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_sent_before_buys_no_long_pause() {
        let mut pace = Pace::begin(PATIENCE);
        pace.advance(100 * 1_024 * 1_024);
        assert_eq!(pace.deadline(), Instant::now() + PATIENCE);
        advance(Duration::from_secs(4)).await;
        pace.advance(1_024);
        assert_eq!(pace.deadline(), Instant::now() + Duration::from_secs(2));
    }
}
