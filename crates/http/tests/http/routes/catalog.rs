//! Publishing venues, concerts and performances, and reading them.

use axum::http::StatusCode;
use boxoffice_domain::{catalog::SalesWindow, fixtures::instant, waiting_room::Draw};
use boxoffice_http::Code;
use serde_json::{Value, json};

use crate::world::{Answer, World, get, patch, post};

#[tokio::test]
async fn concerts_are_listed_page_by_page_while_they_are_bookable() {
    let world = World::new().await;
    let router = world.router();
    let other = world.stage.show().await.concert.id.uuid();
    let first = get("/v1/concerts?bookable=true&limit=1").send(&router).await.succeeds(StatusCode::OK);
    assert_eq!(first["items"][0]["id"], json!(world.show.concert.id.uuid()));
    assert_eq!(first["items"][0]["bookable"], true);
    let cursor = first["next_cursor"].as_str().unwrap();
    let last = get(format!("/v1/concerts?bookable=true&cursor={cursor}")).send(&router).await.succeeds(StatusCode::OK);
    assert_eq!((&last["items"][0]["id"], &last["next_cursor"]), (&json!(other), &Value::Null));
    world.stage.clock.set(world.show.concert.sales.close_at());
    let bookable = get("/v1/concerts?bookable=true").send(&router).await.succeeds(StatusCode::OK);
    assert_eq!(bookable["items"], json!([]));
}

#[tokio::test]
async fn seats_are_filtered_and_their_totals_are_not() {
    let world = World::new().await;
    let (router, token) = (world.router(), world.token().await);
    world.stage.holds(&world.show, world.stranger, &["A-1-2"]).await;
    let sold = world.stage.holds(&world.show, world.customer, &["B-1-2"]).await;
    world.stage.pays(&sold).await;
    let path = world.seats_path();
    for (query, count, first) in [
        ("", 50, Some("A-1-1")),
        ("?status=available", 48, Some("A-1-1")),
        ("?status=sold", 1, Some("B-1-2")),
        ("?section=B", 20, Some("B-1-1")),
        ("?section=A&status=held", 1, Some("A-1-2")),
        ("?section=none", 0, None),
    ] {
        let map = get(format!("{path}{query}")).queued(&token).send(&router).await.succeeds(StatusCode::OK);
        assert_eq!((map["seats"].as_array().unwrap().len(), map["seats"][0]["label"].as_str()), (count, first));
        assert_eq!((&map["seats_total"], &map["seats_available"]), (&json!(50), &json!(48)));
    }
    get(format!("{path}?status=lost")).queued(&token).send(&router).await.refuses(Code::MalformedRequest);
}

#[tokio::test]
async fn performances_are_listed_by_whether_a_seat_can_be_had() {
    let mut world = World::new().await;
    world.change_concert(|concert| concert.max_seats_per_account = 100).await;
    let rich = world.stage.account_with(1_000_000).await;
    let token = world.token().await;
    let lists = async |available: bool| {
        for (query, listed) in [("", true), ("?available=true", available), ("?available=false", !available)] {
            let path = format!("{}/performances{query}", world.concert_path());
            let page = world.answer(get(path).queued(&token)).await.succeeds(StatusCode::OK);
            assert_eq!(page["items"].as_array().unwrap().len(), usize::from(listed), "{query}");
        }
    };
    lists(true).await;
    world.stage.hold(world.show.hold_request_for(rich, world.show.labels())).await.unwrap();
    lists(false).await;
}

