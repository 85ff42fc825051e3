//! Responses that are kept for a moment: how often they are read, and what no account may be shown.

use std::{sync::Arc, time::Duration};

use axum::{Router, http::StatusCode};
use boxoffice_application::CatalogGeneration;
use boxoffice_contracts::storage::at_once;
use boxoffice_domain::waiting_room::WaitingRoom;
use boxoffice_http::Code;
use boxoffice_peers::{Announcement, MemoryPeers, Topic};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::json;
use tokio::time::{Instant, advance};
use uuid::Uuid;

use crate::world::{Answer, Ask, World, ask_cancel, ask_hold, get, patch, token};

const KEPT_FOR: Duration = Duration::from_millis(250);

/// The responses of `router` to this many requests at once.
async fn answers_at_once(router: &Router, count: usize, ask: impl Fn() -> Ask) -> Vec<Answer> {
    at_once((0..count).map(|_| ask()), |ask| {
        let router = router.clone();
        async move { ask.unchecked(&router).await }
    })
    .await
}

fn paths(world: &World) -> [String; 6] {
    [
        "/v1/concerts?bookable=true&limit=5".to_owned(),
        "/v1/concerts?q=haneul&sort=starts_at".to_owned(),
        world.concert_path(),
        format!("{}/performances", world.concert_path()),
        world.performance_path(),
        world.seats_path(),
    ]
}

/// A router that counts, and how often each of its caches was missed.
fn counting(world: &World) -> (Router, PrometheusHandle) {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    (metrics::with_local_recorder(&recorder, || world.router()), handle)
}

