//! What each route takes and gives.

use axum::http::{Method, StatusCode};
use boxoffice_domain::{
    ConcertId,
    accounts::{Credentials, PasswordHash, Role, Rotation},
    catalog::{SeatMap, UpdateConcertError},
    fixtures::{self, instant},
    idempotency::Made,
    page::Page,
    payments::{self, PaymentView, Settlement},
    reservations::{self, ReservationView, SeatLabel, SeatState},
    waiting_room::{Joined, QueueStatus, Standing},
    wallet::{EntryKind, Wallet, WalletEntry},
};
use boxoffice_http::Code;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{
    Answer, CONCERT, PERFORMANCE, VENUE, World, account, active, concert, delete, get, performance, place, points,
    post, waiting,
};

/// A reservation of two seats that was held at instant 0.
fn held() -> ReservationView {
    let terms = fixtures::terms();
    let request = fixtures::hold_request(&terms, &["A-1-1", "A-1-2"]);
    let held = reservations::hold(instant(0), &request, Some(&terms), 0, fixtures::seats(&["A-1-1", "A-1-2"])).unwrap();
    ReservationView { reservation: held.reservation, performance: terms }
}

/// Its payment.
fn paid() -> PaymentView {
    let ReservationView { reservation, performance } = held();
    let mut seats = fixtures::seats(&["A-1-1", "A-1-2"]);
    for seat in &mut seats {
        seat.state = reservations::SeatState::Held { by: reservation.id, until: reservation.held_until };
    }
    let mut wallet = Wallet::new(reservation.account_id, instant(0));
    wallet.balance = points(200_000);
    let request = fixtures::settle_request(&reservation);
    let settled = payments::settle(instant(9), &request, Some(reservation), &performance, seats, &wallet).unwrap();
    let reservation = ReservationView { reservation: settled.reservation, performance };
    PaymentView { payment: settled.payment, reservation }
}

#[tokio::test]
async fn signing_up_makes_a_customer() {
    let world = World::with(|world| {
        world.passwords.expect_hash().returning(|_| Ok(PasswordHash(String::new())));
        let customer = |credentials: &Credentials| credentials.account.role == Role::Customer;
        world.accounts.expect_create().withf(customer).returning(|_| Ok(()));
    });
    let body = json!({"login_id": "haneul", "password": "long enough", "name": " Haneul "});
    let answer = world.answer(post("/v1/accounts", body)).await;
    let account = answer.succeeds(StatusCode::CREATED);
    assert_eq!(answer.header("location"), Some("/v1/me"));
    assert_eq!(
        (&account["login_id"], &account["name"], &account["role"]),
        (&json!("haneul"), &json!("Haneul"), &json!("customer"))
    );
    assert_eq!(account["created_at"], "2027-01-15T08:00:00Z");
}

#[tokio::test]
async fn a_session_is_opened_refreshed_and_ended() {
    let mut world = World::new();
    world.accounts.expect_credentials().returning(|_| {
        let password_hash = PasswordHash(String::new());
        Ok(Some(Credentials { account: account(Role::Customer), password_hash, idempotency: None }))
    });
    world.passwords.expect_verify().returning(|_, _| Ok(true));
    world.sessions.expect_open().returning(|_| Ok(()));
    world.sessions.expect_rotate().returning(|_, _, _, _| Ok(Rotation::Rotated(account(Role::Customer))));
    world.sessions.expect_end().returning(|_| Ok(()));
    let router = world.router();
    let sign_in = post("/v1/sessions", json!({"login_id": "haneul", "password": "long enough"}));
    let session = sign_in.send(&router).await.succeeds(StatusCode::CREATED);
    assert_eq!((&session["token_type"], &session["expires_in"]), (&json!("Bearer"), &json!(900)));
    let refresh = post("/v1/sessions/refresh", json!({"refresh_token": session["refresh_token"]}));
    refresh.send(&router).await.succeeds(StatusCode::OK);
    delete("/v1/sessions/current").signed_in("customer").send(&router).await.succeeds(StatusCode::NO_CONTENT);
    delete("/v1/sessions/current").signed_in("customer").send(&router).await.refuses(Code::Unauthenticated);
}

