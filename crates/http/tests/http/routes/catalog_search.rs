//! Searching concerts, and what everyone sees of one before the queue.

use axum::{Router, http::StatusCode};
use boxoffice_contracts::storage::{concert, name, new_performance};
use boxoffice_domain::{
    catalog::{Concert, DATES_SHOWN_MAX},
    fixtures::{self, instant},
};
use boxoffice_http::Code;
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::world::{Answer, World, get, patch};

/// A concert with performances so many seconds after instant 0.
async fn publish(world: &World, title: &str, starts: &[i64]) -> Concert {
    let concert = Concert { title: name(title), ..concert(world.show.promoter_id, world.stage.now()) };
    world.stage.storage.catalog.publish_concert(concert.clone(), None, fixtures::staff_act()).await.unwrap();
    // Before the first of them: what has started is not published.
    let now = world.stage.now();
    world.stage.clock.set(now - TimeDelta::hours(23));
    for seconds in starts {
        let performance = new_performance(&concert, &world.show.venue, instant(*seconds));
        world.stage.publish(world.show.promoter_id, &performance).await;
    }
    world.stage.clock.set(now);
    concert
}

/// As a client writes what is not plain in a query.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

async fn list(router: &Router, query: &str) -> Value {
    get(format!("/v1/concerts?{query}")).send(router).await.succeeds(StatusCode::OK)
}

fn titles(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["title"].as_str().unwrap()).collect()
}

/// Fails unless a query is refused for this parameter.
fn assert_wrong(answer: &Answer, parameter: &str, code: &str) {
    let problem = answer.refuses(Code::MalformedRequest);
    let errors = problem["errors"].as_array().unwrap();
    assert_eq!((&errors[0]["pointer"], &errors[0]["code"]), (&json!(parameter), &json!(code)), "{problem}");
}

#[tokio::test]
async fn letters_with_strokes_and_ligatures_are_found_without_them() {
    let world = World::new().await;
    let router = world.router();
    publish(&world, "Łódź Ørsted Ærø", &[]).await;
    for query in ["lodz", "LODZ", "Łódź", "orsted", "ørsted", "aero", "ÆRØ"] {
        assert_eq!(titles(&list(&router, &format!("q={}", encoded(query))).await), ["Łódź Ørsted Ærø"], "{query}");
    }
}

#[tokio::test]
async fn words_a_range_and_an_order_find_concerts() {
    let world = World::new().await;
    let router = world.router();
    publish(&world, "한강의 밤", &[300_000]).await;
    publish(&world, "Beyoncé LIVE", &[200_000]).await;
    publish(&world, "한강 LIVE", &[100_000, 400_000]).await;
    let at = |seconds: i64| instant(seconds).to_rfc3339().replace('+', "%2B");
    for (query, expected) in [
        (format!("q={}", encoded("한강")), &["한강의 밤", "한강 LIVE"][..]),
        (format!("q={}&sort=starts_at", encoded("한강")), &["한강 LIVE", "한강의 밤"]),
        (format!("q={}&sort=-created_at", encoded("한강 live")), &["한강 LIVE"]),
        ("q=live+BEYONCE".to_owned(), &["Beyoncé LIVE"]),
        (format!("q={}", encoded("Ｂｅｙｏｎｃｅ\u{301}")), &["Beyoncé LIVE"]),
        (format!("sort=starts_at&from={}&to={}", at(150_000), at(400_000)), &["Beyoncé LIVE", "한강의 밤"]),
        (
            format!("sort=starts_at&from={}&to={}", at(150_000), at(400_001)),
            &["Beyoncé LIVE", "한강의 밤", "한강 LIVE"],
        ),
        (format!("q=live&to={}", at(200_000)), &["한강 LIVE"]),
        ("q=nothing+of+that+kind".to_owned(), &[]),
        ("q=live&bookable=true&sort=sales_open_at&limit=1".to_owned(), &["Beyoncé LIVE"]),
        ("q=live&bookable=false".to_owned(), &[]),
    ] {
        assert_eq!(titles(&list(&router, &query).await), expected, "{query}");
    }
    let nothing = list(&router, "q=nothing").await;
    assert_eq!(nothing, json!({"items": [], "next_cursor": null}));
    world.stage.clock.set(world.show.concert.sales.close_at());
    assert_eq!(titles(&list(&router, "q=live&bookable=true").await), Vec::<&str>::new());
    assert_eq!(titles(&list(&router, "q=live&bookable=false&limit=9").await), ["Beyoncé LIVE", "한강 LIVE"]);
}

#[tokio::test]
async fn pages_of_a_search_have_neither_gaps_nor_repeats_while_concerts_are_added() {
    let world = World::new().await;
    let router = world.router();
    for number in 0..9 {
        publish(&world, &format!("밤 {number}"), &[100_000 + number]).await;
    }
    for order in ["", "&sort=starts_at", "&sort=sales_open_at", "&sort=-created_at"] {
        let query = format!("q={}{order}&limit=2", encoded("밤"));
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = list(&router, &format!("{query}{cursor}")).await;
            seen.extend(titles(&page).into_iter().map(str::to_owned));
            // Before and after every place.
            publish(&world, "밤의 다른 것", &[50_000, 900_000]).await;
            world.stage.clock.set(world.stage.now() + TimeDelta::seconds(1));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        seen.retain(|title| title != "밤의 다른 것");
        let mut expected: Vec<_> = (0..9).map(|number| format!("밤 {number}")).collect();
        if order.contains('-') {
            expected.reverse();
        }
        assert_eq!(seen, expected, "{order}");
    }
}

