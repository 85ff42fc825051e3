//! The longest input that each route promises to take is not too large for it.

use axum::http::StatusCode;
use boxoffice_http::Code;
use serde_json::Value;

use crate::world::{Answer, NOTHING, World, get};

/// Characters in their longest form: decomposed, as macOS writes them, and then escaped, as the `json` of Python writes
/// everything beyond ASCII. The first is U+16D6A, of which no other is longer; the second is a syllable of Hangul.
const LONGEST_CHARACTERS: [(&str, &str); 2] = [
    ("\u{16D63}\u{16D67}\u{16D67}", "\\ud81b\\udd63\\ud81b\\udd67\\ud81b\\udd67"),
    ("\u{1112}\u{1161}\u{11AB}", "\\u1112\\u1161\\u11ab"),
];
const LONGEST_CHARACTER: &str = LONGEST_CHARACTERS[0].1;

/// A text of this many characters, each in its longest form. It ends with the digits of a number.
fn text(characters: usize, number: usize) -> String {
    let digits: Vec<_> = number.to_string().bytes().map(|digit| format!("\\u00{digit:x}")).collect();
    let digits = digits.concat();
    format!("\"{}{digits}\"", LONGEST_CHARACTER.repeat(characters - number.to_string().len()))
}

const NEW_LINE: &str = "\n";

/// Sections of as many rows, with names of so many characters, and rows of as many seats.
fn venue(sections: usize, rows: usize, seats: usize, section_name: usize, row_name: usize) -> String {
    // As the `json` of Python indents it.
    let row = |row| {
        let name = text(row_name, row);
        let members = format!("{NEW_LINE:21}\"name\": {name},{NEW_LINE:21}\"seats\": {seats}.0");
        format!("{NEW_LINE:17}{{{members}{NEW_LINE:17}}}")
    };
    let rows: Vec<_> = (0..rows).map(row).collect();
    let rows = rows.join(",");
    let section = |section| format!("{{\"name\": {}, \"rows\": [{rows}]}}", text(section_name, section));
    let sections: Vec<_> = (0..sections).map(section).collect();
    let (name, location) = (text(255, 0), text(255, 0));
    format!("{{\"name\": {name}, \"location\": {location}, \"sections\": [{}]}}", sections.join(", "))
}

/// A venue of 1,000 sections with the longest layout: their names have so many characters.
fn drawn(venue: &str, section_name: usize) -> String {
    let place = |section| {
        let name = text(section_name, section);
        let at = format!("{NEW_LINE:17}\"x\": -1234.567890,{NEW_LINE:17}\"y\": -1234.567890");
        let turn = format!("{NEW_LINE:17}\"angle\": -123.456789,{NEW_LINE:17}\"curvature\": 0.123456");
        format!("{NEW_LINE:13}{{{NEW_LINE:17}\"section\": {name},{at},{turn}{NEW_LINE:13}}}")
    };
    let places: Vec<_> = (0..1_000).map(place).collect();
    let layout = format!("{{\"sections\": [{}], \"marks\": []}}", places.join(","));
    format!("{}, \"layout\": {layout}}}", venue.strip_suffix('}').unwrap())
}

fn prices(sections: usize) -> String {
    let price = |section| format!("{{\"section\": {}, \"price\": 100000000.00}}", text(255, section));
    let prices: Vec<_> = (0..sections).map(price).collect();
    format!(
        "{{\"venue_id\": \"{NOTHING}\", \"starts_at\": \"2026-12-31T23:59:59.999999+09:00\", \"prices\": [{}]}}",
        prices.join(", ")
    )
}

fn concert() -> String {
    let times = "\"sales_open_at\": \"2026-01-01T00:00:00.000000+09:00\", \
        \"sales_close_at\": \"2026-12-31T23:59:59.999999+09:00\", \"max_seats_per_account\": 100.0";
    let (name, description) = (text(255, 0), text(4_000, 0));
    format!("{{\"title\": {name}, \"artist\": {name}, \"description\": {description}, \"max_active\": 1e6, {times}}}")
}

