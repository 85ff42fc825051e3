//! Instants, and the port that tells the present one.

/// An instant in UTC. Adapters keep microseconds; [`Clock`] gives nothing finer.
pub type Timestamp = chrono::DateTime<chrono::Utc>;

/// Tells what time it is. The rules of this crate take `now` as a value; only adapters and use cases hold a clock.
#[cfg_attr(feature = "mocks", mockall::automock)]
pub trait Clock: Send + Sync {
    /// The present instant, in whole microseconds, so that it survives storage unchanged.
    fn now(&self) -> Timestamp;

    /// Whether it agrees with the clock of the storage, as far as is known. An adapter changes nothing by the time of a
    /// clock that does not: a hold would end too early or too late for those whose clocks agree.
    fn is_trusted(&self) -> bool {
        true
    }
}

/// What another clock said to a question that was asked and answered at these instants of this clock.
///
/// ```
/// use boxoffice_domain::{ClockReading, Timestamp};
/// use chrono::TimeDelta;
/// let at = |milliseconds| Timestamp::UNIX_EPOCH + TimeDelta::milliseconds(milliseconds);
/// let reading = ClockReading { asked_at: at(1_000), answered_at: at(1_040), other: at(4_000) };
/// assert_eq!(reading.other_ahead(), TimeDelta::milliseconds(2_960));
/// let agreeing = ClockReading { other: at(1_035), ..reading };
/// assert_eq!(agreeing.other_ahead(), TimeDelta::zero());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// When the question was asked.
    pub asked_at: Timestamp,
    /// When the answer was there.
    pub answered_at: Timestamp,
    /// What the other clock said.
    pub other: Timestamp,
}

impl ClockReading {
    /// By how much the other clock is certainly ahead of this one; less than zero if it is behind. The answer was given at
    /// some instant between question and answer, so what lies between them is no difference.
    pub fn other_ahead(&self) -> chrono::TimeDelta {
        if self.other > self.answered_at {
            self.other - self.answered_at
        } else if self.other < self.asked_at {
            self.other - self.asked_at
        } else {
            chrono::TimeDelta::zero()
        }
    }

    /// How long the answer took.
    pub fn took(&self) -> chrono::TimeDelta {
        self.answered_at - self.asked_at
    }
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
