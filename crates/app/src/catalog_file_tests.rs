use boxoffice_domain::fixtures::selling_rules;
use serde_json::{Value, json};

use super::*;

fn parse(text: &[u8]) -> Result<ImportedCatalog, Vec<Mistake>> {
    super::parse(text, &selling_rules())
}

fn sample() -> Value {
    json!({
        "venues": [{"key": "hall", "name": "Hall", "location": "Seoul", "sections": [
            {"name": "A", "rows": [{"name": "1", "seats": 2}, {"name": "2", "seats": 3}]},
            {"name": "B", "rows": [{"name": "1", "seats": 4}]},
        ]}],
        "concerts": [{"key": "night", "title": "Night", "artist": "Band", "description": "",
            "sales_open_at": "2026-01-05T11:00:00Z", "sales_close_at": "2030-12-31T15:00:00Z",
            "max_seats_per_account": 4, "max_active": 50,
            "performances": [{"key": "night-1", "venue": "hall", "starts_at": "2030-01-12T19:00:00+09:00",
                "prices": [{"section": "B", "price": 10}, {"section": "A", "price": 20}]}]}],
    })
}

/// The sample with the value at a pointer replaced.
fn with(pointer: &str, value: Value) -> Value {
    let mut file = sample();
    *file.pointer_mut(pointer).unwrap() = value;
    file
}

fn mistakes(file: &Value) -> Vec<String> {
    let mistakes = parse(file.to_string().as_bytes()).unwrap_err();
    mistakes.iter().map(ToString::to_string).collect()
}

#[test]
fn a_right_file_becomes_a_catalog() {
    let catalog = parse(sample().to_string().as_bytes()).unwrap();
    assert_eq!(catalog.seats_count(), 9);
    let concert = &catalog.concerts[0];
    assert_eq!((concert.max_seats_per_account, concert.max_active, concert.draw), (4, 50, false));
    let performance = &concert.performances[0];
    assert_eq!(performance.starts_at.to_rfc3339(), "2030-01-12T10:00:00+00:00");
    assert_eq!(performance.prices.by_section().iter().map(|price| price.get()).collect::<Vec<_>>(), [20, 10]);
}

#[test]
fn the_sample_catalogs_are_right() {
    for (text, venues, concerts, seats) in [
        (include_str!("../../../tests/catalog/club.json"), 1, 1, 100),
        (include_str!("../../../tests/catalog/arena.json"), 2, 3, 3 * 15_002 + 4 * 2_452),
        (include_str!("../../../tests/catalog/listing.json"), 20, 1_000, 0),
    ] {
        let catalog = parse(text.as_bytes()).unwrap();
        assert_eq!((catalog.venues.len(), catalog.concerts.len()), (venues, concerts));
        assert!(seats == 0 || catalog.seats_count() == seats, "{}", catalog.seats_count());
    }
}

#[test]
fn a_concert_that_leaves_numbers_out_gets_the_defaults() {
    let mut file = sample();
    let concert = file["concerts"][0].as_object_mut().unwrap();
    concert.remove("max_active");
    concert.insert("draw".to_owned(), json!(true));
    concert.remove("max_seats_per_account");
    concert.remove("description");
    let catalog = parse(file.to_string().as_bytes()).unwrap();
    assert_eq!((catalog.concerts[0].max_seats_per_account, catalog.concerts[0].max_active), (4, 500));
    assert!(catalog.concerts[0].draw);
}