#[tokio::test]
async fn joining_is_201_and_joining_again_200() {
    for (newly, status) in [(true, StatusCode::CREATED), (false, StatusCode::OK)] {
        let world = World::with(|world| {
            world.catalog.expect_concert().returning(|_| Ok(Some(concert(1))));
            let status = QueueStatus { place: place(), standing: waiting(7) };
            world.waiting_room.expect_join().returning(move |_| Ok(Joined { status, newly }));
        });
        let join = post(format!("/v1/concerts/{CONCERT}/queue"), Value::Null).signed_in("customer");
        let expected = json!({
            "token": "queue", "concert_id": CONCERT, "status": "waiting", "position": 7,
            "estimated_wait_seconds": 12, "poll_after_seconds": 2, "joined_at": "2027-01-15T07:59:00Z",
            "active_until": null,
        });
        assert_eq!(world.answer(join).await.succeeds(status), expected);
    }
}

#[tokio::test]
async fn the_queue_tells_also_that_a_token_is_active_or_expired() {
    let status = |standing| World::standing(standing).answer(get("/v1/queue").queued("queue"));
    let admitted = status(active()).await.succeeds(StatusCode::OK);
    assert_eq!((&admitted["status"], &admitted["position"]), (&json!("active"), &json!(0)));
    assert_eq!(admitted["active_until"], "2027-01-15T08:10:00Z");
    let over = status(Standing::Expired).await.succeeds(StatusCode::OK);
    assert_eq!((&over["status"], &over["position"]), (&json!("expired"), &json!(0)));
    assert_eq!((&over["poll_after_seconds"], &over["active_until"]), (&Value::Null, &Value::Null));
    let mut world = World::standing(active());
    world.waiting_room.expect_leave().times(1).returning(|_| Ok(()));
    world.answer(delete("/v1/queue").queued("queue")).await.succeeds(StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn concerts_are_listed_page_by_page() {
    let mut world = World::new();
    world.catalog.expect_concerts().returning(|bookable_at, page| {
        assert_eq!(bookable_at, Some(instant(0)));
        let next = page.after.is_none().then_some(ConcertId::new(CONCERT));
        assert_eq!(page.limit, if page.after.is_none() { 1 } else { 20 });
        Ok(Page { items: vec![concert(1)], next })
    });
    let router = world.router();
    let first = get("/v1/concerts?bookable=true&limit=1").send(&router).await.succeeds(StatusCode::OK);
    assert_eq!(first["items"][0]["bookable"], true);
    let cursor = first["next_cursor"].as_str().unwrap();
    let last = get(format!("/v1/concerts?bookable=true&cursor={cursor}")).send(&router).await;
    assert_eq!(last.succeeds(StatusCode::OK)["next_cursor"], Value::Null);
}

#[tokio::test]
async fn a_client_that_has_the_current_answer_gets_a_304() {
    let mut world = World::admitted(|_| {});
    world.catalog.expect_concert().returning(|_| Ok(Some(concert(3))));
    world.catalog.expect_concerts().returning(|_, _| Ok(Page { items: vec![concert(3)], next: None }));
    world.catalog.expect_performance().returning(|_| Ok(Some(performance())));
    world.catalog.expect_performances().returning(|_, _, _| Ok(Page { items: vec![performance()], next: None }));
    world.catalog.expect_seats().returning(|_| Ok(Some(seat_map())));
    let router = world.router();
    let paths = [
        ("/v1/concerts".to_owned(), "no-cache"),
        (format!("/v1/concerts/{CONCERT}"), "no-cache"),
        (format!("/v1/concerts/{CONCERT}/performances"), "private, no-cache"),
        (format!("/v1/performances/{PERFORMANCE}"), "private, no-cache"),
        (format!("/v1/performances/{PERFORMANCE}/seats"), "private, no-cache"),
    ];
    for (path, caching) in paths {
        let first = get(&path).queued("queue").send(&router).await;
        first.succeeds(StatusCode::OK);
        assert_eq!(first.header("cache-control"), Some(caching));
        let tag = first.header("etag").unwrap().to_owned();
        for condition in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            let again = get(&path).queued("queue").header("if-none-match", condition).send(&router).await;
            assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0), "{path}");
            assert_eq!(again.header("etag"), Some(tag.as_str()));
        }
        let other = get(&path).queued("queue").header("if-none-match", "\"x\"").send(&router).await;
        other.succeeds(StatusCode::OK);
    }
}

