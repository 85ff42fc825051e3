//! How queues are run.

use boxoffice_domain::{Timestamp, seconds_after};

/// How queues are run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many may wait in one queue. Beyond it, joining is refused. At most 1,000,000,000.
    pub capacity: usize,
    /// How many queues there may be at once. Beyond it, idle ones are dropped; if none is idle, joining a concert that has
    /// no queue yet is refused as with a full queue.
    pub queues_max: usize,
    /// How many seconds an admission lasts, at least.
    pub admission_seconds: u32,
    /// For how many seconds an admitted account that holds no seats may make no visit before it is passed over. At
    /// least 3.
    pub no_show_seconds: u32,
    /// For how many seconds an admitted account that holds no seats may leave its admission unused before it passes to the
    /// next; 0 for as long as the admission lasts.
    pub idle_admission_seconds: u32,
    /// How many accounts may join a queue from one [`Network`](boxoffice_domain::Network) within an hour of the clock; 0
    /// for any number.
    pub joins_per_network_max: u32,
    /// For how many seconds after the start no account is admitted, so that the queues of an earlier process re-form.
    pub reform_seconds: u32,
    /// The most seconds between two polls. At least 1; at most a third of `no_show_seconds`, so that a client that polls
    /// as often as that learns of the admission in time.
    pub poll_seconds_max: u32,
    /// For how many seconds from its joining a place that an earlier process gave can be restored.
    pub restorable_seconds: u32,
}

impl Settings {
    /// These settings, each moved into its bounds.
    pub(crate) fn bounded(self) -> Self {
        let no_show_seconds = self.no_show_seconds.max(3);
        Self {
            capacity: self.capacity.clamp(1, 1_000_000_000),
            queues_max: self.queues_max.max(1),
            no_show_seconds,
            poll_seconds_max: self.poll_seconds_max.clamp(1, no_show_seconds / 3),
            ..self
        }
    }

    /// When an admission that is used or held at this time passes on unless it is used again.
    pub(crate) fn idle_at(&self, used_at: Timestamp) -> Option<Timestamp> {
        (self.idle_admission_seconds > 0).then(|| seconds_after(used_at, self.idle_admission_seconds))
    }
}

/// Describes the counters of every waiting room.
pub(crate) fn describe_metrics() {
    metrics::describe_counter!("boxoffice_queue_joined_total", "Accounts that joined a queue.");
    metrics::describe_counter!("boxoffice_queue_admitted_total", "Accounts that were admitted.");
    metrics::describe_counter!("boxoffice_queue_no_shows_total", "Admissions whose holder was absent.");
    metrics::describe_counter!("boxoffice_queue_idle_total", "Admissions that their holders did not use.");
    metrics::describe_counter!("boxoffice_queue_expired_total", "Admissions whose time was over.");
}
