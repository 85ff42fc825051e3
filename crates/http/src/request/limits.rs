//! How often a client may ask.

use std::{
    fmt,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use boxoffice_domain::{AccountId, Network, SessionId};
use boxoffice_peers::Peers;
use governor::{
    DefaultKeyedRateLimiter, Quota,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
};

use crate::{
    HttpSettings, Shares,
    fair_queue::FairQueue,
    reply::{Code, Problem},
};

/// After how many checks the clients are forgotten that have their whole quota again.
const CHECKS_BETWEEN_PRUNINGS: u32 = 1_024;
/// How many clients have a quota each. While there are more, all of them share [`CROWD_BUCKETS`] quotas.
const CLIENTS_MAX: usize = 100_000;
/// How many quotas a crowd shares.
const CROWD_BUCKETS: u64 = 1_024;
/// What the quotas of a minute are counted in.
const MINUTE_SECONDS: u32 = 60;
/// How many turns of hashing there are for each password that is hashed at once: a turn also waits for the database.
const TURNS_PER_HASHING: usize = 2;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The limits of one client.
#[derive(Debug)]
pub(crate) struct Limits {
    /// Sign-ups and sign-ins of an address.
    pub accounts: Option<RateLimit>,
    /// Refreshes of a session.
    pub refreshes: Option<RateLimit>,
    /// What an account changes.
    pub acts: Option<RateLimit>,
    /// The requests of an account that are worked on.
    pub in_flight: Shares<AccountId>,
    /// Those that want a password to be hashed; `None` is a client whose address is not known.
    pub hashing: FairQueue<Option<Network>>,
}

impl Limits {
    pub(crate) fn new(settings: &HttpSettings, peers: &Arc<dyn Peers>) -> Self {
        let per_minute = |name, count| {
            let quota = NonZeroU32::new(count)?;
            Some(RateLimit::new(name, Quota::per_minute(quota), MINUTE_SECONDS, Some(Arc::clone(peers))))
        };
        let acts = || {
            let (per_second, burst) = (settings.account_acts_per_second, settings.account_acts_burst);
            let (per_second, burst) = (NonZeroU32::new(per_second)?, NonZeroU32::new(burst)?);
            let window_seconds = burst.get().div_ceil(per_second.get());
            // Counted by each instance, so that holding seats waits for no other server.
            Some(RateLimit::new("acts", Quota::per_second(per_second).allow_burst(burst), window_seconds, None))
        };
        let turns = settings.hashing_parallel.saturating_mul(TURNS_PER_HASHING);
        Self {
            accounts: per_minute("accounts", settings.account_requests_per_minute),
            refreshes: per_minute("refreshes", settings.session_refreshes_per_minute),
            acts: acts(),
            in_flight: Shares::new(settings.account_requests_in_flight),
            hashing: FairQueue::new(turns, settings.hashing_waiting_max),
        }
    }
}

/// Counts the requests of each client: over all instances if they share a Redis, otherwise by each.
pub(crate) struct RateLimit {
    name: &'static str,
    limiter: DefaultKeyedRateLimiter<u128, StateInformationMiddleware>,
    quota: NonZeroU32,
    window_seconds: u32,
    peers: Option<Arc<dyn Peers>>,
    checks: AtomicU32,
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit").field("name", &self.name).field("quota", &self.quota).finish_non_exhaustive()
    }
}

/// How much of its quota a client has left.
struct Left {
    remaining: u32,
    /// In how many seconds it has all of it again, or if it has none, in how many it has some.
    seconds: u64,
}

impl RateLimit {
    fn new(name: &'static str, quota: Quota, window_seconds: u32, peers: Option<Arc<dyn Peers>>) -> Self {
        let limiter = DefaultKeyedRateLimiter::keyed(quota).with_middleware();
        Self { name, limiter, quota: quota.burst_size(), window_seconds, peers, checks: AtomicU32::new(0) }
    }

    /// Counts a request of an address; gives the header fields that say what is left.
    pub(crate) async fn take_of_address(&self, address: IpAddr) -> Result<HeaderMap, Problem> {
        // An IPv4 address, or an IPv6 network of 48 bits, since a customer may have one.
        match address.to_canonical() {
            IpAddr::V4(address) => self.take(&address.to_string(), address.to_ipv6_mapped().to_bits()).await,
            IpAddr::V6(address) => {
                let network = address.to_bits() >> 80;
                self.take(&format!("{network:012x}"), network << 80).await
            }
        }
    }

