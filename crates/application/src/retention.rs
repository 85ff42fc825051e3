//! Removing what nobody needs any more.

use std::sync::Arc;

use boxoffice_domain::{
    Clock, SessionId, StorageError,
    retention::{HeldKey, Removed, Retention, UnpaidEnd},
    uuid::Uuid,
};
use chrono::TimeDelta;

/// How many rows one step looks at.
const ROWS_MAX: u32 = 200;

/// How many days mail is kept after it was queued: far longer than events are read, so that none has a second mail.
const MAIL_DAYS: u32 = 30;

/// For how many days rows are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptDays {
    /// Sessions, from their end on.
    pub ended_sessions: u32,
    /// Reservations that were never paid, from the end of their hold on, and until their performance has been.
    pub lapsed: u32,
    /// Events that every reader has had.
    pub outbox: u32,
    /// Events that a reader has not had.
    pub outbox_unread: u32,
}

/// Removes rows that were kept for long enough.
pub struct RetentionService {
    pub retention: Arc<dyn Retention>,
    pub clock: Arc<dyn Clock>,
    pub kept_days: KeptDays,
}

/// The next step of a pass over all that may be removed. The default is the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionStep(Step);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Sessions(Option<SessionId>),
    Events(Option<Uuid>),
    Unpaid(UnpaidEnd, Option<HeldKey>),
    Mails(Option<Uuid>),
}

impl Default for RetentionStep {
    fn default() -> Self {
        Self(Step::Sessions(None))
    }
}

/// What a step has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stepped {
    /// What it removed: `session`, `event_batch`, `reservation` or `mail`.
    pub kind: &'static str,
    pub removed: u32,
    /// `None` at the end of the pass.
    pub next: Option<RetentionStep>,
}

impl RetentionService {
    /// What is removed.
    pub const KINDS: [&str; 4] = ["session", "event_batch", "reservation", "mail"];

    /// Takes one step, which is short.
    pub async fn step(&self, step: RetentionStep) -> Result<Stepped, StorageError> {
        let days_ago = |days: u32| self.clock.now() - TimeDelta::days(i64::from(days));
        let KeptDays { ended_sessions, lapsed, outbox, outbox_unread } = self.kept_days;
        let [session, event_batch, reservation, mail] = Self::KINDS;
        let stepped = match step.0 {
            Step::Sessions(after) => {
                let removed = self.retention.remove_sessions(days_ago(ended_sessions), after, ROWS_MAX).await?;
                stepped(session, removed, |key| Step::Sessions(Some(key)), Some(Step::Events(None)))
            }
            Step::Events(after) => {
                let removed =
                    self.retention.remove_events(days_ago(outbox), days_ago(outbox_unread), after, ROWS_MAX).await?;
                let then = Step::Unpaid(UnpaidEnd::Cancelled, None);
                stepped(event_batch, removed, |key| Step::Events(Some(key)), Some(then))
            }
            Step::Unpaid(end, after) => {
                let removed = self.retention.remove_unpaid(end, days_ago(lapsed), after, ROWS_MAX).await?;
                let then = match end {
                    UnpaidEnd::Cancelled => Step::Unpaid(UnpaidEnd::Lapsed, None),
                    UnpaidEnd::Lapsed => Step::Mails(None),
                };
                stepped(reservation, removed, |key| Step::Unpaid(end, Some(key)), Some(then))
            }
            Step::Mails(after) => {
                let removed = self.retention.remove_mails(days_ago(MAIL_DAYS), after, ROWS_MAX).await?;
                stepped(mail, removed, |key| Step::Mails(Some(key)), None)
            }
        };
        Ok(stepped)
    }
}

/// Goes on after the last key, or if there is none, with the kind that comes then.
fn stepped<K>(kind: &'static str, removed: Removed<K>, on: impl Fn(K) -> Step, then: Option<Step>) -> Stepped {
    let Removed { count, next } = removed;
    Stepped { kind, removed: count, next: next.map(on).or(then).map(RetentionStep) }
}
