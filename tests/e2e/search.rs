//! Finding one of a thousand concerts, on each database.

use std::fs;

use boxoffice_tests::workspace;
use serde_json::Value;

use crate::support::{
    client::Buyer,
    eventually, list,
    server::{Backend, MARIADB, Server},
    show::{Show, Terms},
    text,
};

/// As a client writes what is not plain in a query.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The titles on all pages of a search, of seven concerts each.
async fn titles(server: &Server, query: &str) -> Vec<String> {
    let (mut titles, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = server.api().get(format!("/v1/concerts?{query}&limit=7{cursor}")).send().await;
        titles.extend(list(page.is(200), "items").iter().map(|item| text(item, "title").to_owned()));
        match page.json["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return titles,
        }
    }
}

/// The titles of the concerts in the file that a condition holds for, by their first start.
fn expected(catalog: &Value, holds: impl Fn(&Value) -> bool) -> Vec<String> {
    let found = list(catalog, "concerts").iter().filter(|concert| holds(concert));
    let mut found: Vec<_> =
        found.map(|concert| (text(&concert["performances"][0], "starts_at"), text(concert, "title"))).collect();
    found.sort_unstable();
    found.into_iter().map(|(_, title)| title.to_owned()).collect()
}

async fn a_thousand_concerts_are_searched_on(backend: Backend) {
    let server = Server::start_on(backend, &[]).await;
    assert!(titles(&server, "q=jazz").await.is_empty());
    let file = workspace().join("tests/catalog/listing.json");
    let (status, _, error) = server.run(&["import", file.to_str().expect("a path")], &[]).await;
    assert_eq!(status, 0, "{error}");
    let catalog: Value = serde_json::from_str(&fs::read_to_string(&file).expect("it is read")).expect("JSON");

    // The server is not told of an import by another process, and finds what it brought after a moment.
    let query = format!("q={}", encoded("재즈 AUTUMN"));
    let jazz = expected(&catalog, |concert| text(concert, "title").starts_with("Autumn 재즈"));
    assert!(jazz.len() > 10, "{jazz:?}");
    let found = async || Some(titles(&server, &query).await).filter(|found| found.len() == jazz.len());
    eventually("the imported concerts are found", found).await;

    // Concerts that start at once are in the order of their publication, which the last word of their titles gives.
    assert_eq!(titles(&server, &format!("{query}&sort=starts_at")).await, jazz);
    let mut newest = titles(&server, &format!("{query}&sort=-created_at")).await;
    newest.sort_unstable();
    let mut sorted = jazz.clone();
    sorted.sort_unstable();
    assert_eq!(newest, sorted);
    let in_range = |concert: &Value| {
        let starts = list(concert, "performances").iter().map(|performance| text(performance, "starts_at"));
        starts.into_iter().any(|at| ("2030-10-12T00:00:00Z".."2030-10-15T00:00:00Z").contains(&at))
    };
    let range = "from=2030-10-12T00:00:00Z&to=2030-10-15T00:00:00Z&sort=starts_at";
    let mut expected_in_range = expected(&catalog, in_range);
    let mut found = titles(&server, range).await;
    expected_in_range.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected_in_range);
    assert!(titles(&server, &format!("q={}", encoded("없는 공연"))).await.is_empty());

    // What was published here is found at once, and everyone sees when and where it is.
    let promoter = server.promoter("promoter").await;
    let show = Show::publish(&promoter, Terms::default()).await;
    let concert = server.api().get(format!("/v1/concerts/{}", show.concert)).send().await;
    let title = text(concert.is(200), "title").to_owned();
    assert!(titles(&server, &format!("q={}&sort=-created_at", encoded(&title.to_uppercase()))).await.contains(&title));
    assert_eq!(text(&concert.json["dates"][0], "id"), show.performance);
    assert_eq!(concert.json["dates"][0]["venue_id"], concert.json["venues"][0]["id"]);
    let buyer = Buyer::admitted(server.api(), &show.concert).await;
    let performances = buyer.list(&format!("/v1/concerts/{}/performances", show.concert)).await;
    for name in ["price_min", "price_max"] {
        assert_eq!(performances[0][name], concert.json[name]);
    }
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_concerts_are_searched_on_sqlite() {
    a_thousand_concerts_are_searched_on(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_concerts_are_searched_on_mariadb() {
    a_thousand_concerts_are_searched_on(MARIADB).await;
}