#[tokio::test]
async fn a_concert_shows_whether_its_seats_can_be_had() {
    let mut world = World::new().await;
    world.change_concert(|concert| concert.max_seats_per_account = 100).await;
    let shows = async |availability: &str, bookable: bool| {
        let shown = world.answer(get(world.concert_path())).await.succeeds(StatusCode::OK);
        assert_eq!((&shown["availability"], &shown["bookable"]), (&json!(availability), &json!(bookable)));
        let listed = world.answer(get("/v1/concerts")).await.succeeds(StatusCode::OK);
        for (field, value) in listed["items"][0].as_object().unwrap() {
            assert_eq!(&shown[field], value, "{field}");
        }
        for filter in [true, false] {
            let found = world.answer(get(format!("/v1/concerts?bookable={filter}"))).await.succeeds(StatusCode::OK);
            assert_eq!(found["items"].as_array().unwrap().len(), usize::from(filter == bookable), "{filter}");
        }
    };
    let hold = async |account_id, from: usize, to: usize| {
        let request = world.show.hold_request_for(account_id, world.show.labels()[from..to].to_vec());
        world.stage.hold(request).await.unwrap().value.reservation
    };
    let rich = world.stage.account_with(1_000_000).await;
    shows("available", true).await;
    let most = hold(rich, 0, 47).await;
    shows("available", true).await;
    let one = hold(rich, 47, 48).await;
    shows("few", true).await;
    let last = hold(rich, 48, 50).await;
    shows("held", true).await;
    for reservation in [&most, &one, &last] {
        world.stage.pays(reservation).await;
    }
    shows("sold_out", false).await;
    world.stage.cancels(&one).await;
    shows("few", true).await;
    let sales = world.show.concert.sales;
    world.stage.clock.set(sales.close_at());
    shows("closed", false).await;
    world.stage.clock.set(sales.open_at() - chrono::TimeDelta::seconds(1));
    shows("not_yet", false).await;
}

/// Before the opening, after the close and while the queue is paused.
#[tokio::test]
async fn the_promoter_of_a_concert_sees_its_performances_seats_and_sales_without_a_queue_token() {
    let mut world = World::new().await;
    world.change_concert(|concert| concert.paused = true).await;
    let sales = world.show.concert.sales;
    let performances = format!("{}/performances", world.concert_path());
    let looks = [performances, world.performance_path(), world.seats_path()];
    for now in [sales.open_at() - chrono::TimeDelta::seconds(1), instant(0), sales.close_at()] {
        world.stage.clock.set(now);
        for path in &looks {
            let seen = world.answer(get(path).signed_in("promoter")).await.succeeds(StatusCode::OK);
            assert!(seen.is_object(), "{path}");
            world.answer(get(path).signed_in("customer")).await.refuses(Code::QueueTokenMissing);
        }
        let path = format!("{}/sales", world.performance_path());
        world.answer(get(path).signed_in("promoter")).await.succeeds(StatusCode::OK);
    }
    // A forged token is refused also to staff.
    let forged = get(world.seats_path()).signed_in("promoter").header("queue-token", "forged");
    world.answer(forged).await.refuses(Code::QueueTokenInvalid);
    world.change_concert(|concert| concert.promoter_id = None).await;
    for path in &looks {
        world.answer(get(path).signed_in("promoter")).await.refuses(Code::QueueTokenMissing);
    }
}

#[tokio::test]
async fn a_venue_is_checked_to_its_last_row() {
    let router = World::new().await.router();
    let publish = async |sections: Value| {
        let body = json!({"name": "Hall", "location": "Seoul", "sections": sections});
        post("/v1/venues", body).signed_in("promoter").send(&router).await
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
        publish(sections).await.violates(pointer, code);
    }
    let sections = json!([{"name": "A", "rows": [row("1", 2), row("2", 3)]}]);
    let venue = publish(sections.clone()).await.succeeds(StatusCode::CREATED);
    assert_eq!((&venue["capacity"], &venue["sections"]), (&json!(5), &sections));
}

#[tokio::test]
async fn a_venue_is_in_a_time_zone() {
    let router = World::new().await.router();
    let publish = async |zone: Value| {
        let sections = json!([{"name": "A", "rows": [{"name": "1", "seats": 2}]}]);
        let mut body = json!({"name": "Hall", "location": "Seoul", "sections": sections, "time_zone": zone});
        if zone == json!("absent") {
            body.as_object_mut().unwrap().remove("time_zone");
        }
        post("/v1/venues", body).signed_in("promoter").send(&router).await
    };
    for (given, stored) in [("absent", "Asia/Seoul"), ("europe/berlin", "Europe/Berlin")] {
        assert_eq!(publish(json!(given)).await.succeeds(StatusCode::CREATED)["time_zone"], stored);
    }
    publish(json!("Mars/Phobos")).await.violates("/time_zone", "time_zone_unknown");
    publish(Value::Null).await.violates("/time_zone", "wrong_type");
}