#[tokio::test]
async fn a_cursor_belongs_to_its_search() {
    let world = World::new().await;
    let router = world.router();
    for _ in 0..3 {
        publish(&world, "Night LIVE", &[100_000]).await;
    }
    let lists = [
        "q=live",
        "q=night",
        "q=live&sort=starts_at",
        "q=live&sort=-created_at",
        "q=live&from=2027-01-01T00:00:00Z",
        "q=live&to=2037-01-01T00:00:00Z",
        "q=live&bookable=true",
        "bookable=true",
        "limit=1",
    ];
    let mut cursors = Vec::new();
    for query in lists {
        cursors.push(
            list(&router, &format!("{query}&limit=1").replace("limit=1&limit=1", "limit=1")).await["next_cursor"]
                .clone(),
        );
    }
    for (query, own) in lists.iter().zip(&cursors) {
        for (other, cursor) in lists.iter().zip(&cursors) {
            let answer = get(format!("/v1/concerts?{query}&cursor={}", cursor.as_str().unwrap())).send(&router).await;
            if own == cursor {
                answer.succeeds(StatusCode::OK);
            } else {
                assert_wrong(&answer, "/cursor", "cursor_of_other_list");
            }
            assert_eq!(own == cursor, query == other, "the lists `{query}` and `{other}`");
        }
    }
    // The same search, written otherwise, with pages of another size.
    let cursor = cursors[0].as_str().unwrap();
    list(&router, &format!("q=%20LIVE&limit=100&cursor={cursor}")).await;
}

#[tokio::test]
async fn searches_that_cannot_be_are_refused_with_pointers() {
    let router = World::new().await.router();
    for (query, parameter, code) in [
        ("q=".to_owned(), "/q", "text_empty"),
        (format!("q={}", encoded(" \u{200b}\u{301}")), "/q", "text_empty"),
        (format!("q={}", encoded(&"한".repeat(101))), "/q", "text_too_long"),
        (format!("q={}", ["1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b"].join("+")), "/q", "too_many_words"),
        ("from=2027-01-01T00:00:00Z&to=2027-01-01T00:00:00Z".to_owned(), "/to", "time_range"),
        ("from=2027-01-02T00:00:00Z&to=2027-01-01T00:00:00Z".to_owned(), "/to", "time_range"),
        ("from=1960-01-01T00:00:00Z".to_owned(), "/from", "timestamp_range"),
    ] {
        assert_wrong(&get(format!("/v1/concerts?{query}")).send(&router).await, parameter, code);
    }
    for query in ["sort=title", "sort=created_at", "from=2027-01-01", "to=tomorrow", "Q=x"] {
        get(format!("/v1/concerts?{query}")).send(&router).await.refuses(Code::MalformedRequest);
    }
    let both = get("/v1/concerts?q=&from=2027-01-01T00:00:00Z&to=2026-01-01T00:00:00Z").send(&router).await;
    assert_eq!(both.refuses(Code::MalformedRequest)["errors"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_concert_shows_its_dates_venues_and_prices_to_everyone_and_no_seats() {
    let world = World::new().await;
    let router = world.router();
    let path = world.concert_path();
    let first = get(&path).send(&router).await;
    let shown = first.succeeds(StatusCode::OK);
    let venue = &world.show.venue;
    let performance_id = world.show.performance_id.uuid();
    let starts_at = serde_json::to_value(world.show.starts_at).unwrap();
    let (name, location, zone) = (venue.name.as_str(), venue.location.as_str(), venue.time_zone.as_str());
    assert_eq!(
        shown["venues"],
        json!([{"id": venue.id.uuid(), "name": name, "location": location, "time_zone": zone}])
    );
    assert_eq!(shown["dates"], json!([{"id": performance_id, "venue_id": venue.id.uuid(), "starts_at": starts_at}]));
    assert_eq!((&shown["price_min"], &shown["price_max"]), (&json!(600), &json!(1_000)));
    assert!(!shown.to_string().contains("seats_available") && !shown.to_string().contains("seats_total"), "{shown}");
    let listed = list(&router, "").await["items"][0].clone();
    assert_eq!((&listed["price_min"], &listed["price_max"]), (&json!(600), &json!(1_000)));
    assert_eq!((&listed["venues"], &listed["dates"]), (&Value::Null, &Value::Null));

    let tag = first.header("etag").unwrap().to_owned();
    let same = get(&path).header("if-none-match", &tag).send(&router).await;
    assert_eq!(same.status, StatusCode::NOT_MODIFIED);
    let changed = patch(&path, json!({"max_active": 7})).signed_in("promoter").send(&router).await;
    assert_eq!(changed.succeeds(StatusCode::OK)["dates"], shown["dates"]);
    let again = get(&path).header("if-none-match", changed.header("etag").unwrap()).send(&router).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED, "the promoter has what buyers see");
}

#[tokio::test]
async fn a_concert_without_performances_has_no_dates_and_one_with_many_the_next_hundred() {
    let world = World::new().await;
    let router = world.router();
    let shown = async |concert: &Concert| {
        get(format!("/v1/concerts/{}", concert.id)).send(&router).await.succeeds(StatusCode::OK)
    };
    let none = shown(&publish(&world, "none", &[]).await).await;
    assert_eq!((&none["venues"], &none["dates"], &none["price_min"]), (&json!([]), &json!([]), &Value::Null));
    let starts: Vec<_> = (-5..145).map(|number| number * 3 * 3_600).collect();
    let many = shown(&publish(&world, "many", &starts).await).await;
    let dates = many["dates"].as_array().unwrap();
    assert_eq!((dates.len(), &many["performances_count"]), (DATES_SHOWN_MAX, &json!(150)));
    assert_eq!(dates[0]["starts_at"], serde_json::to_value(instant(0)).unwrap());
    assert_eq!(many["venues"].as_array().unwrap().len(), 1);
}
