//! The time of day.

use boxoffice_domain::{Clock, Timestamp};
use chrono::{SubsecRound, Utc};

/// Tells the time of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the adapter behind the Clock port")]
    fn now(&self) -> Timestamp {
        Utc::now().trunc_subsecs(6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_in_whole_microseconds() {
        // A clock that ticks in nanoseconds would show a remainder in one of these.
        for _ in 0..1_000 {
            let now = SystemClock.now();
            assert_eq!(Timestamp::from_timestamp_micros(now.timestamp_micros()), Some(now));
        }
    }
}
