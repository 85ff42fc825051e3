//! How queues are run.

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
}

/// Describes the counters of every waiting room.
pub(crate) fn describe_metrics() {
    metrics::describe_counter!("boxoffice_queue_joined_total", "Accounts that joined a queue.");
    metrics::describe_counter!("boxoffice_queue_admitted_total", "Accounts that were admitted.");
    metrics::describe_counter!("boxoffice_queue_no_shows_total", "Admissions whose holder was absent.");
    metrics::describe_counter!("boxoffice_queue_expired_total", "Admissions whose time was over.");
}