fn seat_map() -> SeatMap {
    let by = boxoffice_domain::ReservationId::new(uuid::Uuid::from_u128(0xD0));
    let seats = [
        ("A-1-1", SeatState::Free),
        ("A-1-2", SeatState::Held { by, until: instant(300) }),
        ("B-1-1", SeatState::Free),
        ("B-1-2", SeatState::Sold { to: by }),
    ];
    let labels = std::sync::Arc::new(seats.iter().map(|(label, _)| SeatLabel::new(label).unwrap()).collect());
    let states: Vec<_> = seats.iter().map(|(_, state)| *state).collect();
    let id = boxoffice_domain::PerformanceId::new(PERFORMANCE);
    SeatMap::at(instant(0), id, labels, [points(55_000); 4].into(), &states)
}

#[tokio::test]
async fn seats_are_filtered_and_their_totals_are_not() {
    let mut world = World::admitted(|_| {});
    world.catalog.expect_seats().returning(|_| Ok(Some(seat_map())));
    let router = world.router();
    let path = format!("/v1/performances/{PERFORMANCE}/seats");
    for (query, labels) in [
        ("", vec!["A-1-1", "A-1-2", "B-1-1", "B-1-2"]),
        ("?status=available", vec!["A-1-1", "B-1-1"]),
        ("?section=B", vec!["B-1-1", "B-1-2"]),
        ("?section=A&status=held", vec!["A-1-2"]),
        ("?section=none", vec![]),
    ] {
        let map = get(format!("{path}{query}")).queued("queue").send(&router).await.succeeds(StatusCode::OK);
        let shown: Vec<_> =
            map["seats"].as_array().unwrap().iter().map(|seat| seat["label"].as_str().unwrap()).collect();
        assert_eq!(shown, labels, "{query}");
        assert_eq!((&map["seats_total"], &map["seats_available"]), (&json!(4), &json!(2)));
    }
    get(format!("{path}?status=lost")).queued("queue").send(&router).await.refuses(Code::MalformedRequest);
}

#[tokio::test]
async fn a_venue_is_checked_to_its_last_row() {
    let publish = |sections: Value| {
        let body = json!({"name": "Hall", "location": "Seoul", "sections": sections});
        World::new().answer(post("/v1/venues", body).signed_in("promoter"))
    };
    let row = |name: &str, seats: i64| json!({"name": name, "seats": seats});
    let cases = [
        (json!([]), "/sections", "sections_empty"),
        (json!([{"name": "A", "rows": []}]), "/sections/0/rows", "rows_empty"),
        (json!([{"name": "A", "rows": [row("1", 2), row("2", 0)]}]), "/sections/0/rows/1/seats", "range"),
        (json!([{"name": "A", "rows": [row("1", 2), row("1", 2)]}]), "/sections/0/rows/1/name", "row_repeated"),
        (json!([{"name": "A-B", "rows": [row("1", 2)]}]), "/sections/0/name", "text_forbidden_character"),
        (
            json!([{"name": "A", "rows": [row("1", 2)]}, {"name": "A", "rows": [row("1", 2)]}]),
            "/sections/1/name",
            "section_repeated",
        ),
        (json!([{"name": "A", "rows": [row("1", 200_000), row("2", 1)]}]), "/sections", "venue_too_large"),
        (json!([{"name": "A", "rows": [{"name": "1", "seats": "2"}]}]), "/sections/0/rows/0/seats", "wrong_type"),
        (json!([{"name": "A", "rows": [{"name": "1"}]}]), "/sections/0/rows/0/seats", "missing_field"),
        (json!([{"name": "A", "rows": [{"name": "1", "seats": 1, "x": 1}]}]), "/sections/0/rows/0/x", "unknown_field"),
    ];
    for (sections, pointer, code) in cases {
        assert_eq!(publish(sections).await.violations(), [(pointer.to_owned(), code.to_owned())]);
    }
    let mut world = World::new();
    world.catalog.expect_publish_venue().returning(|_, venue, _| Ok(Made::now(venue)));
    let sections = json!([{"name": "A", "rows": [row("1", 2), row("2", 3)]}]);
    let body = json!({"name": "Hall", "location": "Seoul", "sections": sections});
    let venue = world.answer(post("/v1/venues", body).signed_in("promoter")).await.succeeds(StatusCode::CREATED);
    assert_eq!((&venue["capacity"], &venue["sections"]), (&json!(5), &sections));
}