#[tokio::test]
async fn a_venue_has_a_layout() {
    let router = World::new().await.router();
    let publish = async |layout: Value| {
        let sections = json!([{"name": "A", "rows": [{"name": "1", "seats": 2}]}]);
        let body = json!({"name": "Hall", "location": "Seoul", "sections": sections, "layout": layout});
        post("/v1/venues", body).signed_in("promoter").send(&router).await
    };
    let place = json!({"section": "A", "x": -1.25, "y": 0.0, "angle": 12.5, "curvature": 0.05});
    let stage = json!({"x": -2.5, "y": -4.0, "width": 5.0, "depth": 3.0});
    let marks = json!([{"seat": "A-1-2", "mark": "restricted_view"}]);
    let layout = json!({"stage": stage, "sections": [place], "marks": marks});
    let venue = publish(layout.clone()).await.succeeds(StatusCode::CREATED);
    assert_eq!(venue["layout"], layout);
    let path = format!("/v1/venues/{}", venue["id"].as_str().unwrap());
    assert_eq!(get(&path).send(&router).await.succeeds(StatusCode::OK), venue);
    let unknown = get("/v1/venues/00000000-0000-0000-0000-000000000000").send(&router).await;
    unknown.refuses(Code::VenueNotFound);

    let place_with = |name: &str, value: Value| {
        let mut place = place.clone();
        place[name] = value;
        json!({"sections": [place]})
    };
    for (layout, pointer, code) in [
        (json!({"stage": {"x": 0, "y": 0, "width": 0, "depth": 1}}), "/layout/stage/width", "range"),
        (json!({"stage": {"x": 0, "y": 0, "width": 1}}), "/layout/stage/depth", "missing_field"),
        (place_with("angle", json!(361)), "/layout/sections/0/angle", "range"),
        (place_with("x", json!("0")), "/layout/sections/0/x", "wrong_type"),
        (place_with("section", json!("B")), "/layout/sections/0/section", "section_unknown"),
        (place_with("section", json!("")), "/layout/sections/0/section", "text_empty"),
        (json!({"sections": [place, place]}), "/layout/sections/1/section", "section_repeated"),
        (json!({"marks": [{"seat": "A-1-3", "mark": "companion"}]}), "/layout/marks/0/seat", "seat_unknown"),
        (json!({"marks": [{"seat": "A", "mark": "companion"}]}), "/layout/marks/0/seat", "seat_label"),
        (json!({"marks": [{"seat": "A-1-1", "mark": "best"}]}), "/layout/marks/0/mark", "mark_unknown"),
        (json!({"marks": [marks[0], marks[0]]}), "/layout/marks/1/seat", "seat_repeated"),
    ] {
        publish(layout).await.violates(pointer, code);
    }
}

#[tokio::test]
async fn those_who_publish_have_lists_of_venues_and_of_own_concerts() {
    let router = World::new().await.router();
    for path in ["/v1/venues", "/v1/me/concerts"] {
        get(path).signed_in("customer").send(&router).await.refuses(Code::Forbidden);
    }
    let listed = async |path: &str| get(path).signed_in("promoter").send(&router).await.succeeds(StatusCode::OK);
    let (venues, concerts) = (listed("/v1/venues").await, listed("/v1/me/concerts").await);
    assert_eq!(venues["items"][0]["time_zone"], "Asia/Seoul");
    let concert = &concerts["items"][0];
    assert_eq!((&concert["paused"], &concert["time_zone"]), (&json!(false), &json!("Asia/Seoul")));
    assert!(concert["max_active"].is_u64() && concert["title"].is_string());
}

