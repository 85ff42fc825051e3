//! However a file is broken, the message names the place, and says what is wrong in words for people.

use boxoffice_domain::text::Description;
use serde_json::{Value, json};

use super::{
    parse,
    tests::{mistakes, sample},
};

/// What this program, its language and its libraries would say.
const FOREIGN: [&str; 23] = [
    "i64",
    "u32",
    "usize",
    "struct",
    "Entry",
    "CatalogFile",
    "tuple",
    "enum",
    "variant",
    "invalid",
    "expected",
    "EOF",
    "parsing",
    "premature",
    "trailing",
    "lone",
    "sequence",
    "map",
    "null",
    "input",
    "Error",
    "serde",
    "char ",
];

#[track_caller]
fn speaks_to_people(found: &[String], broken: &str) {
    assert!(!found.is_empty(), "{broken}");
    for message in found {
        let foreign: Vec<_> = FOREIGN.iter().filter(|word| message.contains(*word)).collect();
        assert!(message.starts_with('/') && foreign.is_empty(), "{broken}: {message} {foreign:?}");
    }
}

/// A file in which every field is given.
fn whole() -> Value {
    let mut file = sample();
    file["venues"][0]["overlaps_allowed"] = json!(true);
    file["venues"][0]["time_zone"] = json!("Europe/Berlin");
    let section = file["venues"][0]["sections"][0].clone();
    let seat = format!("{}-{}-1", section["name"].as_str().unwrap(), section["rows"][0]["name"].as_str().unwrap());
    file["venues"][0]["layout"] = json!({
        "stage": {"x": -5.0, "y": -6.5, "width": 10, "depth": 4},
        "sections": [{"section": section["name"], "x": 0, "y": 1.5, "angle": -3, "curvature": 0.02}],
        "marks": [{"seat": seat, "mark": "wheelchair"}],
    });
    file["concerts"][0]["draw"] = json!(true);
    file["concerts"][0]["performances"][0]["duration_minutes"] = json!(90);
    file
}

/// The pointers to everything in a value.
fn places(value: &Value, at: String, found: &mut Vec<String>) {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, member)| (name.clone(), member)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect(),
        _ => Vec::new(),
    };
    for (name, member) in inner {
        places(member, format!("{at}/{name}"), found);
    }
    found.push(at);
}

fn all_places() -> Vec<String> {
    let mut found = Vec::new();
    places(&whole(), String::new(), &mut found);
    assert!(found.len() > 40, "{found:?}");
    found
}

#[test]
fn a_value_of_another_type_is_refused_at_its_place() {
    let mut refused = 0;
    for place in all_places() {
        for other in [
            json!(null),
            json!(true),
            json!(7),
            json!(-7),
            json!(1.5),
            json!(1e30),
            json!(u64::MAX),
            json!("text"),
            json!(""),
            json!([]),
            json!([[]]),
            json!({}),
            json!(["text", "text", []]),
        ] {
            let mut file = whole();
            *file.pointer_mut(&place).unwrap() = other.clone();
            let Err(found) = parse(file.to_string().as_bytes()) else { continue };
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            speaks_to_people(&found, &format!("{place} is {other}"));
            refused += 1;
            // The type is wrong where it was changed, or something is missing in what is there instead.
            let was = whole().pointer(&place).unwrap().clone();
            let (is_list, was_list) = (other.is_array(), was.is_array());
            let is_of_another_type = is_list != was_list || other.is_object() != was.is_object() || other.is_null();
            if is_of_another_type {
                assert!(found.len() == 1 && found[0].contains(&format!("{place}: ")), "{place} is {other}: {found:?}");
            }
        }
    }
    assert!(refused > 400, "{refused}");
}

#[test]
fn an_object_that_is_written_as_a_list_is_refused() {
    for place in all_places() {
        let mut file = whole();
        let value = file.pointer_mut(&place).unwrap();
        let Value::Object(members) = value.clone() else { continue };
        *value = members.into_iter().map(|(_, member)| member).collect();
        let shown = if place.is_empty() { "/" } else { &place };
        assert_eq!(mistakes(&file), [format!("{shown}: must be an object")]);
    }
}

#[test]
fn a_member_that_is_missing_given_twice_or_unknown_is_named() {
    let required = [
        "key", "venues", "concerts", "name", "rows", "seats", "section", "price", "x", "y", "width", "depth", "seat",
        "mark",
    ];
    for place in all_places().iter().filter(|place| !place.is_empty()) {
        let (parent, name) = place.rsplit_once('/').unwrap();
        let mut file = whole();
        let Some(object) = file.pointer_mut(parent).unwrap().as_object_mut() else { continue };
        let value = object.remove(name).unwrap();
        if place == "/venues/0/sections" {
            // A layout needs the sections beside it.
            object.remove("layout");
        }
        match parse(file.to_string().as_bytes()) {
            Ok(_) => assert!(!required.contains(&name) || parent == "/venues/0", "{place}"),
            Err(found) => {
                assert!(required.contains(&name), "{place}: {found:?}");
                assert_eq!(mistakes(&file), [format!("{place}: is required")]);
            }
        }
        let misspelt = format!("{name}_");
        file.pointer_mut(parent).unwrap()[&misspelt] = value.clone();
        file.pointer_mut(parent).unwrap()[name] = value;
        let unknown = "a catalog has no such field here: remove it, or correct its name";
        assert_eq!(mistakes(&file), [format!("{place}_: {unknown}")]);
        let twice = file.to_string().replace(&format!("\"{misspelt}\""), &format!("\"{name}\""));
        let found = parse(twice.as_bytes()).unwrap_err();
        assert!(found.len() == 1 && found[0].to_string().ends_with(&format!("/{name}: is given twice")), "{found:?}");
    }
}