#[tokio::test]
async fn a_concert_is_published_with_the_defaults() {
    let mut world = World::new();
    world.catalog.expect_publish_concert().returning(|concert, _| Ok(Made::now(concert)));
    let router = world.router();
    let body = json!({
        "title": "Night", "artist": "Band", "sales_open_at": "2027-01-01T09:00:00+09:00",
        "sales_close_at": "2027-02-01T00:00:00.123456789Z",
    });
    let answer = post("/v1/concerts", body.clone()).signed_in("promoter").send(&router).await;
    let concert = answer.succeeds(StatusCode::CREATED);
    assert_eq!((&concert["max_seats_per_account"], &concert["max_active"]), (&json!(4), &json!(500)));
    assert_eq!((&concert["bookable"], &concert["performances_count"]), (&json!(false), &json!(0)));
    assert_eq!(concert["sales_open_at"], "2027-01-01T00:00:00Z");
    assert_eq!(concert["sales_close_at"], "2027-02-01T00:00:00.123456Z");
    assert_eq!(answer.header("location"), Some(format!("/v1/concerts/{}", concert["id"].as_str().unwrap()).as_str()));
    assert!(answer.header("etag").unwrap().starts_with("\"1-"));

    for (field, value, code) in [
        ("sales_close_at", json!("2026-01-01T00:00:00Z"), "sales_window"),
        ("sales_close_at", json!("tomorrow"), "wrong_format"),
        ("sales_open_at", json!("0001-01-01T00:00:00Z"), "timestamp_range"),
        ("max_seats_per_account", json!(0), "range"),
        ("max_active", json!(1_000_001), "range"),
        ("max_active", json!(null), "wrong_type"),
        ("description", json!("x".repeat(4_001)), "text_too_long"),
    ] {
        let mut body = body.clone();
        body[field] = value;
        let answer = post("/v1/concerts", body).signed_in("promoter").send(&router).await;
        assert_eq!(answer.violations(), [(format!("/{field}"), code.to_owned())]);
    }
}

async fn change(version: u32, if_match: Option<&str>, body: Value) -> Answer {
    let world = World::with(|world| {
        world.catalog.expect_concert().returning(move |_| Ok(Some(concert(version))));
        world.catalog.expect_update_concert().returning(move |concert| {
            if concert.version == version + 1 { Ok(()) } else { Err(UpdateConcertError::VersionMismatch) }
        });
        world.waiting_room.expect_set_terms().returning(|_, _| Ok(()));
    });
    let ask = post(format!("/v1/concerts/{CONCERT}"), body).method(Method::PATCH).signed_in("promoter");
    let ask = match if_match {
        Some(tags) => ask.header("if-match", tags),
        None => ask,
    };
    world.answer(ask).await
}

#[tokio::test]
async fn a_concert_is_changed_at_the_version_that_the_promoter_saw() {
    let world = World::with(|world| {
        world.catalog.expect_concert().returning(|_| Ok(Some(concert(3))));
    });
    let seen = world.answer(get(format!("/v1/concerts/{CONCERT}"))).await;
    let seen = seen.header("etag").unwrap().to_owned();
    assert!(seen.starts_with("\"3-"));
    let title = || json!({"title": "Other"});
    for allowed in [None, Some(seen.as_str()), Some("*"), Some("\"2-x\", \"3-y\"")] {
        let answer = change(3, allowed, title()).await;
        assert_eq!(answer.succeeds(StatusCode::OK)["title"], "Other", "{allowed:?}");
        assert!(answer.header("etag").unwrap().starts_with("\"4-"));
    }
    for refused in ["\"2-x\"", "W/\"3-x\"", "\"x\"", "\"1-x\", \"2-x\""] {
        change(3, Some(refused), title()).await.refuses(Code::PreconditionFailed);
    }
    let answer = change(3, None, json!({"title": null})).await;
    assert_eq!(answer.violations(), [("/title".to_owned(), "wrong_type".to_owned())]);
    let answer = change(3, None, json!({"max_active": 9, "description": "a\nb"})).await.succeeds(StatusCode::OK);
    assert_eq!((&answer["max_active"], &answer["description"]), (&json!(9), &json!("a\nb")));
    assert_eq!(answer["title"], "Night of Songs");
}

