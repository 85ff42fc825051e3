//! When a webhook that failed is sent again, and when an endpoint is turned off.

use std::time::Duration;

use chrono::TimeDelta;

use crate::Timestamp;

const MINUTE_SECONDS: u64 = 60;
const HOUR_SECONDS: u64 = 60 * MINUTE_SECONDS;

/// How long to wait after each failed attempt, without jitter: a webhook is sent ten times at most, over some three days.
pub const RETRY_DELAYS: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * MINUTE_SECONDS),
    Duration::from_secs(30 * MINUTE_SECONDS),
    Duration::from_secs(2 * HOUR_SECONDS),
    Duration::from_secs(5 * HOUR_SECONDS),
    Duration::from_secs(10 * HOUR_SECONDS),
    Duration::from_secs(14 * HOUR_SECONDS),
    Duration::from_secs(20 * HOUR_SECONDS),
    Duration::from_secs(24 * HOUR_SECONDS),
];

/// An endpoint that fails for so many days without a success is to be turned off.
pub const FAILING_DAYS_MAX: i64 = 5;

/// A series of failures has no longer pauses: more than the longest delay between two attempts at one event.
pub const SERIES_PAUSE_HOURS_MAX: i64 = 30;

/// By how much a delay is longer at most, in parts of it: webhooks that failed together do not come back together.
const JITTER_PART: u32 = 5;

/// How long to wait after so many failed attempts, with up to a fifth more by a random number; `None` after the last one,
/// and before the first.
pub fn retry_delay(failed_attempts: u32, random: u32) -> Option<Duration> {
    let delay = *RETRY_DELAYS.get(usize::try_from(failed_attempts.checked_sub(1)?).ok()?)?;
    let jitter_max = u64::try_from((delay / JITTER_PART).as_millis()).unwrap_or(u64::MAX);
    Some(delay + Duration::from_millis(u64::from(random) % (jitter_max + 1)))
}

/// Whether an endpoint has failed for too long. `failing_since` is its first failure after its last success; `None` if
/// nothing has failed since.
pub fn is_to_be_turned_off(failing_since: Option<Timestamp>, now: Timestamp) -> bool {
    failing_since.is_some_and(|since| now - since >= TimeDelta::days(FAILING_DAYS_MAX))
}

#[cfg(test)]
mod tests {
    use crate::fixtures::instant;

    use super::*;

    #[test]
    fn delays_grow_and_end() {
        let delays: Vec<_> = (1..).map_while(|attempts| retry_delay(attempts, 0)).collect();
        assert_eq!(delays, RETRY_DELAYS);
        assert!(delays.is_sorted());
        let in_all: Duration = delays.iter().sum();
        assert_eq!(in_all.as_secs() / 3_600, 75);
        assert_eq!([0, 10, u32::MAX].map(|attempts| retry_delay(attempts, 7)), [None; 3]);
    }

    #[test]
    fn jitter_is_a_fifth_at_most_and_uses_the_random_number() {
        for (attempts, delay) in (1..).zip(RETRY_DELAYS) {
            for random in [0, 1, 999, 1_000, 123_456_789, u32::MAX] {
                let jittered = retry_delay(attempts, random).expect("it is sent again");
                assert!((delay..=delay * 6 / 5).contains(&jittered), "{attempts}, {random}: {jittered:?}");
            }
        }
        assert_eq!(retry_delay(1, 1_000), Some(Duration::from_secs(6)));
        assert_eq!(retry_delay(1, 1_001), Some(Duration::from_secs(5)));
    }

    #[test]
    fn an_endpoint_is_turned_off_after_five_days_without_a_success() {
        let since = instant(0);
        let day = 86_400;
        assert!(!is_to_be_turned_off(None, instant(9 * day)));
        assert!(!is_to_be_turned_off(Some(since), instant(5 * day - 1)));
        assert!(is_to_be_turned_off(Some(since), instant(5 * day)));
        assert!(!is_to_be_turned_off(Some(since), instant(-5 * day)));
    }
}
