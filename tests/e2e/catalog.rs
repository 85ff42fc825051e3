//! Publishing what is sold, by file and over HTTP, and reading it.

use std::{collections::BTreeMap, fs};

use boxoffice_rush::Request;
use boxoffice_tests::{read, workspace};
use serde_json::{Value, json};

use crate::support::{
    client::Buyer,
    list,
    server::Server,
    show::{PRICE, Show, Terms, club, concert, night_file, performance},
    text,
};

/// How many seats of each price a performance of a venue has, as the catalog file says.
fn prices_of(catalog: &Value, venue_key: &str, prices: &Value) -> BTreeMap<String, (u64, i64)> {
    let venue = list(catalog, "venues").iter().find(|venue| venue["key"] == venue_key).expect("the venue");
    let price_of = |section: &Value| {
        let listed = prices.as_array().expect("prices").iter().find(|price| &price["section"] == section);
        listed.and_then(|price| price["price"].as_i64()).expect("a price")
    };
    let section = |section: &Value| {
        let seats = list(section, "rows").iter().map(|row| row["seats"].as_u64().expect("a number"));
        (text(section, "name").to_owned(), (seats.sum(), price_of(&section["name"])))
    };
    list(venue, "sections").iter().map(section).collect()
}

/// How many seats each section has, and at which price, as the API shows it.
fn prices_shown(map: &Value) -> BTreeMap<String, (u64, i64)> {
    let mut shown = BTreeMap::new();
    for seat in list(map, "seats") {
        let (section, price) = (text(seat, "section"), seat["price"].as_i64().expect("a price"));
        let (count, known) = shown.entry(section.to_owned()).or_insert((0, price));
        assert_eq!(*known, price, "the seats of {section} differ in price");
        *count += 1;
    }
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn the_arena_is_imported_with_every_seat_at_its_price_and_a_second_import_changes_nothing() {
    let server = Server::start(&[]).await;
    let file = workspace().join("tests/catalog/arena.json");
    let path = file.to_str().expect("a path");
    let (status, printed, error) = server.run(&["import", path], &[]).await;
    assert_eq!(status, 0, "{error}");
    assert!(printed.contains("performances 7 new and 0 known"), "{printed}");
    let catalog: Value = serde_json::from_str(&fs::read_to_string(&file).expect("it is read")).expect("JSON");

    let concerts = server.api().get("/v1/concerts").send().await;
    let tour = catalog["concerts"][0].clone();
    let listed = list(concerts.is(200), "items");
    assert_eq!(listed.len(), 3);
    let id = text(listed.iter().find(|concert| concert["title"] == tour["title"]).expect("the tour"), "id");
    let buyer = Buyer::admitted(server.api(), id).await;
    let dates = buyer.list(&format!("/v1/concerts/{id}/performances")).await;
    assert_eq!(dates.len(), 3);
    for (date, file) in dates.iter().zip(list(&tour, "performances")) {
        assert_eq!((&date["seats_total"], &date["seats_available"]), (&json!(15_002), &json!(15_002)));
        assert_eq!((&date["price_min"], &date["price_max"]), (&json!(99_000), &json!(198_000)));
        assert_eq!(date["starts_at"], file["starts_at"]);
        let map = buyer.seats(text(date, "id")).await;
        assert_eq!((&map["seats_total"], &map["seats_available"]), (&json!(15_002), &json!(15_002)));
        assert_eq!(prices_shown(&map), prices_of(&catalog, "arena", &file["prices"]));
    }

    // A second import touches neither what is held nor what is sold.
    let first_date = text(&dates[0], "id");
    buyer.charge(198_000).await;
    let (_, sold) = (buyer.hold(first_date, &["F1-1-1"]).await, buyer.hold(first_date, &["F1-1-2"]).await);
    buyer.pay(&sold).await;
    let (status, printed, error) = server.run(&["import", path], &[]).await;
    assert_eq!(status, 0, "{error}");
    assert!(printed.contains("performances 0 new and 7 known, 0 new seats"), "{printed}");
    let seats = buyer.get(format!("/v1/performances/{first_date}/seats?section=F1")).send().await;
    let statuses: Vec<_> = list(seats.is(200), "seats").iter().map(|seat| text(seat, "status")).collect();
    assert_eq!((statuses.len(), &statuses[..3]), (480, &["held", "sold", "available"][..]));
    assert_eq!((&seats.json["seats_total"], &seats.json["seats_available"]), (&json!(15_002), &json!(15_000)));
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_catalog_is_refused_whole_with_every_place() {
    let server = Server::start(&[]).await;
    let mut catalog: Value = serde_json::from_str(&read("tests/catalog/club.json")).expect("JSON");
    catalog["venues"][0]["sections"][0]["rows"][2]["seats"] = json!(0);
    catalog["concerts"][0]["title"] = json!("");
    catalog["concerts"][0]["performances"][1]["prices"][0]["section"] = json!("Z");
    let file = server.folder().join("wrong.json");
    fs::write(&file, catalog.to_string()).expect("it is written");
    let (status, printed, error) = server.run(&["import", file.to_str().expect("a path")], &[]).await;
    assert_eq!((status, printed.as_str()), (1, ""), "{error}");
    for pointer in ["/venues/0/sections/0/rows/2/seats", "/concerts/0/title"] {
        assert!(error.contains(&format!("{pointer}: ")), "{pointer}: {error}");
    }
    assert_eq!(server.api().get("/v1/concerts").send().await.is(200)["items"], json!([]));
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_its_promoter_changes_a_concert_and_sees_its_sales() {
    let server = Server::start(&[]).await;
    let (promoter, other_promoter) = (server.promoter("promoter").await, server.promoter("other").await);
    let show = Show::publish(&promoter, Terms::default()).await;
    let path = format!("/v1/concerts/{}", show.concert);
    let seen = server.api().get(path.as_str()).send().await;
    let tag = seen.header("etag").expect("a tag").to_owned();

    // A change needs the current version; the second one names an old version.
    let change = |title: &str| promoter.patch(path.as_str(), &json!({"title": title})).header("if-match", tag.as_str());
    let changed = change("First").send().await;
    assert_eq!((&changed.is(200)["title"], &changed.json["max_active"]), (&json!("First"), &json!(1_000)));
    change("Second").send().await.refuses(412, "precondition_failed");
    let newer = changed.header("etag").expect("a tag");
    assert_eq!(server.api().get(path.as_str()).send().await.header("etag"), Some(newer));
    promoter.patch(path.as_str(), &json!({"artist": "X"})).header("if-match", newer).send().await.is(200);
    promoter.patch(path.as_str(), &json!({"artist": "Y"})).send().await.is(200);
    let wrong = promoter.patch(path.as_str(), &json!({"sales_close_at": "2001-01-01T00:00:00Z"})).send().await;
    wrong.refuses(422, "validation_failed");
    assert_eq!(wrong.violations()[0].0, "/sales_close_at");

    let sales = format!("/v1/performances/{}/sales", show.performance);
    let mut buyer = Buyer::new(server.api()).await;
    buyer.be_admitted(&show.concert).await;
    buyer.charge(3 * PRICE).await;
    let (sold, _) =
        (buyer.hold(&show.performance, &["A-1-1", "A-1-2"]).await, buyer.hold(&show.performance, &["A-1-3"]).await);
    buyer.pay(&sold).await;
    let shown = promoter.get(sales.as_str()).send().await;
    assert_eq!(shown.is(200), &json!({"available": 47, "held": 1, "sold": 2, "revenue": 2 * PRICE}));

    let dates = format!("{path}/performances");
    for other in [&other_promoter, &buyer] {
        other.get(sales.as_str()).send().await.refuses(403, "forbidden");
        other.patch(path.as_str(), &json!({"title": "Mine"})).send().await.refuses(403, "forbidden");
        other.post(dates.as_str(), &performance(&show.venue, 3_600)).send().await.refuses(403, "forbidden");
    }
    for (path, body) in [("/v1/venues", club()), ("/v1/concerts", concert(&Terms::default()))] {
        buyer.post(path, &body).send().await.refuses(403, "forbidden");
        server.api().post(path, &body).send().await.refuses(401, "unauthenticated");
    }
    assert_eq!(server.api().get(path.as_str()).send().await.is(200)["artist"], "Y");
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_current_answer_is_not_sent_again() {
    let server = Server::start(&[]).await;
    let promoter = server.promoter("promoter").await;
    let show = Show::publish(&promoter, Terms::default()).await;
    let buyer = Buyer::admitted(server.api(), &show.concert).await;
    let concert = format!("/v1/concerts/{}", show.concert);
    let paths = [
        "/v1/concerts".to_owned(),
        concert.clone(),
        format!("{concert}/performances"),
        format!("/v1/performances/{}", show.performance),
        format!("/v1/performances/{}/seats", show.performance),
    ];
    let mut tags = Vec::new();
    for path in &paths {
        let answer = buyer.get(path.as_str()).send().await;
        let tag = answer.header("etag").expect("a tag").to_owned();
        let again = buyer.get(path.as_str()).header("if-none-match", format!("\"other\", {tag}")).send().await;
        assert_eq!((again.status, again.text.as_str(), again.header("etag")), (304, "", Some(tag.as_str())));
        tags.push(tag);
    }
    // A hold changes what is shown of the performance and its seats, and nothing else.
    buyer.hold(&show.performance, &["A-1-1"]).await;
    for (index, (path, tag)) in paths.iter().zip(&tags).enumerate() {
        let again = buyer.get(path.as_str()).header("if-none-match", tag.as_str()).send().await;
        assert_eq!(again.status, if index < 2 { 304 } else { 200 }, "{path}");
    }
    promoter.patch(concert.as_str(), &json!({"title": "Other"})).send().await.is(200);
    for (path, tag) in paths[..2].iter().zip(&tags) {
        assert_eq!(buyer.get(path.as_str()).header("if-none-match", tag.as_str()).send().await.status, 200);
    }
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_given_page_by_page_without_gaps_or_repetitions() {
    let server = Server::start(&[]).await;
    let promoter = server.promoter("promoter").await;
    let mut published = Vec::new();
    for index in 0..7 {
        let opens_in_seconds = if index % 2 == 0 { -60 } else { 3_600 };
        published.push(Show::publish(&promoter, Terms { opens_in_seconds, ..Terms::default() }).await.concert);
    }
    let mut seen = Vec::new();
    let mut query = "?limit=3".to_owned();
    loop {
        let page = server.api().get(format!("/v1/concerts{query}")).send().await;
        let items = list(page.is(200), "items");
        assert!(items.len() <= 3);
        seen.extend(items.iter().map(|item| text(item, "id").to_owned()));
        match page.json["next_cursor"].as_str() {
            Some(cursor) => query = format!("?limit=3&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, published);
    let bookable = server.api().get("/v1/concerts?bookable=true").send().await;
    let bookable = list(bookable.is(200), "items");
    assert_eq!((bookable.len(), bookable.iter().all(|item| item["bookable"] == true)), (4, true));
    for query in [
        "limit=0",
        "limit=101",
        "limit=-1",
        "cursor=nonsense",
        "cursor=",
        "limit=many",
        "bookable=perhaps",
        "sort=price",
    ] {
        server.api().get(format!("/v1/concerts?{query}")).send().await.refuses(400, "malformed_request");
    }
    let wrong = server.api().ask(Request::new("DELETE", "/v1/concerts")).send().await;
    wrong.refuses(405, "method_not_allowed");
    assert_eq!(wrong.header("allow").map(|allowed| allowed.contains("GET")), Some(true));
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lower_seat_limit_keeps_what_is_held() {
    let server = Server::start(&[]).await;
    let promoter = server.promoter("promoter").await;
    let show = Show::publish(&promoter, Terms::default()).await;
    let buyer = Buyer::admitted(server.api(), &show.concert).await;
    buyer.charge(3 * PRICE).await;
    let reservation = buyer.hold(&show.performance, &["A-1-1", "A-1-2", "A-1-3"]).await;
    let path = format!("/v1/concerts/{}", show.concert);
    promoter.patch(path, &json!({"max_seats_per_account": 2})).send().await.is(200);
    let refused = buyer.ask_hold(&show.performance, &["A-1-4"]).send().await;
    assert_eq!(refused.refuses(409, "seat_limit_reached")["limit"], 2);
    buyer.pay(&reservation).await;
    // The audit does not count it as a breach.
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn buyers_of_a_performance_that_an_import_changes_keep_their_price_and_the_right_to_their_points() {
    let server = Server::start(&[]).await;
    let import = async |starts_in_seconds, price, flags: &[&str]| {
        let file = night_file(&server, starts_in_seconds, price);
        server.run(&[&["import", file.as_str()], flags].concat(), &[]).await
    };
    let day = 86_400;
    assert_eq!(import(Some(day), 1_000, &[]).await.0, 0);
    let concerts = server.api().get("/v1/concerts").send().await;
    let concert = text(&list(concerts.is(200), "items")[0], "id").to_owned();
    let buyer = Buyer::admitted(server.api(), &concert).await;
    let performance = buyer.list(&format!("/v1/concerts/{concert}/performances")).await.remove(0);
    let performance = text(&performance, "id");
    buyer.charge(9_000).await;
    let (paid, held) = (buyer.hold(performance, &["A-1-1"]).await, buyer.hold(performance, &["A-1-2"]).await);
    buyer.pay(&paid).await;
    let total = async |reservation: &str| buyer.reservation(reservation).await["total_amount"].clone();

    // Each file has another start, which alone is refused.
    let (status, printed, error) = import(Some(2 * day), 5_000, &[]).await;
    assert_eq!((status, printed.as_str()), (1, ""), "{error}");
    assert!(error.contains("/concerts/0/performances/0/starts_at: seats of the performance are sold"), "{error}");
    let (status, printed, error) = import(Some(60), 5_000, &["--allow-harm"]).await;
    assert_eq!(status, 0, "{error}");
    assert!(printed.contains("performance `night-1`: price of A: 1000 -> 5000"), "{printed}");
    assert_eq!((total(&paid).await, total(&held).await), (json!(1_000), json!(1_000)));
    buyer.ask_cancel(&held).send().await.is(200);
    let again = buyer.hold(performance, &["A-1-2"]).await;
    assert_eq!(total(&again).await, 5_000);
    let shown = buyer.get(format!("/v1/performances/{performance}")).send().await;
    assert_eq!((&shown.is(200)["price_min"], &shown.json["price_max"]), (&json!(5_000), &json!(5_000)));

    let (status, printed, error) = import(None, 5_000, &["--withdraw"]).await;
    assert_eq!(status, 0, "{error}");
    assert!(printed.contains("performance `night-1`: withdrawn: false -> true"), "{printed}");
    buyer.ask_hold(performance, &["A-1-3"]).send().await.refuses(409, "performance_withdrawn");
    buyer.ask_pay(&again).send().await.refuses(409, "performance_withdrawn");
    assert_eq!(buyer.ask_cancel(&paid).send().await.is(200)["performance"]["withdrawn"], true);
    assert_eq!(buyer.balance().await, 9_000);
    server.finish().await;
}