#[tokio::test]
async fn a_performance_is_published_with_a_price_for_each_section() {
    let plan = || {
        let part = |text| boxoffice_domain::catalog::PartName::new(text).unwrap();
        let rows = vec![boxoffice_domain::catalog::Row { name: part("1"), seats: 3 }];
        let sections = vec![boxoffice_domain::catalog::Section { name: part("A"), rows }];
        boxoffice_domain::catalog::SeatingPlan::new(sections).unwrap()
    };
    let mut world = World::with(|world| {
        world.catalog.expect_concert().returning(|_| Ok(Some(concert(3))));
    });
    world.catalog.expect_venue().returning(move |id| {
        let (name, location) = (crate::world::name("Hall"), crate::world::name("Seoul"));
        Ok(Some(boxoffice_domain::catalog::Venue { id, name, location, plan: plan(), created_at: instant(0) }))
    });
    world.catalog.expect_publish_performance().returning(|_, _, _| Ok(Made::now(performance())));
    let router = world.router();
    let publish = |prices: Value| {
        let body = json!({"venue_id": VENUE, "starts_at": "2027-03-01T10:00:00Z", "prices": prices});
        post(format!("/v1/concerts/{CONCERT}/performances"), body).signed_in("promoter")
    };
    let answer = publish(json!([{"section": "A", "price": 5}])).send(&router).await;
    answer.succeeds(StatusCode::CREATED);
    assert_eq!(answer.header("location"), Some(format!("/v1/performances/{PERFORMANCE}").as_str()));
    for (prices, pointer, code) in [
        (json!([]), "/prices", "section_missing"),
        (json!([{"section": "B", "price": 5}]), "/prices/0/section", "section_unknown"),
        (json!([{"section": "A", "price": 5}, {"section": "A", "price": 5}]), "/prices/1/section", "section_repeated"),
        (json!([{"section": "A", "price": 100_000_001}]), "/prices/0/price", "range"),
        (json!([{"section": "A", "price": -1}]), "/prices/0/price", "range"),
    ] {
        assert_eq!(publish(prices).send(&router).await.violations(), [(pointer.to_owned(), code.to_owned())]);
    }
}

#[tokio::test]
async fn sales_are_the_promoters_to_see() {
    let mut world = World::admitted(|_| {});
    world.catalog.expect_concert().returning(|_| Ok(Some(concert(1))));
    let sales = boxoffice_domain::catalog::Sales { available: 1, held: 2, sold: 3, revenue: points(165_000) };
    world.catalog.expect_sales().returning(move |_| Ok(Some(sales)));
    let answer = world.answer(get(format!("/v1/performances/{PERFORMANCE}/sales")).signed_in("promoter")).await;
    let expected = json!({"available": 1, "held": 2, "sold": 3, "revenue": 165_000});
    assert_eq!(answer.succeeds(StatusCode::OK), expected);
}

#[tokio::test]
async fn seats_are_held() {
    let mut world = World::admitted(|_| {});
    world.reservations.expect_hold().returning(|_| Ok(Made::now(held())));
    world.waiting_room.expect_keep_until().returning(|_, _, _| Ok(()));
    let ask = post("/v1/reservations", json!({"performance_id": PERFORMANCE, "seats": ["A-1-1", "A-1-2"]}));
    let answer = world.answer(ask.queued("queue")).await;
    let reservation = answer.succeeds(StatusCode::CREATED);
    let location = format!("/v1/reservations/{}", reservation["id"].as_str().unwrap());
    assert_eq!(answer.header("location"), Some(location.as_str()));
    assert_eq!((&reservation["status"], &reservation["total_amount"]), (&json!("held"), &json!(110_000)));
    assert_eq!(reservation["held_until"], "2027-01-15T08:05:00Z");
    assert_eq!(reservation["seats"][1], json!({"label": "A-1-2", "price": 55_000}));
}

