//! The numbers that the API is bounded by.

use std::time::Duration;

use boxoffice_domain::{reservations::SEATS_PER_RESERVATION_MAX, wallet::CHARGE_MAX};

/// The numbers that the API is bounded by, each with a default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// The most bytes of a request's body.
    pub body_bytes_max: usize,
    /// How long an answer may take.
    pub request_timeout: Duration,
    /// How many requests are worked on at once; those beyond are refused at once.
    pub concurrent_requests_max: usize,
    /// How many sign-ups, sign-ins and refreshes one client address may ask for in a minute; 0 turns the
    /// limit off.
    pub account_requests_per_minute: u32,
    /// How many streams of queue events are open at once.
    pub event_streams_max: usize,
    /// How often an event stream in which nothing happens shows that it is alive.
    pub event_heartbeat: Duration,
    /// The origins whose pages may call the API; none turns CORS off.
    pub cors_origins: Vec<String>,
    /// How many seats of a new concert one account may have, where its promoter does not say.
    pub max_seats_per_account_default: u32,
    /// How many accounts a new concert admits at once, where its promoter does not say.
    pub max_active_default: u32,
    /// How many seats one reservation may have.
    pub seats_per_reservation_max: usize,
    /// How many points one charge may add.
    pub charge_points_max: i64,
    /// How long an answer about the catalogue is kept; seat maps for a quarter of a second at most. Zero keeps
    /// none.
    pub answers_kept_for: Duration,
    /// Whether a proxy in front writes the client's address as the last entry of `X-Forwarded-For`.
    pub trust_forwarded_for: bool,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            body_bytes_max: 64 * 1024,
            request_timeout: Duration::from_secs(30),
            concurrent_requests_max: 4096,
            account_requests_per_minute: 30,
            event_streams_max: 1000,
            event_heartbeat: Duration::from_secs(15),
            cors_origins: Vec::new(),
            max_seats_per_account_default: 4,
            max_active_default: 500,
            seats_per_reservation_max: SEATS_PER_RESERVATION_MAX,
            charge_points_max: CHARGE_MAX,
            answers_kept_for: Duration::from_millis(250),
            trust_forwarded_for: false,
        }
    }
}
