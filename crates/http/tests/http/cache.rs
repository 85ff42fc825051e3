//! Responses that are kept for a moment: how often the ports are asked, and what no account may be shown.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    http::{Method, StatusCode},
};
use boxoffice_application::CatalogGeneration;
use boxoffice_domain::{
    PerformanceId,
    catalog::{MappedSeats, SeatLabels, SeatMap, UpdateConcertError},
    fixtures::{self, instant},
    idempotency::Made,
    page::Page,
    reservations::{HoldError, HoldRefusal, ReservationState, ReservationView},
    seats::{SeatLabel, SeatState},
    waiting_room::{QueueStatus, Recall, Standing},
};
use boxoffice_http::{Code, FreshnessMarks};
use boxoffice_peers::{Announcement, MemoryPeers, Topic};
use serde_json::{Value, json};
use tokio::{sync::Barrier, time::advance};
use tower::ServiceExt;
use uuid::Uuid;

use crate::world::{
    Answer, Ask, CONCERT, CUSTOMER, PERFORMANCE, World, active, concert, get, performance, points, post,
};

const KEPT_FOR: Duration = Duration::from_millis(250);

/// The answer of `router`, without comparing it with the document: that takes longer than everything else.
async fn answer_of(router: &Router, ask: Ask) -> Answer {
    let (parts, body) = router.clone().oneshot(ask.into_request()).await.unwrap().into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec();
    Answer { status: parts.status, headers: parts.headers, body }
}