#[tokio::test]
async fn a_repeated_hold_gets_the_first_answer_though_it_has_lapsed() {
    let mut world = World::admitted(|_| {});
    world.reservations.expect_hold().returning(|_| {
        let mut view = held();
        // It was held an hour before the clock of this world.
        let earlier = |at: boxoffice_domain::Timestamp| at - chrono::TimeDelta::hours(1);
        view.reservation.created_at = earlier(view.reservation.created_at);
        view.reservation.held_until = earlier(view.reservation.held_until);
        view.reservation.state = reservations::ReservationState::Held { until: view.reservation.held_until };
        Ok(Made::before(view))
    });
    world.reservations.expect_held_until().returning(|_, _| Ok(None));
    let ask = post("/v1/reservations", json!({"performance_id": PERFORMANCE, "seats": ["A-1-1", "A-1-2"]}));
    let answer = world.answer(ask.queued("queue").key("k")).await;
    let reservation = answer.succeeds(StatusCode::CREATED);
    assert_eq!(answer.header("idempotency-replayed"), Some("true"));
    assert_eq!((&reservation["status"], &reservation["held_until"]), (&json!("held"), &json!("2027-01-15T07:05:00Z")));
}

#[tokio::test]
async fn a_selection_of_seats_is_checked() {
    let hold = |seats: Value| {
        let body = json!({"performance_id": PERFORMANCE, "seats": seats});
        World::new().answer(post("/v1/reservations", body).queued("queue"))
    };
    let violation = |pointer: &str, code: &str| vec![(pointer.to_owned(), code.to_owned())];
    assert_eq!(hold(json!([])).await.violations(), violation("/seats", "seats_empty"));
    assert_eq!(hold(json!(["A-1-1", "A-1-2", "A-1-1"])).await.violations(), violation("/seats/2", "seat_repeated"));
    assert_eq!(hold(json!(["A-1-1", "A1"])).await.violations(), violation("/seats/1", "seat_label"));
    assert_eq!(hold(json!(["A-1-1", 7])).await.violations(), violation("/seats/1", "wrong_type"));
    let body = json!({"performance_id": "7", "seats": ["A-1-1"]});
    let answer = World::new().answer(post("/v1/reservations", body).queued("queue")).await;
    assert_eq!(answer.violations(), violation("/performance_id", "wrong_format"));
}

#[tokio::test]
async fn reservations_are_listed_found_and_cancelled() {
    let mut world = World::new();
    world.reservations.expect_list().returning(|_, status, _| {
        assert_eq!(status, Some(reservations::ReservationStatus::Held));
        Ok(Page { items: vec![held()], next: None })
    });
    world.reservations.expect_find().returning(|_, _| Ok(Some(held())));
    world.reservations.expect_cancel().returning(|_| {
        let mut view = held();
        view.reservation.state = reservations::ReservationState::Cancelled { payment_id: None };
        Ok(Made::now(view))
    });
    let router = world.router();
    let list = get("/v1/reservations?status=held").signed_in("customer").send(&router).await;
    assert_eq!(list.succeeds(StatusCode::OK)["items"][0]["status"], "held");
    get("/v1/reservations?status=gone").signed_in("customer").send(&router).await.refuses(Code::MalformedRequest);
    let path = format!("/v1/reservations/{}", Uuid::nil());
    get(&path).signed_in("customer").send(&router).await.succeeds(StatusCode::OK);
    let cancelled = post(format!("{path}/cancel"), Value::Null).signed_in("customer").send(&router).await;
    let cancelled = cancelled.succeeds(StatusCode::OK);
    assert_eq!((&cancelled["status"], &cancelled["held_until"]), (&json!("cancelled"), &Value::Null));
}

