//! The difference between two clocks, by messages that take a while.

use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::Instant;

/// Over how long the smallest difference to the clock of a peer is taken: that with the shortest way.
pub(super) const CLOCK_WINDOW: Duration = Duration::from_secs(10);

/// By how much the clock of a peer is ahead of that of this process.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ClockDifference {
    /// The greatest since then: a message that was under way for long makes a clock seem behind.
    window: Option<(Instant, TimeDelta)>,
    /// That of the window before.
    before: Option<TimeDelta>,
}

impl ClockDifference {
    pub(super) fn note(&mut self, now: Instant, ahead: TimeDelta) {
        match &mut self.window {
            Some((began, greatest)) if now - *began < CLOCK_WINDOW => *greatest = ahead.max(*greatest),
            window => {
                self.before = window.replace((now, ahead)).map(|(_, greatest)| greatest);
            }
        }
    }

    pub(super) fn get(self) -> Option<TimeDelta> {
        self.window.map(|(_, greatest)| greatest).max(self.before)
    }
}