/// The answers of `router` to this many requests at once.
async fn at_once(router: &Router, count: usize, ask: impl Fn() -> Ask) -> Vec<Answer> {
    let start = Arc::new(Barrier::new(count));
    let tasks: Vec<_> = (0..count)
        .map(|_| {
            let (router, ask, start) = (router.clone(), ask(), Arc::clone(&start));
            tokio::spawn(async move {
                start.wait().await;
                answer_of(&router, ask).await
            })
        })
        .collect();
    let mut answers = Vec::with_capacity(count);
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

/// A world that counts how often its catalog is asked, whatever for.
fn counting(kept_for: Duration) -> (World, Arc<AtomicUsize>) {
    let readings = Arc::new(AtomicUsize::new(0));
    let mut world = World::admitted(|world| world.settings.answers_kept_for = kept_for);
    macro_rules! count {
        ($expect:ident, |$($argument:tt),*| $answer:expr) => {
            let counted = Arc::clone(&readings);
            world.catalog.$expect().returning(move |$($argument),*| {
                counted.fetch_add(1, Ordering::SeqCst);
                $answer
            });
        };
    }
    count!(expect_concerts, |_, _| Ok(Page { items: vec![concert(3)], next: None }));
    count!(expect_concert, |_| Ok(Some(concert(3))));
    count!(expect_performances, |_, _, _| Ok(Page { items: vec![performance()], next: None }));
    count!(expect_performance, |_| Ok(Some(performance())));
    count!(expect_seats, |_| Ok(Some(seat_map(SeatState::Free))));
    (world, readings)
}

fn paths() -> [String; 6] {
    [
        "/v1/concerts".to_owned(),
        "/v1/concerts?bookable=true&limit=5".to_owned(),
        format!("/v1/concerts/{CONCERT}"),
        format!("/v1/concerts/{CONCERT}/performances"),
        format!("/v1/performances/{PERFORMANCE}"),
        format!("/v1/performances/{PERFORMANCE}/seats"),
    ]
}

/// The seats A-1-1 and A-1-2, the first of which is so.
fn seat_map(first: SeatState) -> SeatMap {
    let labels = ["A-1-1", "A-1-2"].map(|label| SeatLabel::new(label).unwrap());
    let seats = MappedSeats {
        performance_id: PerformanceId::new(PERFORMANCE),
        labels: Arc::new(SeatLabels::from_iter(labels)),
        prices: [points(55_000); 2].into(),
    };
    SeatMap::at(instant(0), seats, &[first, SeatState::Free])
}

#[tokio::test(start_paused = true)]
async fn hundreds_who_ask_the_same_at_once_are_one_reading() {
    let (world, readings) = counting(KEPT_FOR);
    let router = world.router();
    for (index, path) in paths().iter().enumerate() {
        let answers = at_once(&router, 300, || get(path).queued("queue")).await;
        for answer in &answers {
            answer.succeeds(StatusCode::OK);
            assert_eq!((&answer.body, &answer.headers["etag"]), (&answers[0].body, &answers[0].headers["etag"]));
        }
        assert_eq!(readings.load(Ordering::SeqCst), index + 1, "{path}");
        // What is kept is good for a 304 too.
        let tag = answers[0].header("etag").unwrap();
        let same = get(path).queued("queue").header("if-none-match", tag).send(&router).await;
        assert_eq!((same.status, readings.load(Ordering::SeqCst)), (StatusCode::NOT_MODIFIED, index + 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_is_kept_for_its_time_and_no_longer() {
    for (kept_for, expected) in [(KEPT_FOR, [1, 1, 2]), (Duration::ZERO, [1, 2, 3])] {
        for path in paths() {
            let (world, readings) = counting(kept_for);
            let router = world.router();
            for (expected, pause) in expected.into_iter().zip([KEPT_FOR, Duration::from_millis(1), Duration::ZERO]) {
                get(&path).queued("queue").send(&router).await.succeeds(StatusCode::OK);
                assert_eq!(readings.load(Ordering::SeqCst), expected, "{path} {kept_for:?}");
                advance(pause).await;
            }
        }
    }
}

#[tokio::test]
async fn the_gate_is_asked_for_each_request() {
    let (mut world, _) = counting(Duration::from_millis(500));
    let asked = Arc::new(AtomicUsize::new(0));
    world.waiting_room.checkpoint();
    world.waiting_room.expect_status().returning({
        let asked = Arc::clone(&asked);
        move |place| {
            let again = asked.fetch_add(1, Ordering::SeqCst) % 2 == 1;
            let standing = if again { Standing::Expired } else { active() };
            Ok(Recall::Known(QueueStatus { place: *place, standing }))
        }
    });
    let router = world.router();
    for path in &paths()[3..] {
        let first = get(path).queued("queue").send(&router).await;
        first.succeeds(StatusCode::OK);
        let tag = first.header("etag").unwrap().to_owned();
        get(path).queued("queue").header("if-none-match", tag).send(&router).await.refuses(Code::QueueTokenExpired);
        get(path).queued("elsewhere").send(&router).await.refuses(Code::QueueTokenInvalid);
        get(path).send(&router).await.refuses(Code::Unauthenticated);
    }
}

#[tokio::test(start_paused = true)]
async fn a_promoter_sees_its_change_of_a_concert_in_every_response() {
    let version = Arc::new(AtomicU32::new(1));
    let mut world = World::with(|world| {
        let now = Arc::clone(&version);
        world.catalog.expect_concert().returning(move |_| Ok(Some(concert(now.load(Ordering::SeqCst)))));
        let now = Arc::clone(&version);
        world.catalog.expect_concerts().returning(move |_, _| {
            let mut summary = concert(1);
            summary.performances_count = now.load(Ordering::SeqCst);
            Ok(Page { items: vec![summary], next: None })
        });
        let now = Arc::clone(&version);
        world.catalog.expect_update_concert().returning(move |concert| {
            let changed =
                now.compare_exchange(concert.version - 1, concert.version, Ordering::SeqCst, Ordering::SeqCst);
            changed.map(drop).map_err(|_| UpdateConcertError::VersionMismatch)
        });
        world.waiting_room.expect_set_terms().returning(|_, _| Ok(()));
    });
    world.settings.answers_kept_for = KEPT_FOR;
    let router = world.router();
    let path = format!("/v1/concerts/{CONCERT}");
    for expected in 2..=20_u32 {
        at_once(&router, 10, || get(&path)).await;
        at_once(&router, 10, || get("/v1/concerts")).await;
        let change = post(&path, json!({"title": "Other"})).method(Method::PATCH).signed_in("promoter");
        let changed = change.send(&router).await;
        changed.succeeds(StatusCode::OK);
        for answer in at_once(&router, 10, || get(&path)).await {
            let tag = answer.header("etag").unwrap();
            assert!(tag.starts_with(&format!("\"{expected}-")), "{tag} after the change to {expected}");
        }
        for answer in at_once(&router, 10, || get("/v1/concerts")).await {
            assert_eq!(answer.json()["items"][0]["performances_count"], expected);
        }
    }
}

/// A world with one seat that can be held and given up, and how often its map was read.
fn world_of_one_seat(kept_for: Duration) -> (Router, Arc<AtomicUsize>) {
    let (seat, readings) = (Arc::new(Mutex::new(SeatState::Free)), Arc::new(AtomicUsize::new(0)));
    let mut world = World::admitted(|world| world.settings.answers_kept_for = kept_for);
    let (shown, counted) = (Arc::clone(&seat), Arc::clone(&readings));
    world.catalog.expect_seats().returning(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(Some(seat_map(*shown.lock().unwrap())))
    });
    let wanted = Arc::clone(&seat);
    world.reservations.expect_hold().returning(move |_| {
        let mut seat = wanted.lock().unwrap();
        if *seat != SeatState::Free {
            let seats = fixtures::seats(&["A-1-1"]);
            return Err(HoldError::Refused(HoldRefusal::SeatUnavailable(seats)));
        }
        let view = view();
        *seat = SeatState::Held { by: view.reservation.id, until: view.reservation.held_until };
        Ok(Made::now(view))
    });
    world.reservations.expect_cancel().returning(move |_| {
        *seat.lock().unwrap() = SeatState::Free;
        let mut view = view();
        view.reservation.state = ReservationState::Cancelled { payment_id: None, idempotency: None };
        Ok(Made::now(view))
    });
    world.waiting_room.expect_keep_until().returning(|_, _, _| Ok(()));
    (world.router(), readings)
}

fn view() -> ReservationView {
    let performance = fixtures::terms();
    ReservationView { reservation: fixtures::held(&performance, &["A-1-1"]), performance }
}

fn hold_by(account: &str, token: &str) -> Ask {
    let body = json!({"performance_id": PERFORMANCE, "seats": ["A-1-1"]});
    post("/v1/reservations", body).signed_in(account).header("queue-token", token)
}

fn cancel() -> Ask {
    post(format!("/v1/reservations/{}/cancel", Uuid::nil()), Value::Null).signed_in("customer")
}

/// How the seat is shown to the holder of this queue token.
async fn shown_to(router: &Router, account: &str, token: &str) -> String {
    let path = format!("/v1/performances/{PERFORMANCE}/seats");
    let ask = get(path).signed_in(account).header("queue-token", token);
    let answer = answer_of(router, ask).await;
    answer.succeeds(StatusCode::OK)["seats"][0]["status"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_account_is_shown_less_than_its_last_response_implied() {
    for kept_for in [Duration::from_millis(500), KEPT_FOR, Duration::from_millis(20), Duration::ZERO] {
        let (router, _) = world_of_one_seat(kept_for);
        // Somebody else looks all the time, and takes whatever there is to be had of it.
        let crowd = router.clone();
        let crowd = tokio::spawn(async move {
            loop {
                shown_to(&crowd, "promoter", "stranger").await;
                tokio::task::yield_now().await;
            }
        });
        for _ in 0..20 {
            shown_to(&router, "customer", "queue").await;
            answer_of(&router, hold_by("customer", "queue")).await.succeeds(StatusCode::CREATED);
            assert_eq!(shown_to(&router, "customer", "queue").await, "held");
            answer_of(&router, hold_by("customer", "queue")).await.refuses(Code::SeatUnavailable);
            assert_eq!(shown_to(&router, "customer", "queue").await, "held");
            answer_of(&router, cancel()).await.succeeds(StatusCode::OK);
            assert_eq!(shown_to(&router, "customer", "queue").await, "available");
        }
        crowd.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_that_was_refused_or_shown_a_newer_map_is_not_shown_the_older_one() {
    let (router, readings) = world_of_one_seat(KEPT_FOR);
    assert_eq!(shown_to(&router, "promoter", "stranger").await, "available");
    hold_by("customer", "queue").send(&router).await.succeeds(StatusCode::CREATED);
    // Nothing was answered to this one, who is shown what is kept.
    advance(Duration::from_millis(1)).await;
    assert_eq!(
        (shown_to(&router, "promoter", "stranger").await.as_str(), readings.load(Ordering::SeqCst)),
        ("available", 1)
    );
    hold_by("promoter", "stranger").send(&router).await.refuses(Code::SeatUnavailable);
    assert_eq!(
        (shown_to(&router, "promoter", "stranger").await.as_str(), readings.load(Ordering::SeqCst)),
        ("held", 2)
    );

    let (router, _) = world_of_one_seat(KEPT_FOR);
    assert_eq!(shown_to(&router, "promoter", "stranger").await, "available");
    hold_by("customer", "queue").send(&router).await.succeeds(StatusCode::CREATED);
    let part = get(format!("/v1/performances/{PERFORMANCE}/seats?status=held"));
    let part = part.signed_in("promoter").header("queue-token", "stranger").send(&router).await;
    assert_eq!(part.succeeds(StatusCode::OK)["seats"][0]["label"], "A-1-1");
    assert_eq!(shown_to(&router, "promoter", "stranger").await, "held");
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_changes_is_not_a_storm_of_renderings() {
    let (router, readings) = world_of_one_seat(KEPT_FOR);
    let began = tokio::time::Instant::now();
    for _ in 0..100 {
        answer_of(&router, hold_by("customer", "queue")).await.succeeds(StatusCode::CREATED);
        let all = tokio::join!(
            shown_to(&router, "customer", "queue"),
            shown_to(&router, "customer", "queue"),
            shown_to(&router, "promoter", "stranger"),
        );
        assert_eq!((all.0.as_str(), all.1.as_str()), ("held", "held"));
        answer_of(&router, cancel()).await.succeeds(StatusCode::OK);
        advance(Duration::from_millis(1)).await;
    }
    let rendered = readings.load(Ordering::SeqCst);
    assert!(rendered as u128 <= began.elapsed().as_millis() / 25 + 1, "{rendered} in {:?}", began.elapsed());
}

#[tokio::test]
async fn a_change_here_is_published_and_one_of_a_peer_ends_what_is_kept() {
    let (peers, readings) = (Arc::new(MemoryPeers::default()), Arc::new(AtomicUsize::new(0)));
    let mut subscription = peers.subscribe();
    let generation = Arc::new(CatalogGeneration::new(peers));
    let world = World::with(|world| {
        world.settings.answers_kept_for = Duration::from_mins(1);
        world.generation = Arc::clone(&generation);
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
    generation.begin();
    assert_eq!(listed().await, 2);
    assert_eq!(subscription.try_next(), None, "what was received is not published");

    let change = |account: &'static str| {
        let ask = post(format!("/v1/concerts/{CONCERT}"), json!({"title": "Other"}));
        ask.method(Method::PATCH).signed_in(account)
    };
    change("customer").send(&router).await.refuses(Code::Forbidden);
    assert_eq!(subscription.try_next(), None, "what was refused has changed nothing");
    change("promoter").send(&router).await.succeeds(StatusCode::OK);
    assert_eq!(subscription.try_next(), Some(Announcement::Published { topic: Topic::Catalog, text: "".into() }));
    assert_eq!(listed().await, 3);
}

#[tokio::test]
async fn an_account_that_a_peer_has_responded_to_is_shown_newer_seats() {
    let readings = Arc::new(AtomicUsize::new(0));
    let marks = Arc::new(FreshnessMarks::new(Duration::from_mins(1)));
    let counted = Arc::clone(&readings);
    let world = World::admitted(|world| {
        world.settings.answers_kept_for = Duration::from_mins(1);
        world.marks = Some(Arc::clone(&marks));
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
    marks.set(CUSTOMER);
    assert_eq!((shown_to("promoter", "stranger").await, shown_to("customer", "queue").await), (1, 2));
    assert_eq!((shown_to("promoter", "stranger").await, shown_to("customer", "queue").await), (2, 2));
}
