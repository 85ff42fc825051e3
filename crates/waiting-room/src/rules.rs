//! What is the same for all queues of a process: how they are run, and which places are whose.

use std::sync::atomic::{AtomicU64, Ordering};

use boxoffice_domain::{
    Timestamp, seconds_after,
    waiting_room::{PlaceNumber, QueuePlace, QueueStatus, Recall, Standing},
};

use crate::settings::Settings;

/// How long an admission is kept, and not shown, when the queue has ended and its account holds nothing: it may just be
/// holding its seats.
pub(crate) const CLOSING_SECONDS: u32 = 5;

/// After so many in the queue, the next ones poll a second less often: about 360 polls a second from the first 2,000, and
/// the rest at the longest interval.
const POLL_STEP_PEOPLE: u32 = 100;

/// What is the same for all queues of a process.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) settings: Settings,
    /// All places below this one were given by an earlier process.
    pub(crate) first_number: u64,
    /// Counts the places of all queues together, so that a queue that is dropped and opened again gives later ones only.
    next_number: AtomicU64,
    /// Until then queues re-form and no account is admitted.
    pub(crate) reformed_at: Timestamp,
    /// From then on every place that an earlier process gave is too old to be restored.
    forgotten_at: Timestamp,
}

impl Rules {
    pub(crate) fn new(settings: Settings, now: Timestamp) -> Self {
        // Microseconds since 1970 grow faster than accounts can join, so that a restarted process begins above all that
        // an earlier one has given.
        let first_number = u64::try_from(now.timestamp_micros()).unwrap_or(1).max(1);
        Self {
            first_number,
            next_number: AtomicU64::new(first_number),
            reformed_at: seconds_after(now, settings.reform_seconds),
            forgotten_at: seconds_after(now, settings.restorable_seconds),
            settings,
        }
    }

    /// The next place at the end of a queue. Called in the critical section of that queue, which makes the order of places
    /// the order of joining.
    pub(crate) fn next_number(&self) -> PlaceNumber {
        PlaceNumber(self.next_number.fetch_add(1, Ordering::Relaxed))
    }

    /// No place that was given is later.
    pub(crate) fn last_number(&self) -> PlaceNumber {
        PlaceNumber(self.next_number.load(Ordering::Relaxed) - 1)
    }

    /// Whether an earlier process gave this place.
    pub(crate) fn is_earlier(&self, number: PlaceNumber) -> bool {
        number.0 < self.first_number
    }

    /// Whether an earlier process gave this place, and it is young enough to be restored.
    pub(crate) fn is_restorable(&self, place: &QueuePlace, now: Timestamp) -> bool {
        self.is_earlier(place.number) && now < seconds_after(place.joined_at, self.settings.restorable_seconds)
    }

    /// Whether all places given at `since` or later are of this process.
    pub(crate) fn is_ours(&self, since: Timestamp) -> bool {
        u64::try_from(since.timestamp_micros()).is_ok_and(|micros| self.first_number <= micros)
    }

    /// Whether any place that an earlier process gave can still be restored.
    pub(crate) fn any_restorable(&self, now: Timestamp) -> bool {
        now < self.forgotten_at
    }

    /// Where an account stands that waits with so many before it.
    pub(crate) fn waits(&self, before: u32, estimated_wait_seconds: Option<u64>) -> Standing {
        let poll_after_seconds = (1 + before / POLL_STEP_PEOPLE).min(self.settings.poll_seconds_max);
        Standing::Waiting { position: Some(u64::from(before) + 1), estimated_wait_seconds, poll_after_seconds }
    }

    /// Where an account stands that waits in a queue that opens later.
    pub(crate) fn waits_for_opening(&self, opens_at: Timestamp, now: Timestamp) -> Standing {
        // Rounded up, so that a client that asks then finds the queue open.
        let seconds = (opens_at - now).as_seconds_f64().ceil().max(1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive; too large saturates")]
        let poll_after_seconds = (seconds as u32).min(self.settings.poll_seconds_max);
        Standing::Waiting { position: None, estimated_wait_seconds: None, poll_after_seconds }
    }
}

/// That a place is known, and stands so.
pub(crate) fn known(place: &QueuePlace, standing: Standing) -> Recall {
    Recall::Known(QueueStatus { place: *place, standing, reason: None })
}

/// That a place has ended.
pub(crate) fn expired(place: &QueuePlace) -> Recall {
    known(place, Standing::Expired)
}