#[tokio::test]
async fn a_concert_is_published_with_the_defaults() {
    let router = World::new().await.router();
    let publish = async |body: Value| post("/v1/concerts", body).signed_in("promoter").send(&router).await;
    let body = json!({
        "title": "Night", "artist": "Band", "sales_open_at": "2027-01-01T09:00:00+09:00",
        "sales_close_at": "2027-02-01T00:00:00.123456000Z",
    });
    let answer = publish(body.clone()).await;
    let concert = answer.succeeds(StatusCode::CREATED);
    assert_eq!((&concert["max_seats_per_account"], &concert["max_active"]), (&json!(4), &json!(500)));
    assert_eq!((&concert["bookable"], &concert["performances_count"]), (&json!(false), &json!(0)));
    assert_eq!(concert["availability"], "not_yet");
    assert_eq!(concert["sales_open_at"], "2027-01-01T00:00:00Z");
    assert_eq!(concert["sales_close_at"], "2027-02-01T00:00:00.123456Z");
    assert_eq!(concert["draw"], Value::Null);
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
        publish(body).await.violates(&format!("/{field}"), code);
    }
}

async fn change(world: &World, if_match: Option<&str>, body: Value) -> Answer {
    let ask = patch(world.concert_path(), body).signed_in("promoter");
    let ask = match if_match {
        Some(tags) => ask.header("if-match", tags),
        None => ask,
    };
    world.answer(ask).await
}

#[tokio::test]
async fn a_concert_is_changed_at_the_version_that_the_promoter_saw() {
    let mut world = World::new().await;
    for _ in 0..2 {
        world.change_concert(|_| {}).await;
    }
    let seen = world.answer(get(world.concert_path())).await.header("etag").unwrap().to_owned();
    assert!(seen.starts_with("\"3-"));
    for (version, allowed) in (4..).zip([Some(seen.as_str()), None, Some("*"), Some("\"4-x\", \"6-d_-e\"")]) {
        let title = format!("Other {version}");
        let answer = change(&world, allowed, json!({ "title": title })).await;
        assert_eq!(answer.succeeds(StatusCode::OK)["title"], title, "{allowed:?}");
        assert!(answer.header("etag").unwrap().starts_with(&format!("\"{version}-")));
    }
    for refused in ["\"6-x\"", "W/\"7-x\"", "7", "\"x\"", "\"5-x\", \"6-x\""] {
        change(&world, Some(refused), json!({"title": "Other"})).await.refuses(Code::PreconditionFailed);
    }
    change(&world, None, json!({"title": null})).await.violates("/title", "wrong_type");
    let body = json!({"max_active": 9, "description": "a\nb"});
    let answer = change(&world, None, body).await.succeeds(StatusCode::OK);
    assert_eq!((&answer["max_active"], &answer["description"]), (&json!(9), &json!("a\nb")));
    assert_eq!(answer["title"], "Other 7");
}

#[tokio::test]
async fn a_performance_is_published_with_a_price_for_each_section() {
    let world = World::new().await;
    let (router, token) = (world.router(), world.token().await);
    let publish = async |prices: Value| {
        let venue_id = world.show.venue.id.uuid();
        let body = json!({"venue_id": venue_id, "starts_at": "2027-03-01T10:00:00Z", "prices": prices});
        let ask = post(format!("{}/performances", world.concert_path()), body);
        ask.signed_in("promoter").send(&router).await
    };
    let price = |section: &str, price: i64| json!({"section": section, "price": price});
    let answer = publish(json!([price("A", 5), price("B", 3)])).await;
    let performance = answer.succeeds(StatusCode::CREATED);
    assert_eq!((&performance["price_min"], &performance["price_max"]), (&json!(3), &json!(5)));
    let found = get(answer.header("location").unwrap()).queued(&token).send(&router).await;
    assert_eq!(found.succeeds(StatusCode::OK), performance);
    for (prices, pointer, code) in [
        (json!([price("B", 5)]), "/prices", "section_missing"),
        (json!([price("C", 5)]), "/prices/0/section", "section_unknown"),
        (json!([price("A", 5), price("A", 5)]), "/prices/1/section", "section_repeated"),
        (json!([price("A", 100_000_001)]), "/prices/0/price", "range"),
        (json!([price("A", -1)]), "/prices/0/price", "range"),
    ] {
        publish(prices).await.violates(pointer, code);
    }
}

