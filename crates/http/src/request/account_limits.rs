//! How often one client address may sign up and sign in: counted over all instances if they share a Redis, otherwise by
//! each.

use std::{
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    response::{IntoResponse, Response},
};
use boxoffice_peers::Peers;
use governor::{
    DefaultKeyedRateLimiter, Quota,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
};

use crate::{
    HttpSettings,
    reply::{Code, Problem},
};

/// After how many checks the addresses are forgotten that have their whole quota again.
const CHECKS_BETWEEN_PRUNINGS: u32 = 1_024;
/// How many addresses have a quota each. While there are more, all of them share [`CROWD_BUCKETS`] quotas.
const ADDRESSES_MAX: usize = 100_000;
/// How many quotas a crowd shares.
const CROWD_BUCKETS: u64 = 1_024;
/// What quotas are counted in.
const WINDOW_SECONDS: u32 = 60;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Whose quota it is: an IPv4 address, or an IPv6 network of 64 bits, since each IPv6 customer has one at least.
fn client_of(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("{:016x}", address.to_bits() >> 64),
    }
}

/// Counts the requests of each client address.
pub(crate) struct AccountLimiter {
    /// Count over all instances, if they can.
    peers: Arc<dyn Peers>,
    limiter: DefaultKeyedRateLimiter<String, StateInformationMiddleware>,
    per_minute: NonZeroU32,
    trust_forwarded_for: bool,
    checks: AtomicU32,
}

/// How much of its quota a client has left.
struct Left {
    remaining: u32,
    /// In how many seconds it has all of it again, or if it has none, in how many it has some.
    seconds: u64,
}

impl AccountLimiter {
    /// `None` if the limit is off.
    pub(crate) fn new(settings: &HttpSettings, peers: Arc<dyn Peers>) -> Option<Self> {
        let per_minute = NonZeroU32::new(settings.account_requests_per_minute)?;
        let limiter = DefaultKeyedRateLimiter::keyed(Quota::per_minute(per_minute)).with_middleware();
        let trust_forwarded_for = settings.trust_forwarded_for;
        Some(Self { peers, limiter, per_minute, trust_forwarded_for, checks: AtomicU32::new(0) })
    }

    /// Counts a request over all instances, or if that is not possible, over those of this one.
    async fn check(&self, address: IpAddr) -> Result<Left, Left> {
        let client = client_of(address);
        match self.peers.take_quota("accounts", &client, self.per_minute).await {
            Some(quota) => {
                let left = Left { remaining: quota.remaining, seconds: whole_seconds(quota.until) };
                if quota.taken { Ok(left) } else { Err(left) }
            }
            None => self.check_here(client),
        }
    }

    fn check_here(&self, mut client: String) -> Result<Left, Left> {
        if self.checks.fetch_add(1, Ordering::Relaxed).is_multiple_of(CHECKS_BETWEEN_PRUNINGS) {
            self.limiter.retain_recent();
        }
        if self.limiter.len() >= ADDRESSES_MAX {
            let bucket = BuildHasherDefault::<DefaultHasher>::new().hash_one(client) % CROWD_BUCKETS;
            client = format!("crowd-{bucket}");
        }
        match self.limiter.check_key(&client) {
            Ok(snapshot) => {
                let remaining = snapshot.remaining_burst_capacity();
                let spent = self.per_minute.get().saturating_sub(remaining);
                let seconds = (u64::from(spent) * u64::from(WINDOW_SECONDS)).div_ceil(self.per_minute.get().into());
                Ok(Left { remaining, seconds })
            }
            Err(until) => {
                let wait = until.wait_time_from(DefaultClock::default().now());
                Err(Left { remaining: 0, seconds: whole_seconds(wait) })
            }
        }
    }

    /// The fields of draft-ietf-httpapi-ratelimit-headers.
    fn fields(&self, left: &Left) -> HeaderMap {
        let policy = format!("\"accounts\";q={};w={WINDOW_SECONDS}", self.per_minute);
        let state = format!("\"accounts\";r={};t={}", left.remaining, left.seconds);
        let fields = [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, state)];
        fields.into_iter().filter_map(|(name, text)| Some((name, HeaderValue::try_from(text).ok()?))).collect()
    }
}

fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// The layer of the routes that are limited.
pub(crate) async fn limit_account_requests(
    State(limiter): State<Arc<AccountLimiter>>,
    request: Request,
    next: Next,
) -> Response {
    let connected = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|connected| connected.0.ip());
    let address = client_address(request.headers(), connected, limiter.trust_forwarded_for);
    let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let (left, mut response) = match limiter.check(address).await {
        Ok(left) => (left, next.run(request).await),
        Err(left) => {
            let problem = Problem::new(Code::RateLimited).retry_after(left.seconds);
            (left, problem.into_response())
        }
    };
    response.headers_mut().extend(limiter.fields(&left));
    response
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
