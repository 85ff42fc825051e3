//! Time that stands still until a test moves it, and ids that no two tests share.

use std::sync::atomic::{AtomicI64, Ordering};

use boxoffice_domain::{Clock, EntropySource, Timestamp, fixtures};
use chrono::{DateTime, TimeDelta};
use uuid::Uuid;

/// A clock that a test sets.
#[derive(Debug)]
pub struct TestClock {
    microseconds: AtomicI64,
}

impl TestClock {
    /// A clock at [`fixtures::instant`] 0.
    pub fn new() -> Self {
        Self::at(fixtures::instant(0))
    }

    /// A clock at this instant.
    pub fn at(now: Timestamp) -> Self {
        Self { microseconds: AtomicI64::new(now.timestamp_micros()) }
    }

    /// Sets the clock.
    pub fn set(&self, now: Timestamp) {
        self.microseconds.store(now.timestamp_micros(), Ordering::SeqCst);
    }

    /// Moves the clock.
    pub fn advance(&self, by: TimeDelta) {
        let by = by.num_microseconds().expect("a test moves its clock by less than an age");
        self.microseconds.fetch_add(by, Ordering::SeqCst);
    }

    /// Moves the clock this many seconds.
    pub fn advance_seconds(&self, seconds: i64) {
        self.advance(TimeDelta::seconds(seconds));
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        DateTime::from_timestamp_micros(self.microseconds.load(Ordering::SeqCst)).expect("in range")
    }
}

/// Ids and secrets for tests: real `UUIDv7`s, so that they sort as in production.
#[derive(Clone, Copy, Debug, Default)]
pub struct TestEntropy;

impl EntropySource for TestEntropy {
    #[expect(clippy::disallowed_methods, reason = "this is the adapter for tests")]
    fn uuid(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn secret(&self) -> [u8; 32] {
        let (a, b) = (self.uuid().into_bytes(), self.uuid().into_bytes());
        let mut secret = [0; 32];
        secret[..16].copy_from_slice(&a);
        secret[16..].copy_from_slice(&b);
        secret
    }
}
