//! `/v1/concerts/{id}/queue/…`: running the queue of a concert, for its promoter.

pub(crate) mod empty;
pub(crate) mod pausing;
pub(crate) mod stats;

use boxoffice_application::queue_control::QueueReport;
use boxoffice_domain::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// The state of the queue of a concert.
#[derive(Serialize, ToSchema)]
#[schema(as = QueueStats)]
pub(crate) struct StatsResponse {
    concert_id: Uuid,
    /// How many accounts wait.
    waiting: u64,
    /// How many accounts are admitted at the moment.
    active: u64,
    /// How many accounts may be admitted at once.
    max_active: u32,
    /// Whether admission is paused.
    paused: bool,
    /// How many accounts have been admitted since the queue began.
    admitted_total: u64,
    /// How many accounts were admitted in the last 60 seconds.
    admitted_per_minute: u64,
    /// How many accounts were passed over because they were absent.
    no_shows_total: u64,
    /// The longest wait of the accounts that wait; `null` if there are none.
    #[schema(required)]
    oldest_wait_seconds: Option<u64>,
}

impl StatsResponse {
    fn new(report: &QueueReport, now: Timestamp) -> Self {
        let QueueReport { concert, stats } = report;
        let waited = |joined_at: Timestamp| u64::try_from((now - joined_at).num_seconds()).unwrap_or(0);
        Self {
            concert_id: concert.id.uuid(),
            waiting: stats.waiting,
            active: stats.active,
            max_active: concert.max_active,
            paused: concert.paused,
            admitted_total: stats.admitted_total,
            admitted_per_minute: stats.admitted_last_minute,
            no_shows_total: stats.no_shows_total,
            oldest_wait_seconds: stats.oldest_joined_at.map(waited),
        }
    }
}