#[test]
fn a_text_that_is_not_json_is_refused_at_its_line_and_column() {
    let whole = serde_json::to_string_pretty(&whole()).unwrap();
    for length in 0..whole.len() {
        let found = parse(&whole.as_bytes()[..length]).unwrap_err();
        speaks_to_people(&[found[0].to_string()], &whole[..length]);
    }
    let refused = |text: &str| {
        let found: Vec<_> = parse(text.as_bytes()).unwrap_err().iter().map(ToString::to_string).collect();
        speaks_to_people(&found, text);
        found[0].clone()
    };
    assert_eq!(refused(" \n"), "/: the file is empty");
    assert_eq!(
        refused("{\n  \"venues\": ["),
        "/: the file is not JSON: it ends at line 2, column 13, before it is complete"
    );
    let syntax = "; check the commas, quotes and brackets there";
    for (text, line, column) in [
        ("{\"venues\": [],}", 1, 15),
        ("{\"venues\": []}\n x", 2, 2),
        ("{\"venues\": [}", 1, 13),
        ("{'venues': []}", 1, 2),
        ("{\"venues\": [\"\\ud800\"]}", 1, 20),
        ("{\"venues\": 01}", 1, 13),
        ("venues: []", 1, 1),
    ] {
        assert_eq!(refused(text), format!("/: the file is not JSON: line {line}, column {column}{syntax}"), "{text}");
    }
    assert!(parse("[".repeat(100_000).as_bytes()).is_err());
    assert!(parse(b"\xff\xfe").is_err());
    assert!(parse(br#"{"venues": [], "concerts": []}"#).is_ok());
}

#[test]
fn a_whole_number_is_taken_in_every_form_of_json() {
    let expected = parse(whole().to_string().as_bytes()).unwrap();
    let text = whole().to_string();
    for (number, forms) in [
        ("\"seats\":2", ["\"seats\":2.0", "\"seats\":0.2e1"]),
        ("\"price\":10", ["\"price\":10.00", "\"price\":1e1"]),
        ("\"max_active\":50", ["\"max_active\":50.0", "\"max_active\":5E+1"]),
        ("\"max_seats_per_account\":4", ["\"max_seats_per_account\":4.0", "\"max_seats_per_account\":400e-2"]),
        ("\"duration_minutes\":90", ["\"duration_minutes\":90.0", "\"duration_minutes\":9e1"]),
    ] {
        for form in forms {
            assert!(text.contains(number));
            assert_eq!(parse(text.replace(number, form).as_bytes()).as_ref(), Ok(&expected), "{form}");
        }
    }
    for (number, form, message) in [
        ("\"price\":10", "\"price\":10.5", "/concerts/0/performances/0/prices/0/price: must be a whole number"),
        (
            "\"price\":10",
            "\"price\":1e9",
            "/concerts/0/performances/0/prices/0/price: a price is 0 to 100000000 points",
        ),
        (
            "\"price\":10",
            "\"price\":1e400",
            "/concerts/0/performances/0/prices/0/price: a price is 0 to 100000000 points",
        ),
        ("\"max_active\":50", "\"max_active\":-1e400", "/concerts/0/max_active: must be from 1 to 1000000"),
        ("\"seats\":2", "\"seats\":4294967296", "/venues/0/sections/0/rows/0/seats: must be from 1 to 200000"),
    ] {
        let found = parse(text.replacen(number, form, 1).as_bytes()).unwrap_err();
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), [message], "{form}");
    }
}

#[test]
fn a_time_names_its_zone_and_no_more_digits_than_are_kept() {
    for place in ["/concerts/0/sales_open_at", "/concerts/0/performances/0/starts_at"] {
        for (text, message) in [
            ("2030-01-05T11:00:00", "has no zone: end it with `Z` for UTC, or with an offset such as `+09:00`"),
            ("2030-01-05", "is a day: add the time and its zone, as in `2026-05-01T11:00:00Z`"),
            ("2030-01-05T11:00:00.0000001Z", "must have at most six digits after the second"),
            ("2030-01-05T11:00", "has no zone: end it with `Z` for UTC, or with an offset such as `+09:00`"),
            ("05.01.2030 11:00", "must be a time with its zone, such as `2026-05-01T11:00:00Z`"),
            ("1800-01-05T11:00:00Z", "must lie in the years 1970 to 9999"),
        ] {
            let mut file = whole();
            *file.pointer_mut(place).unwrap() = json!(text);
            assert_eq!(mistakes(&file), [format!("{place}: {message}")]);
        }
    }
}

#[test]
fn a_text_may_be_decomposed_and_have_escapes_for_all_of_it() {
    let mut file = whole();
    let longest = "한".repeat(4_000);
    file["concerts"][0]["description"] = json!(longest);
    let escaped = "\\u1112\\u1161\\u11ab".repeat(4_000);
    let text = file.to_string().replace(&longest, &escaped);
    let catalog = parse(text.as_bytes()).unwrap();
    assert_eq!(catalog.concerts[0].description.as_ref().map(Description::as_str), Some(longest.as_str()));
}