    /// Counts a request of a session; gives the header fields that say what is left.
    pub(crate) async fn take_of_session(&self, id: SessionId) -> Result<HeaderMap, Problem> {
        self.take(&id.to_string(), id.uuid().as_u128()).await
    }

    async fn take(&self, client: &str, key: u128) -> Result<HeaderMap, Problem> {
        let quota = match &self.peers {
            Some(peers) => peers.take_quota(self.name, client, self.quota).await,
            None => None,
        };
        let counted = match quota {
            Some(quota) => {
                let left = Left { remaining: quota.remaining, seconds: whole_seconds(quota.until) };
                if quota.taken { Ok(left) } else { Err(left) }
            }
            None => self.check_here(key),
        };
        counted.map(|left| self.fields(&left)).map_err(|left| self.refused(&left))
    }

    /// Counts an act of an account.
    pub(crate) fn take_of_account(&self, id: AccountId) -> Result<(), Problem> {
        self.check_here(id.uuid().as_u128()).map(|_| ()).map_err(|left| self.refused(&left))
    }

    fn check_here(&self, mut key: u128) -> Result<Left, Left> {
        if self.checks.fetch_add(1, Ordering::Relaxed).is_multiple_of(CHECKS_BETWEEN_PRUNINGS) {
            self.limiter.retain_recent();
        }
        if self.limiter.len() >= CLIENTS_MAX {
            key = (BuildHasherDefault::<DefaultHasher>::new().hash_one(key) % CROWD_BUCKETS).into();
        }
        match self.limiter.check_key(&key) {
            Ok(snapshot) => {
                let remaining = snapshot.remaining_burst_capacity();
                let spent = self.quota.get().saturating_sub(remaining);
                let seconds = (u64::from(spent) * u64::from(self.window_seconds)).div_ceil(self.quota.get().into());
                Ok(Left { remaining, seconds })
            }
            Err(until) => {
                let wait = until.wait_time_from(DefaultClock::default().now());
                Err(Left { remaining: 0, seconds: whole_seconds(wait) })
            }
        }
    }

    fn refused(&self, left: &Left) -> Problem {
        Problem::new(Code::RateLimited).retry_after(left.seconds).fields(self.fields(left))
    }

    fn fields(&self, left: &Left) -> HeaderMap {
        let policy = format!("\"{}\";q={};w={}", self.name, self.quota, self.window_seconds);
        fields_of(policy, format!("\"{}\";r={};t={}", self.name, left.remaining, left.seconds))
    }
}

/// The refusal of a client that has `quota` of something at once, and should try again after so many seconds.
pub(crate) fn too_many_at_once(name: &str, quota: u32, seconds: u64, detail: &'static str) -> Problem {
    let policy = format!("\"{name}\";q={quota};qu=\"concurrent-requests\"");
    let fields = fields_of(policy, format!("\"{name}\";r=0;t={seconds}"));
    Problem::new(Code::RateLimited).detail(detail).retry_after(seconds).fields(fields)
}

/// The refusal of an account that was wrong too often, and may try once in so many seconds.
pub(crate) fn wrong_too_often(name: &str, seconds: u64, detail: &'static str) -> Problem {
    let fields = fields_of(format!("\"{name}\";q=1;w={seconds}"), format!("\"{name}\";r=0;t={seconds}"));
    Problem::new(Code::RateLimited).detail(detail).retry_after(seconds).fields(fields)
}

/// The fields of draft-ietf-httpapi-ratelimit-headers.
fn fields_of(policy: String, state: String) -> HeaderMap {
    let fields = [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, state)];
    fields.into_iter().filter_map(|(name, text)| Some((name, HeaderValue::try_from(text).ok()?))).collect()
}

fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// The address of the client: the last that a trusted proxy wrote, or else the one that connected.
pub(super) fn client_address(
    headers: &HeaderMap,
    connected: Option<IpAddr>,
    trust_forwarded_for: bool,
) -> Option<IpAddr> {
    let forwarded = if trust_forwarded_for { forwarded_for(headers) } else { None };
    forwarded.or(connected)
}

fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let line = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    let last = line.rsplit(',').next()?.trim();
    let plain = last.trim_start_matches('[').trim_end_matches(']');
    plain.parse().ok().or_else(|| last.parse::<SocketAddr>().ok().map(|address| address.ip()))
}
