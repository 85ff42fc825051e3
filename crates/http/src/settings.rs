//! The bounds of the API.

use std::time::Duration;

use boxoffice_domain::SellingRules;

/// The bounds of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// The most bytes of a request's body.
    pub body_bytes_max: usize,
    /// How long a response may take.
    pub request_timeout: Duration,
    /// How long a client may take to send the first KiB of a body; then it has to send 1 KiB a second.
    pub slow_client: Duration,
    /// How much memory the bodies of requests may take, beyond 8 KiB each; further ones are refused.
    pub bodies_bytes_max: usize,
    /// How many requests are worked on at once; more are refused.
    pub concurrent_requests_max: usize,
    /// How many requests of one account are worked on at once; 0 turns the limit off.
    pub account_requests_in_flight: u32,
    /// How many requests that change something one account may send in a second, in the long run; 0 turns the limit off.
    pub account_acts_per_second: u32,
    /// How many of them it may send at once.
    pub account_acts_burst: u32,
    /// How many sign-ups and sign-ins one client address may request in a minute; 0 turns the limit off.
    pub account_requests_per_minute: u32,
    /// How many refreshes one session may request in a minute; 0 turns the limit off.
    pub session_refreshes_per_minute: u32,
    /// How many passwords are hashed at once.
    pub hashing_parallel: usize,
    /// How many sign-ups and sign-ins may wait for their passwords to be hashed.
    pub hashing_waiting_max: usize,
    /// How many queue streams may be open at once.
    pub event_streams_max: usize,
    /// How many of them one account may have; 0 turns the limit off.
    pub event_streams_per_account: u32,
    /// How many of them one network may have; 0 turns the limit off.
    pub event_streams_per_network: u32,
    /// After how many seconds an admitted client should ask again, so that it does not count as absent.
    pub active_poll_seconds: u32,
    /// How often a queue stream without events sends a heartbeat.
    pub event_heartbeat: Duration,
    /// Whether `/docs` and `/openapi.json` are served.
    pub docs: bool,
    /// The origins whose pages may call the API; none turns CORS off.
    pub cors_origins: Vec<String>,
    /// What requests may ask for, and what a new concert gets unless its promoter chooses.
    pub rules: SellingRules,
    /// How long a response about the catalog is kept; seat maps for 250 milliseconds at most. Zero keeps none.
    pub answers_kept_for: Duration,
    /// Whether a proxy in front writes the client's address as the last entry of `X-Forwarded-For`.
    pub trust_forwarded_for: bool,
    /// Whether the server itself speaks TLS.
    pub tls: bool,
}