#[tokio::test]
async fn the_seed_of_a_draw_is_secret_until_the_sale_opens_and_its_hash_is_not() {
    const SEED: &str = "0707070707070707070707070707070707070707070707070707070707070707";
    const SEED_HASH: &str = "4bb06f8e4e3a7715d201d573d0aa423762e55dabd61a2c02278fa56cc6d294e0";
    let mut world = World::new().await;
    let shown =
        async |world: &World| world.answer(get(world.concert_path())).await.succeeds(StatusCode::OK)["draw"].clone();
    assert_eq!(shown(&world).await, Value::Null);
    world.change_concert(|concert| concert.draw = Some(Draw::new([7; 32]))).await;
    for (opens_in_seconds, seed) in [(1, Value::Null), (0, json!(SEED)), (-1, json!(SEED))] {
        let sales = SalesWindow::new(instant(opens_in_seconds), instant(3_600)).unwrap();
        world.change_concert(|concert| concert.sales = sales).await;
        assert_eq!(shown(&world).await, json!({"seed_hash": SEED_HASH, "seed": seed}));
    }

    let body = json!({
        "title": "Night", "artist": "Band", "sales_open_at": "2027-02-01T00:00:00Z",
        "sales_close_at": "2027-03-01T00:00:00Z", "draw": true,
    });
    let published = world.answer(post("/v1/concerts", body).signed_in("promoter")).await;
    let draw = published.succeeds(StatusCode::CREATED)["draw"].clone();
    assert!(draw["seed_hash"].is_string() && draw["seed"].is_null(), "{draw}");
}

#[tokio::test]
async fn a_draw_is_moved_only_before_it_is_held() {
    let later = || json!({"sales_open_at": "2027-01-15T08:30:00Z"});
    let drawn = async |opens_in_seconds| {
        let mut world = World::new().await;
        let sales = SalesWindow::new(instant(opens_in_seconds), instant(3_600)).unwrap();
        world.change_concert(|concert| (concert.sales, concert.draw) = (sales, Some(Draw::new([7; 32])))).await;
        world
    };
    change(&World::new().await, None, later()).await.succeeds(StatusCode::OK);
    change(&drawn(60).await, None, later()).await.succeeds(StatusCode::OK);
    let past = json!({"sales_open_at": "2027-01-15T08:00:00Z"});
    change(&drawn(60).await, None, past).await.violates("/sales_open_at", "draw_past");
    change(&drawn(0).await, None, later()).await.violates("/sales_open_at", "draw_held");
}

#[tokio::test]
async fn a_change_that_changes_nothing_keeps_the_version() {
    let world = World::new().await;
    let seen = world.answer(get(world.concert_path())).await.header("etag").unwrap().to_owned();
    for body in [json!({}), json!({"title": world.show.concert.title.as_str()})] {
        let answer = change(&world, None, body).await;
        assert_eq!(answer.header("etag"), Some(seen.as_str()));
        answer.succeeds(StatusCode::OK);
    }
    assert_eq!(world.answer(get(world.concert_path())).await.header("etag"), Some(seen.as_str()));
}

