//! Removing what nobody needs any more.

use std::time::Duration;

use async_trait::async_trait;
use boxoffice_application::{RetentionService, RetentionStep, Stepped};
use tokio::time::Instant;

use super::Worker;

/// How long to rest after a step, so that a pass leaves the database to the buyers.
const STEP_INTERVAL: Duration = Duration::from_millis(200);
/// How long to rest after a pass over all that may be removed.
const PASS_INTERVAL: Duration = Duration::from_hours(1);
/// How often a worker that rests after a pass looks at the time. Meanwhile its instance keeps the lease.
const LOOK_INTERVAL: Duration = Duration::from_secs(4);

/// Removes old sessions, events, unpaid reservations and mail, a few rows at a time.
#[derive(Debug)]
pub(crate) struct RetentionWorker {
    retention: RetentionService,
    next: RetentionStep,
    /// When the next pass begins; `None` during a pass.
    begins_at: Option<Instant>,
}

impl RetentionWorker {
    pub(crate) fn new(retention: RetentionService) -> Self {
        for kind in RetentionService::KINDS {
            metrics::counter!("boxoffice_rows_removed_total", "kind" => kind).absolute(0);
        }
        Self { retention, next: RetentionStep::default(), begins_at: None }
    }
}

#[async_trait]
impl Worker for RetentionWorker {
    const NAME: &'static str = "retention";

    async fn tick(&mut self) -> anyhow::Result<Duration> {
        if self.begins_at.is_some_and(|begins_at| Instant::now() < begins_at) {
            return Ok(LOOK_INTERVAL);
        }
        self.begins_at = None;
        let Stepped { kind, removed, next } = self.retention.step(self.next).await?;
        metrics::counter!("boxoffice_rows_removed_total", "kind" => kind).increment(u64::from(removed));
        self.next = next.unwrap_or_default();
        if next.is_some() {
            return Ok(STEP_INTERVAL);
        }
        self.begins_at = Some(Instant::now() + PASS_INTERVAL);
        Ok(LOOK_INTERVAL)
    }

    fn is_done_elsewhere(&mut self) {
        (self.next, self.begins_at) = (RetentionStep::default(), None);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use boxoffice_application::KeptDays;
    use boxoffice_domain::{
        SessionId, StorageError, Timestamp,
        fixtures::{TestClock, instant},
        retention::{HeldKey, Removed, Retention, UnpaidEnd},
        uuid::Uuid,
    };

    use super::*;

    /// Notes what is asked of it, and fails once.
    #[derive(Default)]
    struct Noted {
        asked: Mutex<Vec<String>>,
        has_failed: Mutex<bool>,
    }

    impl Noted {
        fn note<K>(&self, what: String, next: Option<K>) -> Removed<K> {
            self.asked.lock().unwrap().push(what);
            Removed { count: 1, next }
        }

        fn take(&self) -> Vec<String> {
            std::mem::take(&mut self.asked.lock().unwrap())
        }
    }

    fn days(until: Timestamp) -> i64 {
        (instant(0) - until).num_days()
    }

    #[async_trait]
    impl Retention for Noted {
        async fn remove_sessions(
            &self,
            until: Timestamp,
            after: Option<SessionId>,
            _limit: u32,
        ) -> Result<Removed<SessionId>, StorageError> {
            let next = after.is_none().then(|| SessionId::new(Uuid::nil()));
            Ok(self.note(format!("sessions {} {}", days(until), after.is_some()), next))
        }

        async fn remove_unpaid(
            &self,
            end: UnpaidEnd,
            until: Timestamp,
            _after: Option<HeldKey>,
            _limit: u32,
        ) -> Result<Removed<HeldKey>, StorageError> {
            Ok(self.note(format!("{end:?} {}", days(until)), None))
        }

        async fn remove_events(
            &self,
            until: Timestamp,
            unread_until: Timestamp,
            _after: Option<Uuid>,
            _limit: u32,
        ) -> Result<Removed<Uuid>, StorageError> {
            if !std::mem::replace(&mut *self.has_failed.lock().unwrap(), true) {
                return Err(StorageError::Busy);
            }
            Ok(self.note(format!("events {} {}", days(until), days(unread_until)), None))
        }

        async fn remove_mails(
            &self,
            until: Timestamp,
            _after: Option<Uuid>,
            _limit: u32,
        ) -> Result<Removed<Uuid>, StorageError> {
            Ok(self.note(format!("mails {}", days(until)), None))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_removes_each_kind_to_its_end_and_the_next_one_begins_an_hour_later() {
        let noted = Arc::new(Noted::default());
        let kept_days = KeptDays { ended_sessions: 30, lapsed: 90, outbox: 40, outbox_unread: 60 };
        let clock = Arc::new(TestClock::new());
        let retention = RetentionService { retention: noted.clone(), clock, kept_days };
        let mut worker = RetentionWorker::new(retention);
        let mut failures = 0;
        for _ in 0..7 {
            failures += u32::from(worker.tick().await.is_err());
        }
        assert_eq!(failures, 1, "and it goes on where it failed");
        let pass = ["sessions 30 false", "sessions 30 true", "events 40 60", "Cancelled 90", "Lapsed 90", "mails 30"];
        assert_eq!(noted.take(), pass);
        assert_eq!(worker.tick().await.unwrap(), LOOK_INTERVAL);
        tokio::time::advance(PASS_INTERVAL).await;
        assert_eq!(worker.tick().await.unwrap(), STEP_INTERVAL);
        assert_eq!(noted.take(), ["sessions 30 false"]);
        // Another instance took over, and lost the lease again.
        worker.is_done_elsewhere();
        worker.tick().await.unwrap();
        assert_eq!(noted.take(), ["sessions 30 false"]);
    }
}