#[test]
fn what_is_no_catalog_is_refused_where_its_shape_is_wrong() {
    let refused = |text: &str| parse(text.as_bytes()).unwrap_err()[0].to_string();
    assert!(refused("").starts_with("/: EOF while parsing"), "{}", refused(""));
    assert!(refused("[]").starts_with("/: invalid"), "{}", refused("[]"));
    assert!(refused("{}").starts_with("/: missing field `venues`"), "{}", refused("{}"));
    assert!(refused(r#"{"venues": [], "concerts": []} x"#).starts_with("/: trailing characters"));
    assert!(parse("[".repeat(100_000).as_bytes()).is_err());
    assert!(parse(b"\xff\xfe").is_err());
    assert!(parse(br#"{"venues": [], "concerts": []}"#).is_ok());
}

#[test]
fn wrong_types_huge_numbers_and_unknown_fields_are_named_by_their_pointer() {
    for (pointer, value) in [
        ("/venues/0/sections/0/rows/1/seats", json!("many")),
        ("/venues/0/sections/0/rows/1/seats", json!(-1)),
        ("/venues/0/sections/0/rows/1/seats", json!(1.5)),
        ("/venues/0/sections/0/rows/1/seats", json!(4_294_967_296_u64)),
        ("/concerts/0/performances/0/prices/0/price", json!(18_446_744_073_709_551_615_u64)),
        ("/concerts/0/performances/0/prices/0/price", json!(1e300)),
        ("/concerts/0/max_active", json!(1e10)),
        ("/concerts/0/title", Value::Null),
        ("/venues/0/sections", json!({})),
        ("/concerts/0/performances/0", json!("night-1")),
    ] {
        let told = mistakes(&with(pointer, value.clone()));
        assert!(told.len() == 1 && told[0].starts_with(&format!("{pointer}: ")), "{value}: {told:?}");
    }
    let mut file = sample();
    file["concerts"][0]["performances"][0]["prize"] = json!(1);
    assert!(
        mistakes(&file)[0].starts_with("/concerts/0/performances/0/prize: unknown field `prize`"),
        "{:?}",
        mistakes(&file)
    );
    let text = sample().to_string().replace(r#""title":"#, r#""title":"Again","title":"#);
    let told = parse(text.as_bytes()).unwrap_err();
    assert!(
        told[0].to_string().starts_with("/concerts/0") && told[0].what.contains("duplicate field `title`"),
        "{told:?}"
    );
}

#[test]
fn each_rule_of_a_venue_names_its_place() {
    for (pointer, value, place, what) in [
        ("/venues/0/name", json!(""), "/venues/0/name", "must not be empty"),
        ("/venues/0/location", json!("a\nb"), "/venues/0/location", "must not contain control characters"),
        (
            "/venues/0/sections",
            json!([]),
            "/venues/0/sections",
            "a venue has at least one section, and a section at least one row",
        ),
        ("/venues/0/sections/1/name", json!("A-1"), "/venues/0/sections/1/name", "must not contain `-`"),
        (
            "/venues/0/sections/1/name",
            json!(" A "),
            "/venues/0/sections/1/name",
            "section names are unique in their venue",
        ),
        (
            "/venues/0/sections/1/rows",
            json!([]),
            "/venues/0/sections/1/rows",
            "a venue has at least one section, and a section at least one row",
        ),
        ("/venues/0/sections/0/rows/1/name", json!("1-2"), "/venues/0/sections/0/rows/1/name", "must not contain `-`"),
        (
            "/venues/0/sections/0/rows/1/name",
            json!("1"),
            "/venues/0/sections/0/rows/1/name",
            "row names are unique in their section",
        ),
        (
            "/venues/0/sections/0/rows/1/seats",
            json!(0),
            "/venues/0/sections/0/rows/1/seats",
            "a row has at least one seat",
        ),
        (
            "/venues/0/sections/0/rows/1/seats",
            json!(u32::MAX),
            "/venues/0/sections",
            "a venue has at most 200000 seats",
        ),
    ] {
        assert_eq!(mistakes(&with(pointer, value)), [format!("{place}: {what}")]);
    }
}

#[test]
fn each_rule_of_a_concert_names_its_place() {
    for (pointer, value, place, what) in [
        ("/concerts/0/key", json!(" "), "/concerts/0/key", "must not be empty"),
        ("/concerts/0/title", json!("x".repeat(256)), "/concerts/0/title", "must have at most 255 characters"),
        (
            "/concerts/0/description",
            json!("x".repeat(4_001)),
            "/concerts/0/description",
            "must have at most 4000 characters",
        ),
        (
            "/concerts/0/sales_open_at",
            json!("tomorrow"),
            "/concerts/0/sales_open_at",
            "must be an RFC 3339 time such as 2030-01-12T10:00:00Z",
        ),
        (
            "/concerts/0/sales_open_at",
            json!("2031-01-01T00:00:00Z"),
            "/concerts/0/sales_close_at",
            "sales must open before they close",
        ),
        ("/concerts/0/max_active", json!(0), "/concerts/0/max_active", "must be from 1 to 1000000"),
        ("/concerts/0/max_seats_per_account", json!(101), "/concerts/0/max_seats_per_account", "must be from 1 to 100"),
        (
            "/concerts/0/performances/0/starts_at",
            json!("0001-01-01T00:00:00Z"),
            "/concerts/0/performances/0/starts_at",
            "must be in the years 1970 to 9999",
        ),
        (
            "/concerts/0/performances/0/venue",
            json!("arena"),
            "/concerts/0/performances/0/venue",
            "the file has no venue of this key",
        ),
        (
            "/concerts/0/performances/0/prices",
            json!([]),
            "/concerts/0/performances/0/prices",
            "the section `A` has no price",
        ),
        (
            "/concerts/0/performances/0/prices/1/section",
            json!("C"),
            "/concerts/0/performances/0/prices/1/section",
            "the venue has no such section",
        ),
        (
            "/concerts/0/performances/0/prices/1/section",
            json!("A-1"),
            "/concerts/0/performances/0/prices/1/section",
            "the venue has no such section",
        ),
        (
            "/concerts/0/performances/0/prices/1/section",
            json!("B"),
            "/concerts/0/performances/0/prices/1/section",
            "the section has a price already",
        ),
        (
            "/concerts/0/performances/0/prices/1/price",
            json!(-1),
            "/concerts/0/performances/0/prices/1/price",
            "a price is 0 to 100000000 points",
        ),
        (
            "/concerts/0/performances/0/prices/1/price",
            json!(100_000_001),
            "/concerts/0/performances/0/prices/1/price",
            "a price is 0 to 100000000 points",
        ),
    ] {
        assert_eq!(mistakes(&with(pointer, value)), [format!("{place}: {what}")]);
    }
}

#[test]
fn keys_are_unique_among_their_kind() {
    let mut file = sample();
    let (venue, concert) = (file["venues"][0].clone(), file["concerts"][0].clone());
    file["venues"].as_array_mut().unwrap().push(venue);
    file["concerts"].as_array_mut().unwrap().push(concert);
    assert_eq!(
        mistakes(&file),
        [
            "/venues/1/key: the key `hall` is taken by /venues/0",
            "/concerts/1/key: the key `night` is taken by /concerts/0",
            "/concerts/1/performances/0/key: the key `night-1` is taken by /concerts/0/performances/0",
        ]
    );
}

#[test]
fn every_mistake_is_told_at_once() {
    let mut file = with("/venues/0/sections/1/name", json!("B-"));
    file["venues"][0]["name"] = json!("");
    file["concerts"][0]["max_active"] = json!(0);
    file["concerts"][0]["performances"][0]["starts_at"] = json!("");
    file["concerts"][0]["performances"][0]["prices"][0]["price"] = json!(-5);
    let told = mistakes(&file);
    let places: Vec<_> = told.iter().map(|told| told.split(": ").next().unwrap()).collect();
    assert_eq!(
        places,
        [
            "/venues/0/name",
            "/venues/0/sections/1/name",
            "/concerts/0/max_active",
            "/concerts/0/performances/0/starts_at",
            "/concerts/0/performances/0/prices/0/price",
        ]
    );
}

#[test]
fn a_file_has_at_most_ten_million_seats() {
    let mut file = with("/venues/0/sections/0/rows/1/seats", json!(199_000));
    let performance = file["concerts"][0]["performances"][0].clone();
    let performances = (0..60).map(|i| {
        let mut performance = performance.clone();
        performance["key"] = json!(format!("night-{i}"));
        performance
    });
    file["concerts"][0]["performances"] = performances.collect();
    assert_eq!(mistakes(&file), ["/concerts: the performances have 11940360 seats; at most 10000000 fit"]);
}
