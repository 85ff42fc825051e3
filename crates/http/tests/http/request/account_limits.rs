//! How often one client may sign up and sign in.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::Router;
use boxoffice_domain::accounts::{HashingError, MockPasswordHasher};
use boxoffice_http::Code;
use boxoffice_peers::{Peers, Quota};
use serde_json::json;

use crate::world::{World, ask_sign_in, from, get, mock, post};

/// A server with a limit, on which every sign-in is wrong.
async fn limited_to(per_minute: u32) -> World {
    let mut world = World::new().await;
    world.settings.account_requests_per_minute = per_minute;
    world
}

#[tokio::test]
async fn an_address_has_a_quota_for_all_account_routes_together_and_for_no_other() {
    let router = limited_to(2).await.router();
    let first = from(&router, "192.0.2.1:1", ask_sign_in()).await;
    first.refuses(Code::InvalidCredentials);
    assert_eq!(first.header("ratelimit-policy"), Some(r#""accounts";q=2;w=60"#));
    assert_eq!(first.header("ratelimit"), Some(r#""accounts";r=1;t=30"#));
    from(&router, "192.0.2.1:2", ask_sign_in()).await.refuses(Code::InvalidCredentials);
    let refused = from(&router, "192.0.2.1:3", post("/v1/accounts", json!({}))).await;
    refused.refuses(Code::RateLimited);
    assert_eq!(refused.header("retry-after"), Some("30"));
    assert_eq!(refused.header("ratelimit"), Some(r#""accounts";r=0;t=30"#));
    from(&router, "192.0.2.2:1", ask_sign_in()).await.refuses(Code::InvalidCredentials);
    from(&router, "192.0.2.1:4", get("/v1/me")).await.refuses(Code::Unauthenticated);
}

#[tokio::test]
async fn addresses_of_one_network_share_a_quota() {
    let router = limited_to(2).await.router();
    for (address, code) in [
        ("[2001:db8::1]:1", Code::InvalidCredentials),
        ("[2001:db8::2]:1", Code::InvalidCredentials),
        ("[2001:db8::ffff:3]:1", Code::RateLimited),
        ("[2001:db8:0:1::3]:1", Code::InvalidCredentials),
        // An IPv4 address is the same one when it comes through an IPv6 socket.
        ("192.0.2.9:1", Code::InvalidCredentials),
        ("[::ffff:192.0.2.9]:1", Code::InvalidCredentials),
        ("192.0.2.9:1", Code::RateLimited),
    ] {
        from(&router, address, ask_sign_in()).await.refuses(code);
    }
}

#[tokio::test]
async fn a_forwarded_address_counts_only_behind_a_trusted_proxy() {
    for (trust_forwarded_for, forwarded) in [
        (false, ["198.51.100.1", "198.51.100.2", "198.51.100.3"]),
        (true, ["made up, 198.51.100.1", "198.51.100.1", "198.51.100.9, 198.51.100.1"]),
    ] {
        let mut world = limited_to(2).await;
        world.settings.trust_forwarded_for = trust_forwarded_for;
        let router = world.router();
        let codes = [Code::InvalidCredentials, Code::InvalidCredentials, Code::RateLimited];
        for (forwarded, code) in forwarded.into_iter().zip(codes) {
            from(&router, "192.0.2.1:1", ask_sign_in().header("x-forwarded-for", forwarded)).await.refuses(code);
        }
        let other = ask_sign_in().header("x-forwarded-for", "198.51.100.2");
        let code = if trust_forwarded_for { Code::InvalidCredentials } else { Code::RateLimited };
        from(&router, "192.0.2.1:1", other).await.refuses(code);
    }
}

#[tokio::test]
async fn a_busy_hasher_is_not_a_failure() {
    let mut world = World::new().await;
    world.passwords = mock(|hasher: &mut MockPasswordHasher| {
        hasher.expect_verify().returning(|_, _| Err(HashingError::Busy));
    });
    world.answer(ask_sign_in()).await.refuses(Code::Unavailable);
}

/// Counts over all instances, unless it is away.
#[derive(Default)]
struct Counted {
    away: AtomicBool,
    used: Mutex<HashMap<String, u32>>,
}

#[async_trait]
impl Peers for Counted {
    async fn take_quota(&self, what: &str, client: &str, per_minute: NonZeroU32) -> Option<Quota> {
        if self.away.load(Ordering::SeqCst) {
            return None;
        }
        let mut used = self.used.lock().unwrap();
        let used = used.entry(format!("{what} {client}")).or_default();
        let taken = *used < per_minute.get();
        *used += u32::from(taken);
        Some(Quota { taken, remaining: per_minute.get() - *used, until: Duration::from_millis(41_500) })
    }
}

/// A server with a limit of 3 that is counted by these.
async fn counted_by(quotas: &Arc<Counted>) -> Router {
    let mut world = limited_to(3).await;
    world.peers = Arc::clone(quotas) as _;
    world.router()
}

#[tokio::test]
async fn a_quota_counts_over_all_instances_or_if_they_cannot_at_each() {
    let quotas = Arc::new(Counted::default());
    let instances = [counted_by(&quotas).await, counted_by(&quotas).await];
    for number in 0..3_usize {
        let answer = ask_sign_in().send(&instances[number % 2]).await;
        answer.refuses(Code::InvalidCredentials);
        assert_eq!(answer.header("ratelimit"), Some(format!(r#""accounts";r={};t=42"#, 2 - number).as_str()));
    }
    for instance in &instances {
        let answer = ask_sign_in().send(instance).await;
        answer.refuses(Code::RateLimited);
        assert_eq!(answer.header("retry-after"), Some("42"));
    }
    assert_eq!(*quotas.used.lock().unwrap(), HashMap::from([("accounts 0.0.0.0".to_owned(), 3)]));
    quotas.away.store(true, Ordering::SeqCst);
    for instance in &instances {
        for _ in 0..3 {
            ask_sign_in().send(instance).await.refuses(Code::InvalidCredentials);
        }
        ask_sign_in().send(instance).await.refuses(Code::RateLimited);
    }
}
