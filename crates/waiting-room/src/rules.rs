//! What is the same for all lines of a process: how they are run, and which places are whose.

use std::sync::atomic::{AtomicU64, Ordering};

use boxoffice_domain::{
    Timestamp,
    time::seconds_after,
    waiting_room::{Place, Ticket},
};

use crate::memory::Settings;

/// So many people at the front of a line share each interval of polling before the next ones poll a second
/// less often: about 360 polls a second from the first 2,000 in line, and the rest at the longest interval.
const POLL_STEP_PEOPLE: u32 = 100;

/// What is the same for all lines of a process.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) settings: Settings,
    /// All places below this one were given by an earlier process.
    pub(crate) first_place: u64,
    /// Counts places of all lines together, so that a line that is dropped and opened again gives later
    /// ones only.
    next_place: AtomicU64,
    /// Until then lines re-form and nobody is admitted.
    pub(crate) reformed_at: Timestamp,
    /// From then on every ticket of an earlier process is too old to be restored.
    forgotten_at: Timestamp,
}

impl Rules {
    pub(crate) fn new(settings: Settings, now: Timestamp) -> Self {
        // Microseconds since 1970 grow faster than anybody can join, so that a restarted process begins
        // above all that an earlier one has given.
        let first_place = u64::try_from(now.timestamp_micros()).unwrap_or(1).max(1);
        Self {
            first_place,
            next_place: AtomicU64::new(first_place),
            reformed_at: seconds_after(now, settings.reform_seconds),
            forgotten_at: seconds_after(now, settings.restorable_seconds),
            settings,
        }
    }

    /// The next place at the end of a line. Called in the critical section of that line, which makes the
    /// order of places the order of joining.
    pub(crate) fn next_place(&self) -> Place {
        Place(self.next_place.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn is_earlier(&self, place: Place) -> bool {
        place.0 < self.first_place
    }

    /// Whether this is a ticket of an earlier process, and young enough to get its place back.
    pub(crate) fn is_restorable(&self, ticket: &Ticket, now: Timestamp) -> bool {
        self.is_earlier(ticket.place) && now < seconds_after(ticket.joined_at, self.settings.restorable_seconds)
    }

    /// Whether any ticket of an earlier process can still get its place back.
    pub(crate) fn remembers(&self, now: Timestamp) -> bool {
        now < self.forgotten_at
    }

    /// After how many seconds somebody with so many ahead asks again.
    pub(crate) fn poll_seconds(&self, before: u32) -> u32 {
        (1 + before / POLL_STEP_PEOPLE).min(self.settings.poll_seconds_max)
    }

    /// After how many seconds somebody asks again whose line opens later.
    pub(crate) fn poll_seconds_until(&self, opens_at: Timestamp, now: Timestamp) -> u32 {
        // Rounded up, so that whoever asks then finds the line open.
        let seconds = (opens_at - now).as_seconds_f64().ceil().max(1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive; too large saturates")]
        let seconds = seconds as u32;
        seconds.min(self.settings.poll_seconds_max)
    }
}
