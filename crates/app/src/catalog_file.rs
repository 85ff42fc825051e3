//! The format of a catalog file, and how its text becomes a checked [`ImportedCatalog`].

mod check;

use std::fmt;

use boxoffice_domain::catalog::ImportedCatalog;
use boxoffice_http::json::{self, Fault, JsonError, Object, present};
use serde::Deserialize;

/// Something wrong in a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// The place, as a JSON pointer (RFC 6901).
    pub(crate) pointer: String,
    pub(crate) what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The pointer to the whole document is empty, which would read as if it were missing.
        let pointer = if self.pointer.is_empty() { "/" } else { &self.pointer };
        write!(f, "{pointer}: {}", self.what)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CatalogFile {
    venues: Vec<Object<VenueEntry>>,
    concerts: Vec<Object<ConcertEntry>>,
}

/// What is absent stays as it is stored, or gets its default if the key is new.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VenueEntry {
    key: String,
    #[serde(default, deserialize_with = "present")]
    name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    location: Option<String>,
    #[serde(default, deserialize_with = "present")]
    sections: Option<Vec<Object<SectionEntry>>>,
    #[serde(default, deserialize_with = "present")]
    overlaps_allowed: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    time_zone: Option<String>,
    #[serde(default, deserialize_with = "present")]
    layout: Option<Object<LayoutEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SectionEntry {
    name: String,
    rows: Vec<Object<RowEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RowEntry {
    name: String,
    seats: i64,
}

/// How a venue is drawn, as in the API.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LayoutEntry {
    #[serde(default, deserialize_with = "present")]
    stage: Option<Object<StageEntry>>,
    #[serde(default)]
    sections: Vec<Object<SectionPlaceEntry>>,
    #[serde(default)]
    marks: Vec<Object<MarkEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StageEntry {
    x: f64,
    y: f64,
    width: f64,
    depth: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SectionPlaceEntry {
    section: String,
    x: f64,
    y: f64,
    #[serde(default)]
    angle: f64,
    #[serde(default)]
    curvature: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MarkEntry {
    seat: String,
    mark: String,
}

/// Absent fields as of a venue.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConcertEntry {
    key: String,
    #[serde(default, deserialize_with = "present")]
    title: Option<String>,
    #[serde(default, deserialize_with = "present")]
    artist: Option<String>,
    #[serde(default, deserialize_with = "present")]
    description: Option<String>,
    #[serde(default, deserialize_with = "present")]
    sales_open_at: Option<String>,
    #[serde(default, deserialize_with = "present")]
    sales_close_at: Option<String>,
    #[serde(default, deserialize_with = "present")]
    max_seats_per_account: Option<i64>,
    #[serde(default, deserialize_with = "present")]
    max_active: Option<i64>,
    #[serde(default, deserialize_with = "present")]
    holds_need_balance: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    requires_verified_email: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    draw: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    performances: Option<Vec<Object<PerformanceEntry>>>,
}

/// Absent fields as of a venue.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PerformanceEntry {
    key: String,
    #[serde(default, deserialize_with = "present")]
    venue: Option<String>,
    #[serde(default, deserialize_with = "present")]
    starts_at: Option<String>,
    #[serde(default, deserialize_with = "present")]
    duration_minutes: Option<i64>,
    #[serde(default, deserialize_with = "present")]
    prices: Option<Vec<Object<PriceEntry>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceEntry {
    section: String,
    price: i64,
}

/// The catalog in a text, or everything that is wrong with it. If the text does not have the shape of a catalog, that is
/// only the first place.
pub(crate) fn parse(text: &[u8]) -> Result<ImportedCatalog, Vec<Mistake>> {
    let file = json::read(text).map_err(|error| vec![mistake(error)])?;
    check::check(&file)
}

fn mistake(error: JsonError) -> Mistake {
    match error {
        JsonError::Shape(Fault { code: "unknown_field", pointer, .. }) => {
            Mistake { pointer, what: "a catalog has no such field here: remove it, or correct its name".to_owned() }
        }
        JsonError::Shape(Fault { pointer, message, .. }) => Mistake { pointer, what: message.into() },
        error => Mistake { pointer: String::new(), what: format!("the file {error}") },
    }
}

#[cfg(test)]
mod broken_files;

#[cfg(test)]
mod tests {
    use boxoffice_domain::{
        catalog::{ConcertChange, ImportedPerformance, ImportedVenue},
        text::Name,
    };
    use serde_json::{Value, json};

    use super::*;

    pub(super) fn sample() -> Value {
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
    pub(super) fn with(pointer: &str, value: Value) -> Value {
        let mut file = sample();
        *file.pointer_mut(pointer).unwrap() = value;
        file
    }

    pub(super) fn mistakes(file: &Value) -> Vec<String> {
        let mistakes = parse(file.to_string().as_bytes()).unwrap_err();
        mistakes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_valid_file_becomes_a_catalog() {
        let catalog = parse(sample().to_string().as_bytes()).unwrap();
        assert_eq!(catalog.seats_count(), 9);
        let concert = &catalog.concerts[0];
        assert_eq!((concert.max_seats_per_account, concert.max_active, concert.draw), (Some(4), Some(50), None));
        let performance = &concert.performances()[0];
        assert_eq!(performance.starts_at.unwrap().to_rfc3339(), "2030-01-12T10:00:00+00:00");
        let prices = performance.prices.as_ref().unwrap().iter();
        let prices: Vec<_> = prices.map(|(section, price)| (section.as_str(), price.get())).collect();
        assert_eq!(prices, [("B", 10), ("A", 20)]);
    }

    #[test]
    fn the_sample_catalogs_are_valid() {
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
    fn every_field_but_the_keys_may_be_absent_and_none_may_be_null() {
        let file = json!({
            "venues": [{"key": "hall"}],
            "concerts": [{"key": "night", "performances": [{"key": "night-1"}]}, {"key": "day"}],
        });
        let catalog = parse(file.to_string().as_bytes()).unwrap();
        let key = |text| Name::new(text).unwrap();
        let (name, location, plan, layout, overlaps_allowed, time_zone) = (None, None, None, None, None, None);
        let hall = ImportedVenue { key: key("hall"), name, location, plan, layout, overlaps_allowed, time_zone };
        assert_eq!(catalog.venues, [hall]);
        let (venue_index, starts_at, duration_minutes, prices) = (None, None, None, None);
        let performance = ImportedPerformance { key: key("night-1"), venue_index, starts_at, duration_minutes, prices };
        assert_eq!(catalog.concerts[0].performances, Some(vec![performance]));
        assert_eq!(
            (&catalog.concerts[1].performances, catalog.concerts[1].change()),
            (&None, ConcertChange::default())
        );

        for (at, fields) in [
            ("/venues/0", &["name", "location", "sections", "overlaps_allowed", "time_zone", "layout"][..]),
            (
                "/concerts/0",
                &[
                    "title",
                    "artist",
                    "description",
                    "sales_open_at",
                    "sales_close_at",
                    "max_seats_per_account",
                    "max_active",
                    "draw",
                    "performances",
                ],
            ),
            ("/concerts/0/performances/0", &["venue", "starts_at", "duration_minutes", "prices"]),
        ] {
            for field in fields {
                let mut file = sample();
                file.pointer_mut(at).unwrap()[field] = Value::Null;
                let found = mistakes(&file);
                assert!(found.len() == 1 && found[0].starts_with(&format!("{at}/{field}: must be ")), "{found:?}");
            }
        }
        let mut file = sample();
        file["venues"][0]["overlaps_allowed"] = json!(true);
        file["venues"][0]["time_zone"] = json!("europe/berlin");
        let section = file["venues"][0]["sections"][0]["name"].clone();
        file["venues"][0]["layout"] = json!({"sections": [{"section": section, "x": 0.5, "y": 3}]});
        file["concerts"][0]["performances"][0]["duration_minutes"] = json!(90);
        file["concerts"][0]["draw"] = json!(true);
        let catalog = parse(file.to_string().as_bytes()).unwrap();
        assert_eq!((catalog.venues[0].overlaps_allowed, catalog.concerts[0].draw), (Some(true), Some(true)));
        assert_eq!(catalog.venues[0].time_zone.map(boxoffice_domain::TimeZone::as_str), Some("Europe/Berlin"));
        assert_eq!(catalog.venues[0].layout.as_ref().map(|layout| layout.sections[0].x), Some(0.5.into()));
        assert_eq!(catalog.concerts[0].performances()[0].duration_minutes, Some(90));
    }

    #[test]
    fn a_layout_is_checked_against_the_sections_beside_it() {
        let with = |layout: Value| {
            let mut file = sample();
            file["venues"][0]["layout"] = layout;
            file
        };
        for (layout, found) in [
            (
                json!({"sections": [{"section": "?", "x": 0, "y": 0}]}),
                "sections/0/section: the venue has no such section",
            ),
            (
                json!({"marks": [{"seat": "A", "mark": "companion"}]}),
                "marks/0/seat: a seat label is `SECTION-ROW-NUMBER`",
            ),
            (json!({"marks": [{"seat": "A-1-999", "mark": "companion"}]}), "marks/0/seat: the venue has no such seat"),
        ] {
            assert_eq!(mistakes(&with(layout)), [format!("/venues/0/layout/{found}")]);
        }
        let mut alone = with(json!({}));
        alone["venues"][0].as_object_mut().unwrap().remove("sections");
        assert_eq!(mistakes(&alone), ["/venues/0/layout: needs the `sections` of the venue beside it"]);
        let mut wrong = with(json!({}));
        wrong["venues"][0]["sections"] = json!([]);
        assert_eq!(mistakes(&wrong).len(), 1, "what is wrong with the sections is enough");
    }

    #[test]
    fn each_rule_names_its_place() {
        let no_seats = "a venue has at least one section, and a section at least one row";
        let no_time = "must be a time with its zone, such as `2026-05-01T11:00:00Z`";
        let too_fine = "must have at most six digits after the second";
        let (venue, concert, performance) = ("/venues/0", "/concerts/0", "/concerts/0/performances/0");
        for (at, field, value, what) in [
            (venue, "name", json!(""), "must not be empty"),
            (venue, "location", json!("a\nb"), "must not contain control characters"),
            (venue, "sections", json!([]), no_seats),
            (venue, "sections/1/name", json!("A-1"), "must not contain `-`"),
            (venue, "sections/1/name", json!(" A "), "section names are unique in their venue"),
            (venue, "sections/1/rows", json!([]), no_seats),
            (venue, "sections/0/rows/1/name", json!("1-2"), "must not contain `-`"),
            (venue, "sections/0/rows/1/name", json!("1"), "row names are unique in their section"),
            (venue, "sections/0/rows/1/seats", json!(0), "must be from 1 to 200000"),
            (venue, "sections/0/rows/1/seats", json!(u32::MAX), "must be from 1 to 200000"),
            (concert, "key", json!(" "), "must not be empty"),
            (concert, "title", json!("x".repeat(256)), "must have at most 255 characters"),
            (concert, "description", json!("x".repeat(4_001)), "must have at most 4000 characters"),
            (concert, "sales_open_at", json!("tomorrow"), no_time),
            (concert, "sales_open_at", json!("2026-01-05T11:00:00.1234567Z"), too_fine),
            (concert, "max_active", json!(0), "must be from 1 to 1000000"),
            (concert, "max_seats_per_account", json!(101), "must be from 1 to 100"),
            (performance, "starts_at", json!("0001-01-01T00:00:00Z"), "must lie in the years 1970 to 9999"),
            (performance, "duration_minutes", json!(0), "must be from 1 to 1440"),
            (performance, "duration_minutes", json!(1_441), "must be from 1 to 1440"),
            (performance, "venue", json!("arena"), "the file has no venue of this key"),
            (performance, "prices", json!([]), "the section `A` has no price"),
            (performance, "prices/1/section", json!("C"), "the venue has no such section"),
            (performance, "prices/1/section", json!("A-1"), "the venue has no such section"),
            (performance, "prices/1/section", json!("B"), "the section has a price already"),
            (performance, "prices/1/price", json!(-1), "a price is 0 to 100000000 points"),
            (performance, "prices/1/price", json!(100_000_001), "a price is 0 to 100000000 points"),
        ] {
            let mut file = sample();
            let (parent, name) = field
                .rsplit_once('/')
                .map_or((at.to_owned(), field), |(parent, name)| (format!("{at}/{parent}"), name));
            file.pointer_mut(&parent).unwrap()[name] = value;
            assert_eq!(mistakes(&file), [format!("{at}/{field}: {what}")]);
        }
        let large = with("/venues/0/sections/0/rows/1/seats", json!(199_999));
        assert_eq!(mistakes(&large), ["/venues/0/sections: a venue has at most 200000 seats"]);
        let late = with("/concerts/0/sales_open_at", json!("2031-01-01T00:00:00Z"));
        assert_eq!(mistakes(&late), ["/concerts/0/sales_close_at: sales must open before they close"]);
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
    fn keys_and_names_of_one_look_are_one() {
        let (decomposed, composed) = ("e\u{301}te\u{301}", "\u{e9}t\u{e9}");
        let mut file = with("/venues/0/key", json!(decomposed));
        file["concerts"][0]["performances"][0]["venue"] = json!(composed);
        file["venues"][0]["sections"][0]["name"] = json!(decomposed);
        file["concerts"][0]["performances"][0]["prices"][1]["section"] = json!(composed);
        file["concerts"][0]["title"] = json!(decomposed);
        let catalog = parse(file.to_string().as_bytes()).unwrap();
        let title = catalog.concerts[0].title.as_ref().map(Name::as_str);
        assert_eq!((catalog.venues[0].key.as_str(), title), (composed, Some(composed)));

        let mut again = file["venues"][0].clone();
        again["key"] = json!(composed);
        file["venues"].as_array_mut().unwrap().push(again);
        file["venues"][0]["sections"][1]["name"] = json!(composed);
        assert_eq!(
            mistakes(&file),
            [
                "/venues/0/sections/1/name: section names are unique in their venue".to_owned(),
                format!("/venues/1/key: the key `{composed}` is taken by /venues/0"),
            ]
        );
        for (pointer, hidden) in [
            ("/concerts/0/title", "\u{200b}"),
            ("/concerts/0/key", "night\u{200e}"),
            ("/venues/0/location", "Seoul\u{202e}"),
            ("/concerts/0/description", "\u{2066}"),
        ] {
            let found = mistakes(&with(pointer, json!(hidden)));
            assert!(
                found[0].starts_with(&format!("{pointer}: must not contain the invisible character U+")),
                "{found:?}"
            );
        }
    }

    #[test]
    fn keys_and_names_of_parts_differ_by_what_is_seen() {
        for hidden in ["❤\u{fe0f}", "👩\u{200d}💻", "d\u{200c}a", "\u{e000}"] {
            for pointer in [
                "/venues/0/key",
                "/concerts/0/key",
                "/concerts/0/performances/0/key",
                "/venues/0/sections/1/name",
                "/venues/0/sections/0/rows/0/name",
            ] {
                let found = mistakes(&with(pointer, json!(hidden)));
                assert!(found[0].starts_with(&format!("{pointer}: must not contain ")), "{hidden:?} {found:?}");
            }
        }
        assert!(parse(with("/concerts/0/title", json!("👩\u{200d}💻 ❤\u{fe0f}")).to_string().as_bytes()).is_ok());
    }

    #[test]
    fn every_mistake_is_found_at_once() {
        let mut file = with("/venues/0/sections/1/name", json!("B-"));
        file["venues"][0]["name"] = json!("");
        file["concerts"][0]["max_active"] = json!(0);
        file["concerts"][0]["performances"][0]["starts_at"] = json!("");
        file["concerts"][0]["performances"][0]["prices"][0]["price"] = json!(-5);
        let found = mistakes(&file);
        let places: Vec<_> = found.iter().map(|found| found.split(": ").next().unwrap()).collect();
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
}