fn seats(count: usize) -> String {
    let part = LONGEST_CHARACTER.repeat(255);
    let labels: Vec<_> = (1..=count).map(|number| format!("\"{part}\\u002d{part}\\u002d{number}\"")).collect();
    format!("{{\"performance_id\": \"{NOTHING}\", \"seats\": [{}]}}", labels.join(", "))
}

fn account() -> String {
    let (login_id, password): (String, _) = ("\\uff21".repeat(64), LONGEST_CHARACTER.repeat(128));
    format!("{{\"login_id\": \"{login_id}\", \"password\": \"{password}\", \"name\": {}}}", text(255, 0))
}

/// A webhook of the longest URL and kinds, each character as an escape.
fn webhook() -> String {
    let escaped = |text: String| text.bytes().fold(String::new(), |all, byte| format!("{all}\\u00{byte:02x}"));
    let url = escaped(format!("https://shop.example/{}", "x".repeat(2_048 - 21)));
    let kind =
        |number: u8| format!("\"{}\"", escaped(format!("a.{}", char::from(b'a' + number).to_string().repeat(62))));
    let kinds: Vec<_> = (0..20).map(kind).collect();
    format!("{{\"url\": \"{url}\", \"kinds\": [{}]}}", kinds.join(", "))
}

/// The longest bodies that an operation promises to take, each with the status of its response.
fn longest(operation: &str, seats_max: usize) -> Vec<(String, StatusCode)> {
    let refresh_token = "\\u0061".repeat(128);
    match operation {
        "accounts_sign_up" => vec![(account(), StatusCode::CREATED)],
        "accounts_sign_in" => {
            let (login_id, password) = ("\\uff21".repeat(64), LONGEST_CHARACTER.repeat(128));
            let body = format!("{{\"login_id\": \"{login_id}\", \"password\": \"{password}\"}}");
            vec![(body, StatusCode::UNAUTHORIZED)]
        }
        "accounts_refresh" => {
            vec![(format!("{{\"refresh_token\": \"{refresh_token}\"}}"), StatusCode::UNAUTHORIZED)]
        }
        "accounts_change_password" => {
            let password = LONGEST_CHARACTER.repeat(128);
            let body = format!("{{\"current_password\": \"{password}\", \"new_password\": \"{password}\"}}");
            vec![(body, StatusCode::UNAUTHORIZED)]
        }
        "accounts_begin_second_factor" => {
            vec![(format!("{{\"password\": \"{}\"}}", LONGEST_CHARACTER.repeat(128)), StatusCode::FORBIDDEN)]
        }
        "accounts_confirm_second_factor" => {
            vec![("{\"code\": \"123456\"}".to_owned(), StatusCode::NOT_FOUND)]
        }
        "accounts_begin_email" => {
            let email = format!("{}@{}.{}.org", "\\u0061".repeat(64), "\\u0061".repeat(63), "\\u0061".repeat(63));
            let password = LONGEST_CHARACTER.repeat(128);
            let body = format!("{{\"email\": \"{email}\", \"password\": \"{password}\"}}");
            vec![(body, StatusCode::UNAUTHORIZED)]
        }
        "accounts_begin_password_reset" => {
            vec![(format!("{{\"login_id\": \"{}\"}}", "\\uff21".repeat(64)), StatusCode::ACCEPTED)]
        }
        "accounts_complete_password_reset" => {
            vec![(format!("{{\"password\": \"{}\"}}", LONGEST_CHARACTER.repeat(128)), StatusCode::NOT_FOUND)]
        }
        "accounts_verify_email" => {
            vec![("{\"code\": \"12345678\"}".to_owned(), StatusCode::UNPROCESSABLE_ENTITY)]
        }
        "accounts_change" => vec![("{\"language\": \"en\"}".to_owned(), StatusCode::OK)],
        "accounts_erase" | "accounts_remove_second_factor" | "accounts_remove_email" => {
            vec![(format!("{{\"password\": \"{}\"}}", LONGEST_CHARACTER.repeat(128)), StatusCode::UNAUTHORIZED)]
        }
        "catalog_publish_concert" => vec![(concert(), StatusCode::CREATED)],
        "catalog_update_concert" => vec![(concert(), StatusCode::OK)],
        "catalog_publish_venue" => vec![
            (venue(1, 100, 24, 255, 255), StatusCode::CREATED),
            (venue(1, 8_333, 24, 255, 255), StatusCode::CREATED),
            (venue(1, 25_000, 8, 255, 90), StatusCode::CREATED),
            (venue(1_000, 200, 1, 200, 11), StatusCode::CREATED),
            (venue(1_000, 200, 2, 200, 11), StatusCode::UNPROCESSABLE_ENTITY),
            (drawn(&venue(1_000, 200, 1, 77, 11), 77), StatusCode::CREATED),
        ],
        "catalog_publish_performance" => vec![(prices(1_000), StatusCode::NOT_FOUND)],
        "payments_pay" => vec![(format!("{{\"reservation_id\": \"{NOTHING}\"}}"), StatusCode::NOT_FOUND)],
        "reservations_hold" => vec![(seats(seats_max), StatusCode::NOT_FOUND)],
        "wallet_charge" => {
            let method = "m".repeat(255);
            vec![(format!("{{\"amount\": 10000000.000000, \"payment_method\": \"{method}\"}}"), StatusCode::CREATED)]
        }
        "webhooks_create" => vec![(webhook(), StatusCode::CREATED)],
        "webhooks_change" => vec![(webhook(), StatusCode::NOT_FOUND)],
        "webhooks_resend_span" => {
            let body = "{\"from\": \"2026-01-01T00:00:00.000000+09:00\", \"to\": \"2026-01-31T23:59:59.999999+09:00\"}";
            vec![(body.to_owned(), StatusCode::NOT_FOUND)]
        }
        "wallet_refund_charge" => vec![("{\"amount\": 10000000.000000}".to_owned(), StatusCode::NOT_FOUND)],
        other => panic!("what is the longest body of {other}?"),
    }
}