/// How often responses of all kinds were read.
fn readings(counts: &PrometheusHandle) -> u64 {
    let text = counts.render();
    let misses = text.lines().filter(|line| line.starts_with("boxoffice_cache_misses_total{"));
    misses.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

#[tokio::test(start_paused = true)]
async fn hundreds_who_ask_the_same_at_once_are_one_reading() {
    let world = World::keeping(KEPT_FOR).await;
    let token = world.token().await;
    let (router, counts) = counting(&world);
    for (path, expected) in paths(&world).iter().zip(1..) {
        let answers = answers_at_once(&router, 300, || get(path).queued(&token)).await;
        for answer in &answers {
            answer.succeeds(StatusCode::OK);
            assert_eq!((&answer.body, &answer.headers["etag"]), (&answers[0].body, &answers[0].headers["etag"]));
        }
        assert_eq!(readings(&counts), expected, "{path}");
        // What is kept is good for a 304 too.
        let tag = answers[0].header("etag").unwrap();
        let same = get(path).queued(&token).header("if-none-match", tag).send(&router).await;
        assert_eq!((same.status, readings(&counts)), (StatusCode::NOT_MODIFIED, expected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_is_kept_for_its_time_and_no_longer() {
    for (kept_for, renewed) in [(KEPT_FOR, [false, true]), (Duration::ZERO, [true, true])] {
        for index in 0..6 {
            let mut world = World::keeping(kept_for).await;
            let (path, token, router) = (&paths(&world)[index], world.token().await, world.router());
            let mut last = get(path).queued(&token).send(&router).await;
            let pauses = [(KEPT_FOR, "A-1-1"), (Duration::from_millis(1), "A-1-2")];
            for ((pause, label), renewed) in pauses.into_iter().zip(renewed) {
                world.change_concert(|concert| concert.max_seats_per_account -= 1).await;
                world.stage.holds(&world.show, world.stranger, &[label]).await;
                advance(pause).await;
                let answer = get(path).queued(&token).send(&router).await;
                answer.succeeds(StatusCode::OK);
                assert_eq!(answer.body != last.body, renewed, "{path} {kept_for:?} {pause:?}");
                last = answer;
            }
        }
    }
}

#[tokio::test]
async fn the_gate_is_asked_for_each_request() {
    let world = World::keeping(Duration::from_millis(500)).await;
    let (router, elsewhere) = (world.router(), world.token_elsewhere().await);
    for path in &paths(&world)[3..] {
        let place = world.join(world.customer).await;
        let first = get(path).queued(&token(&place)).send(&router).await;
        first.succeeds(StatusCode::OK);
        let tag = first.header("etag").unwrap();
        world.queues.leave(&place).await.unwrap();
        let again = get(path).queued(&token(&place)).header("if-none-match", tag).send(&router).await;
        again.refuses(Code::QueueTokenExpired);
        get(path).queued(&elsewhere).send(&router).await.refuses(Code::QueueTokenInvalid);
        get(path).send(&router).await.refuses(Code::Unauthenticated);
    }
}

#[tokio::test(start_paused = true)]
async fn a_promoter_sees_its_change_of_a_concert_in_every_response() {
    let world = World::keeping(KEPT_FOR).await;
    let (router, path) = (world.router(), world.concert_path());
    for version in 2..=20_u32 {
        answers_at_once(&router, 10, || get(&path)).await;
        answers_at_once(&router, 10, || get("/v1/concerts")).await;
        let title = format!("Version {version}");
        let change = patch(&path, json!({ "title": title })).signed_in("promoter");
        change.send(&router).await.succeeds(StatusCode::OK);
        for answer in answers_at_once(&router, 10, || get(&path)).await {
            let tag = answer.header("etag").unwrap();
            assert!(tag.starts_with(&format!("\"{version}-")), "{tag} after the change to {version}");
        }
        for answer in answers_at_once(&router, 10, || get("/v1/concerts")).await {
            assert_eq!(answer.json()["items"][0]["title"], title);
        }
    }
}

/// An account that is admitted.
struct Account {
    name: &'static str,
    token: String,
}

/// A world with its router, the customer and the stranger.
async fn admitted(kept_for: Duration) -> (World, Router, Account, Account) {
    let world = World::keeping(kept_for).await;
    let customer = Account { name: "customer", token: world.token().await };
    let stranger = Account { name: "stranger", token: world.token_of(world.stranger).await };
    let router = world.router();
    (world, router, customer, stranger)
}

impl Account {
    fn signs(&self, ask: Ask) -> Ask {
        ask.signed_in(self.name).header("queue-token", self.token.as_str())
    }

    /// How the first seat is shown to the account.
    async fn is_shown(&self, router: &Router, seats_path: &str) -> String {
        let answer = self.signs(get(seats_path)).unchecked(router).await;
        answer.succeeds(StatusCode::OK)["seats"][0]["status"].as_str().unwrap().to_owned()
    }

    async fn holds(&self, router: &Router, world: &World) -> Answer {
        let ask = ask_hold(&self.token, world.show.performance_id.uuid(), &["A-1-1"]);
        ask.signed_in(self.name).unchecked(router).await
    }

    /// The id of a reservation of the seat.
    async fn gets(&self, router: &Router, world: &World) -> Uuid {
        let held = self.holds(router, world).await.succeeds(StatusCode::CREATED);
        held["id"].as_str().unwrap().parse().unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_that_was_refused_or_shown_a_newer_map_is_not_shown_the_older_one() {
    for refused in [true, false] {
        let (world, router, customer, stranger) = admitted(KEPT_FOR).await;
        let path = world.seats_path();
        assert_eq!(stranger.is_shown(&router, &path).await, "available");
        customer.gets(&router, &world).await;
        // The stranger has had no response about the seat, and is shown what is kept.
        advance(Duration::from_millis(1)).await;
        assert_eq!(stranger.is_shown(&router, &path).await, "available");
        if refused {
            stranger.holds(&router, &world).await.refuses(Code::SeatUnavailable);
        } else {
            let part = stranger.signs(get(format!("{path}?status=held"))).send(&router).await;
            assert_eq!(part.succeeds(StatusCode::OK)["seats"][0]["label"], "A-1-1");
        }
        assert_eq!(stranger.is_shown(&router, &path).await, "held");
    }
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_changes_is_not_a_storm_of_renderings() {
    let (world, _, customer, stranger) = admitted(KEPT_FOR).await;
    let (path, (router, counts)) = (world.seats_path(), counting(&world));
    let began = Instant::now();
    for _ in 0..100 {
        let held = customer.gets(&router, &world).await;
        let all = tokio::join!(
            customer.is_shown(&router, &path),
            customer.is_shown(&router, &path),
            stranger.is_shown(&router, &path),
        );
        assert_eq!((all.0.as_str(), all.1.as_str()), ("held", "held"));
        ask_cancel(held).unchecked(&router).await.succeeds(StatusCode::OK);
        advance(Duration::from_millis(1)).await;
    }
    let rendered = u128::from(readings(&counts));
    assert!(rendered <= began.elapsed().as_millis() / 25 + 1, "{rendered} in {:?}", began.elapsed());
}

#[tokio::test]
async fn a_change_here_is_published_and_one_of_a_peer_ends_what_is_kept() {
    let peers = Arc::new(MemoryPeers::default());
    let mut subscription = peers.subscribe();
    let mut world = World::keeping(Duration::from_mins(1)).await;
    world.generation = Arc::new(CatalogGeneration::new(peers));
    let router = world.router();
    let listed = async || {
        let list = get("/v1/concerts").send(&router).await.succeeds(StatusCode::OK);
        list["items"][0]["max_seats_per_account"].as_u64().unwrap()
    };
    assert_eq!(listed().await, 4);
    world.change_concert(|concert| concert.max_seats_per_account = 3).await;
    assert_eq!(listed().await, 4);
    world.generation.begin();
    assert_eq!(listed().await, 3);
    assert_eq!(subscription.try_next(), None, "what was received is not published");

    let change = |account: &str| patch(world.concert_path(), json!({"max_seats_per_account": 2})).signed_in(account);
    change("customer").send(&router).await.refuses(Code::Forbidden);
    assert_eq!(subscription.try_next(), None, "what was refused has changed nothing");
    change("promoter").send(&router).await.succeeds(StatusCode::OK);
    let text = world.show.concert.id.to_string().into();
    assert_eq!(subscription.try_next(), Some(Announcement::Published { topic: Topic::Catalog, text }));
    assert_eq!(listed().await, 2);
}

#[tokio::test]
async fn an_account_that_a_peer_has_responded_to_is_shown_newer_seats() {
    let (world, router, customer, stranger) = admitted(Duration::from_mins(1)).await;
    let path = world.seats_path();
    let shown = async || (stranger.is_shown(&router, &path).await, customer.is_shown(&router, &path).await);
    let both = |stranger: &str, customer: &str| (stranger.to_owned(), customer.to_owned());
    assert_eq!(shown().await, both("available", "available"));
    world.stage.holds(&world.show, world.customer, &["A-1-1"]).await;
    assert_eq!(shown().await, both("available", "available"));
    world.marks.set(world.customer);
    assert_eq!(shown().await, both("available", "held"));
    assert_eq!(shown().await, both("held", "held"));
}