#[tokio::test]
async fn a_reservation_is_paid() {
    let mut world = World::admitted(|_| {});
    world.payments.expect_settle().returning(|_| {
        let view = paid();
        Ok(Made::now(Settlement { view, other_held_until: None }))
    });
    world.waiting_room.expect_spend().returning(|_, _| Ok(()));
    world.payments.expect_list().returning(|_, _| Ok(Page { items: vec![paid()], next: None }));
    world.payments.expect_find().returning(|_, _| Ok(Some(paid())));
    let router = world.router();
    let pay = post("/v1/payments", json!({"reservation_id": Uuid::nil()})).queued("queue").key("k");
    let answer = pay.send(&router).await;
    let payment = answer.succeeds(StatusCode::CREATED);
    assert_eq!((&payment["amount"], &payment["balance_after"]), (&json!(110_000), &json!(90_000)));
    assert_eq!((&payment["status"], &payment["refunded_at"]), (&json!("completed"), &Value::Null));
    assert_eq!(payment["reservation"]["status"], "confirmed");
    assert_eq!(payment["reservation"]["payment_id"], payment["id"]);
    let location = format!("/v1/payments/{}", payment["id"].as_str().unwrap());
    assert_eq!(answer.header("location"), Some(location.as_str()));
    get("/v1/payments").signed_in("customer").send(&router).await.succeeds(StatusCode::OK);
    get(location).signed_in("customer").send(&router).await.succeeds(StatusCode::OK);
}

#[tokio::test]
async fn a_wallet_has_a_balance_and_a_history() {
    let mut world = World::new();
    world.wallets.expect_find().returning(|account_id| {
        let mut wallet = Wallet::new(account_id, instant(0));
        wallet.balance = points(7);
        Ok(Some(wallet))
    });
    world.wallets.expect_entries().returning(|account_id, page| {
        let entry = |sequence, amount, kind| WalletEntry {
            account_id,
            sequence,
            kind,
            amount,
            balance_after: points(7),
            created_at: instant(0),
        };
        let charge = EntryKind::Charge { charge_id: boxoffice_domain::ChargeId::new(CONCERT) };
        let refund = EntryKind::Refund { reservation_id: boxoffice_domain::ReservationId::new(CONCERT) };
        assert_eq!(page.after, if page.limit == 2 { None } else { Some(4) });
        Ok(Page { items: vec![entry(5, 3, refund), entry(4, 4, charge)], next: Some(4) })
    });
    let router = world.router();
    let wallet = get("/v1/wallet").signed_in("customer").send(&router).await.succeeds(StatusCode::OK);
    assert_eq!(wallet, json!({"balance": 7, "updated_at": "2027-01-15T08:00:00Z"}));
    let entries = get("/v1/wallet/entries?limit=2").signed_in("customer").send(&router).await.succeeds(StatusCode::OK);
    let [refund, charge] = [&entries["items"][0], &entries["items"][1]];
    assert_eq!(
        (&refund["kind"], &refund["reservation_id"], &refund["charge_id"]),
        (&json!("refund"), &json!(CONCERT), &Value::Null)
    );
    assert_eq!((&charge["kind"], &charge["charge_id"]), (&json!("charge"), &json!(CONCERT)));
    assert_ne!(refund["id"], charge["id"]);
    let again = get(format!("/v1/wallet/entries?limit=3&cursor={}", entries["next_cursor"].as_str().unwrap()));
    assert_eq!(
        again.signed_in("customer").send(&router).await.succeeds(StatusCode::OK)["items"][0]["id"],
        refund["id"]
    );
}

#[tokio::test]
async fn a_charge_has_its_bounds() {
    for amount in [0, -1, 10_000_001] {
        let ask = post("/v1/wallet/charges", json!({ "amount": amount })).signed_in("customer").key("k");
        let answer = World::new().answer(ask).await;
        assert_eq!(answer.violations(), [("/amount".to_owned(), "range".to_owned())]);
    }
    let ask = post("/v1/wallet/charges", json!({"amount": 1.5})).signed_in("customer").key("k");
    assert_eq!(World::new().answer(ask).await.violations(), [("/amount".to_owned(), "wrong_type".to_owned())]);
}