async fn send(world: &World, method: &str, path: &str, operation: &str, body: String) -> Answer {
    let path = if operation == "catalog_update_concert" || operation == "catalog_publish_performance" {
        path.replace("{id}", &world.show.concert.id.to_string())
    } else {
        path.replace("{id}", &NOTHING.to_string())
    };
    let ask = get(path).method(method.to_uppercase().parse().unwrap()).raw("application/json", body).key("key");
    let ask = if operation.starts_with("catalog") || operation.starts_with("webhooks") {
        ask.signed_in("promoter")
    } else {
        ask.queued(&world.token().await)
    };
    // Comparing a response of many megabytes with the document would take long.
    ask.unchecked(&world.router()).await
}

/// Sends the longest bodies of every operation that takes one, at most so many of each.
async fn all_fit(body_bytes_max: usize, seats_max: u32, bodies: usize) {
    let document = serde_json::to_value(boxoffice_http::openapi()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation["requestBody"].is_null() {
                continue;
            }
            let id = operation["operationId"].as_str().unwrap();
            for (body, status) in longest(id, seats_max as usize).into_iter().take(bodies) {
                let mut world = World::new().await;
                world.settings.body_bytes_max = body_bytes_max;
                world.settings.rules.seats_per_reservation_max = seats_max.try_into().unwrap();
                let bytes = body.len();
                let answer = send(&world, method, path, id, body).await;
                let shown: String = String::from_utf8_lossy(&answer.body).chars().take(400).collect();
                assert_eq!(answer.status, status, "{id} with {bytes} bytes: {shown}");
            }
        }
    }
}

#[tokio::test]
async fn the_longest_promised_input_of_every_route_fits() {
    all_fit(65_536, 4, usize::MAX).await;
}

#[tokio::test]
async fn it_fits_where_the_operator_has_set_a_low_limit_and_long_reservations() {
    all_fit(1_024, 100, 1).await;
}

