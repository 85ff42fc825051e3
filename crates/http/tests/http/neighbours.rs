//! What the other instances do, and what they are told.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::http::{Method, StatusCode};
use boxoffice_domain::{
    announcements::{Announcements, Topic},
    page::Page,
    reservations::SeatState,
};
use boxoffice_http::{Code, Neighbours, SharedQuota, SharedQuotas};
use serde_json::json;

use crate::{
    reads::seat_map,
    world::{CONCERT, CUSTOMER, PERFORMANCE, World, concert, get, post},
};

const KEPT_FOR: Duration = Duration::from_mins(1);

/// Remembers what is announced.
#[derive(Default)]
struct Wire(Mutex<Vec<(Topic, String)>>);

#[async_trait]
impl Announcements for Wire {
    fn has_listeners(&self) -> bool {
        true
    }

    fn hears_all(&self) -> bool {
        true
    }

    fn others_busy_with(&self, _topic: Topic) -> usize {
        0
    }

    fn announce(&self, topic: Topic, text: String) {
        self.0.lock().unwrap().push((topic, text));
    }

    async fn leave(&self) {}
}

/// Counts over all instances, unless it is away.
#[derive(Default)]
struct Counted {
    away: AtomicBool,
    used: Mutex<HashMap<String, u32>>,
}

#[async_trait]
impl SharedQuotas for Counted {
    async fn take(&self, what: &str, client: &str, per_minute: NonZeroU32) -> Option<SharedQuota> {
        if self.away.load(Ordering::SeqCst) {
            return None;
        }
        let mut used = self.used.lock().unwrap();
        let used = used.entry(format!("{what} {client}")).or_default();
        let taken = *used < per_minute.get();
        *used += u32::from(taken);
        Some(SharedQuota { taken, remaining: per_minute.get() - *used, until: Duration::from_millis(41_500) })
    }
}

fn signing_in(quotas: &Arc<Counted>) -> axum::Router {
    let world = World::with(|world| {
        world.settings.account_requests_per_minute = 3;
        world.accounts.expect_credentials().returning(|_| Ok(None));
        world.passwords.expect_verify().returning(|_, _| Ok(false));
        let quotas: Arc<dyn SharedQuotas> = Arc::clone(quotas) as _;
        world.neighbours = Some(Neighbours::new(KEPT_FOR, Arc::new(Wire::default()), Some(quotas)));
    });
    world.router()
}

#[tokio::test]
async fn a_quota_counts_over_all_instances_and_at_each_where_nobody_can_say() {
    let quotas = Arc::new(Counted::default());
    let instances = [signing_in(&quotas), signing_in(&quotas)];
    let sign_in = || post("/v1/sessions", json!({"login_id": "haneul", "password": "long enough"}));
    for number in 0..3_usize {
        let answer = sign_in().send(&instances[number % 2]).await;
        answer.refuses(Code::InvalidCredentials);
        assert_eq!(answer.header("ratelimit"), Some(format!(r#""accounts";r={};t=42"#, 2 - number).as_str()));
    }
    for instance in &instances {
        let answer = sign_in().send(instance).await;
        answer.refuses(Code::RateLimited);
        assert_eq!(answer.header("retry-after"), Some("42"));
    }
    assert_eq!(*quotas.used.lock().unwrap(), HashMap::from([("accounts 0.0.0.0".to_owned(), 3)]));
    quotas.away.store(true, Ordering::SeqCst);
    for instance in &instances {
        for _ in 0..3 {
            sign_in().send(instance).await.refuses(Code::InvalidCredentials);
        }
        sign_in().send(instance).await.refuses(Code::RateLimited);
    }
}

#[tokio::test]
async fn a_change_here_is_announced_and_one_elsewhere_ends_what_is_kept() {
    let (wire, readings) = (Arc::new(Wire::default()), Arc::new(AtomicUsize::new(0)));
    let neighbours = Neighbours::new(KEPT_FOR, Arc::clone(&wire) as _, None);
    let world = World::with(|world| {
        world.settings.answers_kept_for = KEPT_FOR;
        world.neighbours = Some(neighbours.clone());
        let counted = Arc::clone(&readings);
        world.catalog.expect_concerts().returning(move |_, _| {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(Page { items: vec![concert(3)], next: None })
        });
        world.catalog.expect_concert().returning(|_| Ok(Some(concert(1))));
        world.catalog.expect_update_concert().returning(|_| Ok(()));
        world.waiting_room.expect_set_terms().returning(|_, _| Ok(()));
    });
    let router = world.router();
    let listed = async || {
        for _ in 0..2 {
            get("/v1/concerts").send(&router).await.succeeds(StatusCode::OK);
        }
        readings.load(Ordering::SeqCst)
    };
    assert_eq!(listed().await, 1);
    neighbours.catalog_has_changed();
    assert_eq!(listed().await, 2);
    assert!(wire.0.lock().unwrap().is_empty(), "what was heard is not passed on");

    let change = |account: &'static str| {
        let ask = post(format!("/v1/concerts/{CONCERT}"), json!({"title": "Other"}));
        ask.method(Method::PATCH).signed_in(account)
    };
    change("customer").send(&router).await.refuses(Code::Forbidden);
    assert!(wire.0.lock().unwrap().is_empty(), "what was refused has changed nothing");
    change("promoter").send(&router).await.succeeds(StatusCode::OK);
    assert_eq!(*wire.0.lock().unwrap(), [(Topic::Catalog, String::new())]);
    assert_eq!(listed().await, 3);
}

#[tokio::test]
async fn who_was_answered_elsewhere_is_shown_the_seats_anew() {
    let readings = Arc::new(AtomicUsize::new(0));
    let neighbours = Neighbours::new(KEPT_FOR, Arc::new(Wire::default()), None);
    let counted = Arc::clone(&readings);
    let world = World::admitted(|world| {
        world.settings.answers_kept_for = KEPT_FOR;
        world.neighbours = Some(neighbours.clone());
        world.catalog.expect_seats().returning(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(Some(seat_map(SeatState::Free)))
        });
    });
    let router = world.router();
    let path = format!("/v1/performances/{PERFORMANCE}/seats");
    let shown_to = async |account, token| {
        let answer = get(&path).signed_in(account).header("queue-token", token).send(&router).await;
        answer.succeeds(StatusCode::OK);
        readings.load(Ordering::SeqCst)
    };
    assert_eq!((shown_to("customer", "queue").await, shown_to("promoter", "stranger").await), (1, 1));
    neighbours.has_answered(CUSTOMER);
    assert_eq!((shown_to("promoter", "stranger").await, shown_to("customer", "queue").await), (1, 2));
    assert_eq!((shown_to("promoter", "stranger").await, shown_to("customer", "queue").await), (2, 2));
}
