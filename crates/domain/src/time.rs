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
