//! Instants, and the port that tells the present one.

/// An instant in UTC. Adapters keep microseconds; [`Clock`] gives nothing finer.
pub type Timestamp = chrono::DateTime<chrono::Utc>;

/// Tells what time it is. The rules of this crate take `now` as a value; only adapters and use cases hold a clock.
#[cfg_attr(feature = "mocks", mockall::automock)]
pub trait Clock: Send + Sync {
    /// The present instant, in whole microseconds, so that it survives storage unchanged.
    fn now(&self) -> Timestamp;
}

/// `at` moved `seconds` later. Saturates at the last instant that can be represented.
pub fn seconds_after(at: Timestamp, seconds: u32) -> Timestamp {
    at.checked_add_signed(chrono::TimeDelta::seconds(i64::from(seconds))).unwrap_or(Timestamp::MAX_UTC)
}

/// `at` as RFC 3339 has it, as short as can be.
///
/// ```
/// use boxoffice_domain::{Timestamp, rfc3339};
/// assert_eq!(rfc3339(Timestamp::UNIX_EPOCH), "1970-01-01T00:00:00Z");
/// ```
pub fn rfc3339(at: Timestamp) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

/// How many seconds are left at `now` until `at`, rounded up; 0 if it has passed.
pub fn seconds_until(now: Timestamp, at: Timestamp) -> u64 {
    let seconds = (at - now + chrono::TimeDelta::nanoseconds(999_999_999)).num_seconds();
    u64::try_from(seconds).unwrap_or(0)
}

/// `first`, doubled so many times, and at most `max`.
pub(crate) fn doubled_seconds(first: u32, doublings: u32, max: u32) -> u32 {
    2_u32.saturating_pow(doublings).saturating_mul(first).min(max)
}