#[tokio::test]
async fn a_time_that_can_never_be_right_is_refused_at_its_pointer() {
    let world = World::new().await;
    for (field, at, code) in [
        ("sales_open_at", "2037-02-01T00:00:00Z", "too_far_ahead"),
        ("sales_close_at", "2037-02-01T00:00:00Z", "too_far_ahead"),
        ("sales_open_at", "2028-01-15T08:00:00Z", "after_performance"),
    ] {
        let mut body = json!({"sales_open_at": "2027-02-01T00:00:00Z", "sales_close_at": "2028-02-01T00:00:00Z"});
        if field == "sales_open_at" && code == "too_far_ahead" {
            body["sales_close_at"] = json!("2037-03-01T00:00:00Z");
        }
        body[field] = json!(at);
        change(&world, None, body.clone()).await.violates(&format!("/{field}"), code);
        if code == "too_far_ahead" {
            (body["title"], body["artist"]) = (json!("Night"), json!("Band"));
            let published = world.answer(post("/v1/concerts", body).signed_in("promoter")).await;
            published.violates(&format!("/{field}"), code);
        }
    }
    let prices = json!([{"section": "A", "price": 5}, {"section": "B", "price": 3}]);
    for (starts_at, code) in [
        ("2027-01-15T08:00:00Z", "in_the_past"),
        ("1999-01-15T08:00:00Z", "in_the_past"),
        ("2206-01-15T08:00:00Z", "too_far_ahead"),
    ] {
        let body = json!({"venue_id": world.show.venue.id.uuid(), "starts_at": starts_at, "prices": prices});
        let ask = post(format!("{}/performances", world.concert_path()), body).signed_in("promoter");
        world.answer(ask).await.violates("/starts_at", code);
    }
    let body = json!({
        "title": "Night", "artist": "Band", "sales_open_at": "2027-05-01T00:00:00Z",
        "sales_close_at": "2027-06-01T00:00:00Z",
    });
    let concert = world.answer(post("/v1/concerts", body).signed_in("promoter")).await;
    let concert = concert.succeeds(StatusCode::CREATED);
    let path = format!("/v1/concerts/{}/performances", concert["id"].as_str().unwrap());
    let body = json!({
        "venue_id": world.show.venue.id.uuid(), "starts_at": "2027-05-01T00:00:00Z", "prices": prices,
    });
    world.answer(post(path, body).signed_in("promoter")).await.violates("/starts_at", "before_sale");
}

#[tokio::test]
async fn a_venue_has_one_performance_at_a_time_unless_it_allows_overlaps() {
    let world = World::new().await;
    let venue = async |overlaps_allowed: Value| {
        let rows = json!([{"name": "1", "seats": 2}]);
        let body = json!({
            "name": "Hall", "location": "Seoul", "sections": [{"name": "A", "rows": rows}],
            "overlaps_allowed": overlaps_allowed,
        });
        world.answer(post("/v1/venues", body).signed_in("promoter")).await
    };
    let publish = async |venue: &Value, starts_at: &str, duration_minutes: Value| {
        let mut body = json!({
            "venue_id": venue["id"], "starts_at": starts_at, "prices": [{"section": "A", "price": 5}],
            "duration_minutes": duration_minutes,
        });
        if body["duration_minutes"].is_null() {
            body.as_object_mut().unwrap().remove("duration_minutes");
        }
        let ask = post(format!("{}/performances", world.concert_path()), body).signed_in("promoter");
        world.answer(ask).await
    };
    let hall = venue(json!(false)).await.succeeds(StatusCode::CREATED);
    assert_eq!(hall["overlaps_allowed"], false);
    let first = publish(&hall, "2027-03-01T10:00:00Z", Value::Null).await.succeeds(StatusCode::CREATED);
    assert_eq!((&first["duration_minutes"], &first["withdrawn"]), (&json!(180), &json!(false)));
    let refused = publish(&hall, "2027-03-01T12:59:59Z", json!(1)).await.refuses(Code::PerformanceOverlaps);
    let detail = refused["detail"].as_str().unwrap();
    assert_eq!(detail, "The venue has another performance from 2027-03-01T10:00:00Z to 2027-03-01T13:00:00Z.");
    publish(&hall, "2027-03-01T13:00:00Z", json!(90)).await.succeeds(StatusCode::CREATED);
    for minutes in [0, 1_441] {
        publish(&hall, "2027-04-01T10:00:00Z", json!(minutes)).await.violates("/duration_minutes", "range");
    }
    let stages = venue(json!(true)).await.succeeds(StatusCode::CREATED);
    assert_eq!(stages["overlaps_allowed"], true);
    for _ in 0..2 {
        publish(&stages, "2027-03-01T10:00:00Z", Value::Null).await.succeeds(StatusCode::CREATED);
    }
    venue(json!("yes")).await.violates("/overlaps_allowed", "wrong_type");
}
