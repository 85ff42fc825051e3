//! How much one client may ask for.

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
use axum::{Router, http::StatusCode};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use boxoffice_domain::accounts::{HashingError, MockPasswordHasher, Password, PasswordHash, PasswordHasher};
use boxoffice_http::Code;
use boxoffice_peers::{Peers, Quota};
use futures::future::join_all;
use serde_json::json;
use tokio::{sync::Semaphore, task::JoinHandle, time::Instant};

use crate::world::{Ask, World, ask_charge, ask_sign_in, ask_sign_up, from, get, mock, post};

/// A server with a limit, on which every sign-in is wrong.
async fn limited_to(per_minute: u32) -> World {
    let mut world = World::new().await;
    world.settings.account_requests_per_minute = per_minute;
    world
}

/// A refresh with a secret that is wrong, for a session with this number.
fn ask_refresh(session: u8) -> Ask {
    post("/v1/sessions/refresh", json!({"refresh_token": URL_SAFE_NO_PAD.encode([session; 48])}))
}

#[tokio::test]
async fn an_address_has_a_quota_for_what_hashes_a_password_and_for_nothing_else() {
    let router = limited_to(2).await.router();
    // Nothing of this is hashed.
    for _ in 0..5 {
        from(&router, "192.0.2.1:1", post("/v1/accounts", json!({}))).await.refuses(Code::ValidationFailed);
        from(&router, "192.0.2.1:1", post("/v1/sessions", json!({}))).await.refuses(Code::ValidationFailed);
        let short = json!({"login_id": "haneul", "password": "short"});
        from(&router, "192.0.2.1:1", post("/v1/sessions", short)).await.refuses(Code::InvalidCredentials);
        from(&router, "192.0.2.1:1", ask_refresh(1)).await.refuses(Code::Unauthenticated);
    }
    let first = from(&router, "192.0.2.1:1", ask_sign_in()).await;
    first.refuses(Code::InvalidCredentials);
    assert_eq!(first.header("ratelimit-policy"), Some(r#""accounts";q=2;w=60"#));
    assert_eq!(first.header("ratelimit"), Some(r#""accounts";r=1;t=30"#));
    from(&router, "192.0.2.1:2", ask_sign_in()).await.refuses(Code::InvalidCredentials);
    let refused = from(&router, "192.0.2.1:3", ask_sign_up()).await;
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
        ("[2001:db8:0:1::3]:1", Code::RateLimited),
        ("[2001:db8:1::3]:1", Code::InvalidCredentials),
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

#[tokio::test]
async fn a_session_has_a_quota_of_refreshes() {
    let mut world = limited_to(1).await;
    world.settings.session_refreshes_per_minute = 2;
    let router = world.router();
    for left in ["r=1;t=30", "r=0;t=60"] {
        let answer = ask_refresh(1).send(&router).await;
        answer.refuses(Code::Unauthenticated);
        assert_eq!(answer.header("ratelimit"), Some(format!(r#""refreshes";{left}"#).as_str()));
    }
    let refused = ask_refresh(1).send(&router).await;
    refused.refuses(Code::RateLimited);
    assert_eq!(refused.header("ratelimit-policy"), Some(r#""refreshes";q=2;w=60"#));
    assert_eq!(refused.header("retry-after"), Some("30"));
    // Neither another session nor signing in is touched, and a text that names no session counts for nobody.
    ask_refresh(2).send(&router).await.refuses(Code::Unauthenticated);
    ask_sign_in().send(&router).await.refuses(Code::InvalidCredentials);
    for _ in 0..5 {
        let answer = post("/v1/sessions/refresh", json!({"refresh_token": "x"})).send(&router).await;
        answer.refuses(Code::Unauthenticated);
        assert_eq!(answer.header("ratelimit"), None);
    }
}

#[tokio::test]
async fn an_account_has_a_quota_of_acts_and_reads_as_much_as_it_likes() {
    let mut world = World::new().await;
    (world.settings.account_acts_per_second, world.settings.account_acts_burst) = (1, 5);
    let router = world.router();
    let began = Instant::now();
    let mut refused = Vec::new();
    for number in 0..20 {
        let answer = ask_charge(1, &number.to_string()).send(&router).await;
        if answer.status == StatusCode::CREATED {
            assert_eq!(answer.header("ratelimit"), None);
        } else {
            refused.push(answer);
        }
    }
    // One comes back each second.
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap();
    assert!((15 - seconds - 1..=15).contains(&refused.len()), "{} are refused in {seconds} s", refused.len());
    for answer in refused {
        answer.refuses(Code::RateLimited);
        assert_eq!(answer.header("ratelimit-policy"), Some(r#""acts";q=5;w=5"#));
        assert_eq!(answer.header("ratelimit"), Some(r#""acts";r=0;t=1"#));
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    for _ in 0..20 {
        get("/v1/wallet").signed_in("customer").send(&router).await.succeeds(StatusCode::OK);
    }
    ask_charge(1, "k").signed_in("stranger").send(&router).await.succeeds(StatusCode::CREATED);
}

#[tokio::test]
async fn an_account_has_a_share_of_the_requests_that_are_worked_on() {
    let mut world = World::new().await;
    let gateway = world.slow_gateway();
    world.settings.account_requests_in_flight = 2;
    let router = world.router();
    let busy = |key: &'static str| {
        let router = router.clone();
        tokio::spawn(async move { ask_charge(5, key).send(&router).await })
    };
    let (first, second) = (busy("1"), busy("2"));
    gateway.asked.notified().await;
    gateway.asked.notified().await;
    let refused = get("/v1/wallet").signed_in("customer").send(&router).await;
    refused.refuses(Code::RateLimited);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("ratelimit-policy"), Some(r#""in_flight";q=2;qu="concurrent-requests""#));
    get("/v1/wallet").signed_in("stranger").send(&router).await.succeeds(StatusCode::OK);
    get("/v1/concerts").send(&router).await.succeeds(StatusCode::OK);
    gateway.let_go.add_permits(2);
    for answer in join_all([first, second]).await {
        answer.unwrap().succeeds(StatusCode::CREATED);
    }
    get("/v1/wallet").signed_in("customer").send(&router).await.succeeds(StatusCode::OK);
}

/// Verifies a password when the test lets it; no password is right.
struct SlowHasher(Semaphore);

#[async_trait]
impl PasswordHasher for SlowHasher {
    async fn hash(&self, _password: Password) -> Result<PasswordHash, HashingError> {
        Err(HashingError::Busy)
    }

    async fn verify(&self, _password: Password, _hash: Option<PasswordHash>) -> Result<bool, HashingError> {
        self.0.acquire().await.unwrap().forget();
        Ok(false)
    }

    fn is_current(&self, _hash: &PasswordHash) -> bool {
        true
    }
}

#[tokio::test]
async fn a_flood_of_sign_ins_from_one_network_denies_them_to_no_other() {
    let mut world = World::new().await;
    // Two turns, and eight that wait.
    (world.settings.hashing_parallel, world.settings.hashing_waiting_max) = (1, 8);
    let hasher = Arc::new(SlowHasher(Semaphore::new(0)));
    world.passwords = hasher.clone();
    let router = world.router();
    let sign_in = |number: u32, address: String| {
        let router = router.clone();
        // Each at another login id, which have limits of their own.
        let ask = post("/v1/sessions", json!({"login_id": format!("buyer-{number}"), "password": "long enough"}));
        tokio::spawn(async move { from(&router, &address, ask).await })
    };
    let mut flood: Vec<_> = (0..30).map(|number| sign_in(number, format!("192.0.2.{number}:1"))).collect();
    let mut refused = 0;
    // Those that get no place are refused at once.
    while refused < 20 {
        tokio::task::yield_now().await;
        let (ended, waiting): (Vec<_>, Vec<_>) = flood.into_iter().partition(JoinHandle::is_finished);
        for answer in ended {
            answer.await.unwrap().refuses(Code::Unavailable);
            refused += 1;
        }
        flood = waiting;
    }
    // Two networks come, and take places of the flood.
    let others = [sign_in(30, "198.51.100.1:1".to_owned()), sign_in(31, "[2001:db8:1::1]:1".to_owned())];
    while flood.iter().filter(|sign_in| sign_in.is_finished()).count() < 2 {
        tokio::task::yield_now().await;
    }
    // The two that have a turn, and then one of each network.
    hasher.0.add_permits(2 + 3);
    for answer in join_all(others).await {
        answer.unwrap().refuses(Code::InvalidCredentials);
    }
    hasher.0.add_permits(100);
    let answers = join_all(flood).await.into_iter().map(|answer| answer.unwrap().status);
    assert_eq!(answers.filter(|status| *status == StatusCode::UNAUTHORIZED).count(), 8);
}