#[tokio::test]
async fn a_body_beyond_the_promise_is_too_large() {
    let world = World::new().await;
    let beyond = |bytes: usize| format!("{{\"name\": \"{}\"}}", "x".repeat(bytes));
    for (method, path, operation, bytes) in [
        ("post", "/v1/accounts", "accounts_sign_up", 65_536),
        ("post", "/v1/reservations", "reservations_hold", 75 << 10),
        ("post", "/v1/concerts", "catalog_publish_concert", 160 << 10),
        ("post", "/v1/concerts/{id}/performances", "catalog_publish_performance", 9 << 20),
        ("post", "/v1/venues", "catalog_publish_venue", 112 << 20),
    ] {
        let answer = send(&world, method, path, operation, beyond(bytes)).await;
        answer.refuses(Code::PayloadTooLarge);
        assert_eq!(answer.header("connection"), Some("close"), "{operation}");
    }
    // Long bodies are read for those who may publish alone.
    let customer = get("/v1/venues").method(axum::http::Method::POST).signed_in("customer");
    customer.raw("application/json", beyond(112 << 20)).send(&world.router()).await.refuses(Code::Forbidden);
}

#[tokio::test]
async fn texts_as_programs_write_them_are_counted_in_characters() {
    for (_, escaped) in LONGEST_CHARACTERS {
        let times = "\"sales_open_at\": \"2026-01-01T00:00:00Z\", \"sales_close_at\": \"2026-12-31T00:00:00Z\"";
        let concert = |characters: usize| {
            let description = escaped.repeat(characters);
            format!("{{\"title\": \"T\", \"artist\": \"A\", \"description\": \"{description}\", {times}}}")
        };
        let world = World::new().await;
        let publish = async |body| send(&world, "post", "/v1/concerts", "catalog_publish_concert", body).await;
        publish(concert(4_000)).await.succeeds(StatusCode::CREATED);
        publish(concert(4_001)).await.violates("/description", "text_too_long");
    }
}

#[tokio::test]
async fn the_longest_promised_query_fits() {
    let world = World::new().await;
    let (router, token) = (world.router(), world.token().await);
    for (decomposed, _) in LONGEST_CHARACTERS {
        let encoded = |characters: usize| -> String {
            url::form_urlencoded::byte_serialize(decomposed.repeat(characters).as_bytes()).collect()
        };
        get(format!("/v1/concerts?q={}", encoded(100))).send(&router).await.succeeds(StatusCode::OK);
        let refused = get(format!("/v1/concerts?q={}", encoded(101))).send(&router).await;
        refused.refuses_parameters(&[("q", "text_too_long")]);
        let seats = format!("/v1/performances/{}/seats?section={}", world.show.performance_id, encoded(255));
        get(seats).queued(&token).send(&router).await.succeeds(StatusCode::OK);
    }
}

#[test]
fn every_integer_of_a_body_has_bounds() {
    // A number beyond the bounds of a type is read as the last one on its side, which bounds have to refuse.
    let document = serde_json::to_value(boxoffice_http::openapi()).unwrap();
    let mut schemas = Vec::new();
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            collect(&document, &operation["requestBody"]["content"]["application/json"]["schema"], &mut schemas);
        }
    }
    assert!(schemas.len() >= 6);
    for schema in schemas {
        assert!(schema["minimum"].is_i64(), "{schema}");
    }
}

/// The schemas of integers in a schema.
fn collect<'d>(document: &'d Value, schema: &'d Value, found: &mut Vec<&'d Value>) {
    if let Some(reference) = schema["$ref"].as_str() {
        return collect(document, document.pointer(reference.strip_prefix('#').unwrap()).unwrap(), found);
    }
    for property in schema["properties"].as_object().into_iter().flat_map(|properties| properties.values()) {
        collect(document, property, found);
    }
    if schema["items"].is_object() {
        collect(document, &schema["items"], found);
    }
    if schema["type"] == "integer" {
        found.push(schema);
    }
}
