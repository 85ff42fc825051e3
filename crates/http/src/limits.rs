//! How often one client address may sign up and sign in: over all instances where they share a Redis, and else at each.

use std::{
    fmt,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
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
use governor::{
    DefaultKeyedRateLimiter, Quota,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
};

use crate::{
    api::Api,
    neighbours::SharedQuotas,
    reply::{Code, Problem},
};

/// After how many checks the addresses are forgotten that have their whole quota again.
const CHECKS_BETWEEN_PRUNINGS: u32 = 1_024;
/// How many addresses are told apart. While there are more, all of them share [`CROWD_BUCKETS`] quotas.
const ADDRESSES_MAX: usize = 100_000;
/// How many quotas a crowd shares.
const CROWD_BUCKETS: u64 = 1_024;
/// What quotas are counted in.
const WINDOW_SECONDS: u32 = 60;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Whose quota it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Client {
    V4(Ipv4Addr),
    /// An IPv6 customer has a /64 at least, so the rest tells nobody apart.
    V6([u8; 8]),
    Crowd(u64),
}

impl From<IpAddr> for Client {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6(prefix_of(address)),
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => address.fmt(f),
            Self::V6(prefix) => write!(f, "{:016x}", u64::from_be_bytes(*prefix)),
            Self::Crowd(bucket) => write!(f, "crowd-{bucket}"),
        }
    }
}

fn prefix_of(address: Ipv6Addr) -> [u8; 8] {
    let mut prefix = [0; 8];
    prefix.copy_from_slice(&address.octets()[..8]);
    prefix
}

/// Counts the requests of each client address.
pub(crate) struct AccountLimiter {
    /// What counts over all instances, if there is something.
    shared: Option<Arc<dyn SharedQuotas>>,
    limiter: DefaultKeyedRateLimiter<Client, StateInformationMiddleware>,
    per_minute: NonZeroU32,
    checks: AtomicU32,
}

/// How much of its quota a client has left.
struct Quotum {
    remaining: u32,
    /// Until when it has all of it again, or where it has none, until when it has some.
    seconds: u64,
}

impl AccountLimiter {
    /// `None` where the limit is off.
    pub(crate) fn new(per_minute: u32, shared: Option<Arc<dyn SharedQuotas>>) -> Option<Self> {
        let per_minute = NonZeroU32::new(per_minute)?;
        let limiter = DefaultKeyedRateLimiter::keyed(Quota::per_minute(per_minute)).with_middleware();
        Some(Self { shared, limiter, per_minute, checks: AtomicU32::new(0) })
    }

    /// Counts a request over all instances, or where nobody can, over those of this one.
    async fn check(&self, address: IpAddr) -> Result<Quotum, Quotum> {
        let client = Client::from(address);
        let taken = match &self.shared {
            Some(shared) => shared.take("accounts", &client.to_string(), self.per_minute).await,
            None => None,
        };
        match taken {
            Some(quota) => {
                let quotum = Quotum { remaining: quota.remaining, seconds: whole_seconds(quota.until) };
                if quota.taken { Ok(quotum) } else { Err(quotum) }
            }
            None => self.check_here(client),
        }
    }

    fn check_here(&self, mut client: Client) -> Result<Quotum, Quotum> {
        if self.checks.fetch_add(1, Ordering::Relaxed).is_multiple_of(CHECKS_BETWEEN_PRUNINGS) {
            self.limiter.retain_recent();
        }
        if self.limiter.len() >= ADDRESSES_MAX {
            client = Client::Crowd(BuildHasherDefault::<DefaultHasher>::new().hash_one(client) % CROWD_BUCKETS);
        }
        match self.limiter.check_key(&client) {
            Ok(snapshot) => {
                let remaining = snapshot.remaining_burst_capacity();
                let spent = self.per_minute.get().saturating_sub(remaining);
                let seconds = (u64::from(spent) * u64::from(WINDOW_SECONDS)).div_ceil(self.per_minute.get().into());
                Ok(Quotum { remaining, seconds })
            }
            Err(until) => {
                let wait = until.wait_time_from(DefaultClock::default().now());
                Err(Quotum { remaining: 0, seconds: whole_seconds(wait) })
            }
        }
    }

    /// The fields of draft-ietf-httpapi-ratelimit-headers.
    fn fields(&self, quotum: &Quotum) -> HeaderMap {
        let policy = format!("\"accounts\";q={};w={WINDOW_SECONDS}", self.per_minute);
        let state = format!("\"accounts\";r={};t={}", quotum.remaining, quotum.seconds);
        let fields = [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, state)];
        fields.into_iter().filter_map(|(name, text)| Some((name, HeaderValue::try_from(text).ok()?))).collect()
    }
}

fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// The layer of the routes that are limited.
pub(crate) async fn limit_account_requests(State(api): State<Api>, request: Request, next: Next) -> Response {
    let Some(limiter) = &api.account_limiter else {
        return next.run(request).await;
    };
    let address = client_address(&request, api.settings.trust_forwarded_for);
    let (quotum, mut response) = match limiter.check(address).await {
        Ok(quotum) => (quotum, next.run(request).await),
        Err(quotum) => {
            let problem = Problem::new(Code::RateLimited).retry_after(quotum.seconds);
            (quotum, problem.into_response())
        }
    };
    response.headers_mut().extend(limiter.fields(&quotum));
    response
}

/// The address of the client: the last that a trusted proxy wrote, or else the one that connected.
fn client_address(request: &Request, trust_forwarded_for: bool) -> IpAddr {
    let connected = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|connected| connected.0.ip());
    let forwarded = if trust_forwarded_for { forwarded_for(request.headers()) } else { None };
    forwarded.or(connected).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let line = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    let last = line.rsplit(',').next()?.trim();
    let plain = last.trim_start_matches('[').trim_end_matches(']');
    plain.parse().ok().or_else(|| last.parse::<SocketAddr>().ok().map(|address| address.ip()))
}
