//! The bounds of the API.

use std::time::Duration;

use boxoffice_domain::{seats::SEATS_PER_RESERVATION_MAX, wallet::CHARGE_MAX};

/// The bounds of the API, each with a default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// The most bytes of a request's body.
    pub body_bytes_max: usize,
    /// How long a response may take.
    pub request_timeout: Duration,
    /// How many requests are worked on at once; more are refused.
    pub concurrent_requests_max: usize,
    /// How many sign-ups, sign-ins and refreshes one client address may request in a minute; 0 turns the limit off.
    pub account_requests_per_minute: u32,
    /// How many queue streams may be open at once.
    pub event_streams_max: usize,
    /// How often a queue stream without events sends a heartbeat.
    pub event_heartbeat: Duration,
    /// The origins whose pages may call the API; none turns CORS off.
    pub cors_origins: Vec<String>,
    /// How many seats of a new concert one account may have, unless its promoter chooses.
    pub max_seats_per_account_default: u32,
    /// How many accounts a new concert admits at once, unless its promoter chooses.
    pub max_active_default: u32,
    /// How many seats one reservation may have.
    pub seats_per_reservation_max: usize,
    /// How many points one charge may add.
    pub charge_points_max: i64,
    /// How long a response about the catalog is kept; seat maps for 250 milliseconds at most. Zero keeps none.
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
