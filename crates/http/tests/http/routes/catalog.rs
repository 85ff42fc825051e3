//! Publishing venues, concerts and performances, and reading them.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use boxoffice_domain::{
    ConcertId, PerformanceId, ReservationId,
    catalog::{self, ConcertSummary, MappedSeats, SeatMap, UpdateConcertError},
    fixtures::instant,
    idempotency::Made,
    page::Page,
    seats::{PartName, SeatLabel, SeatState},
};
use boxoffice_http::Code;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{Answer, CONCERT, PERFORMANCE, VENUE, World, concert, drawn, get, name, performance, points, post};

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
async fn a_client_that_has_the_current_response_gets_a_304() {
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
    let by = ReservationId::new(Uuid::from_u128(0xD0));
    let seats = [
        ("A-1-1", SeatState::Free),
        ("A-1-2", SeatState::Held { by, until: instant(300) }),
        ("B-1-1", SeatState::Free),
        ("B-1-2", SeatState::Sold { to: by }),
    ];
    let labels = Arc::new(seats.iter().map(|(label, _)| SeatLabel::new(label).unwrap()).collect());
    let states: Vec<_> = seats.iter().map(|(_, state)| *state).collect();
    let performance_id = PerformanceId::new(PERFORMANCE);
    SeatMap::at(instant(0), MappedSeats { performance_id, labels, prices: [points(55_000); 4].into() }, &states)
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
        let part = |text| PartName::new(text).unwrap();
        let rows = vec![catalog::Row { name: part("1"), seats: 3 }];
        let sections = vec![catalog::Section { name: part("A"), rows }];
        catalog::SeatingPlan::new(sections).unwrap()
    };
    let mut world = World::with(|world| {
        world.catalog.expect_concert().returning(|_| Ok(Some(concert(3))));
    });
    world.catalog.expect_venue().returning(move |id| {
        let (name, location) = (name("Hall"), name("Seoul"));
        Ok(Some(catalog::Venue { id, name, location, plan: plan(), created_at: instant(0) }))
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
    let sales = catalog::Sales { available: 1, held: 2, sold: 3, revenue: points(165_000) };
    world.catalog.expect_sales().returning(move |_| Ok(Some(sales)));
    let answer = world.answer(get(format!("/v1/performances/{PERFORMANCE}/sales")).signed_in("promoter")).await;
    let expected = json!({"available": 1, "held": 2, "sold": 3, "revenue": 165_000});
    assert_eq!(answer.succeeds(StatusCode::OK), expected);
}

const SEED: &str = "0707070707070707070707070707070707070707070707070707070707070707";
const SEED_HASH: &str = "4bb06f8e4e3a7715d201d573d0aa423762e55dabd61a2c02278fa56cc6d294e0";

#[tokio::test]
async fn the_hash_of_the_seed_is_published_at_once_and_the_seed_when_the_sale_opens() {
    for (opens_in_seconds, seed) in [(1, Value::Null), (0, json!(SEED)), (-1, json!(SEED))] {
        let answer = World::knowing(drawn(opens_in_seconds)).answer(get(format!("/v1/concerts/{CONCERT}"))).await;
        assert_eq!(answer.succeeds(StatusCode::OK)["draw"], json!({"seed_hash": SEED_HASH, "seed": seed}));
    }
    let plain = World::knowing(concert(3)).answer(get(format!("/v1/concerts/{CONCERT}"))).await;
    assert_eq!(plain.succeeds(StatusCode::OK)["draw"], Value::Null);
}

#[tokio::test]
async fn a_concert_is_published_with_a_draw_on_request() {
    for (said, seed_hash) in [(json!(true), json!(SEED_HASH)), (json!(false), Value::Null)] {
        let world = World::with(|world| {
            world.catalog.expect_publish_concert().returning(|concert, _| Ok(Made::now(concert)));
        });
        let body = json!({
            "title": "Night", "artist": "Band", "sales_open_at": "2027-02-01T00:00:00Z",
            "sales_close_at": "2027-03-01T00:00:00Z", "draw": said,
        });
        let answer = world.answer(post("/v1/concerts", body).signed_in("promoter")).await;
        let concert = answer.succeeds(StatusCode::CREATED);
        assert_eq!(concert["draw"].get("seed_hash").unwrap_or(&Value::Null), &seed_hash);
        assert!(!concert.to_string().contains(SEED), "the seed is a secret yet");
    }
}

async fn opens_at(summary: ConcertSummary, at: &str) -> Answer {
    let mut world = World::knowing(summary);
    world.waiting_room.expect_set_terms().returning(|_, _| Ok(()));
    let body = json!({ "sales_open_at": at });
    let change = post(format!("/v1/concerts/{CONCERT}"), body).method(Method::PATCH).signed_in("promoter");
    world.answer(change).await
}

#[tokio::test]
async fn a_draw_is_moved_only_before_it_is_held() {
    let (later, past) = ("2027-01-15T08:30:00Z", "2027-01-15T08:00:00Z");
    opens_at(drawn(60), later).await.succeeds(StatusCode::OK);
    opens_at(concert(3), later).await.succeeds(StatusCode::OK);
    let pointer = "/sales_open_at".to_owned();
    assert_eq!(opens_at(drawn(60), past).await.violations(), [(pointer.clone(), "draw_past".to_owned())]);
    assert_eq!(opens_at(drawn(0), later).await.violations(), [(pointer, "draw_held".to_owned())]);
}
