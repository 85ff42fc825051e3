//! Texts, which come in any form of Unicode.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::world::{World, get, patch, post};

/// A text as macOS writes it, and as keyboards type it.
const DECOMPOSED: &str = "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1161}\u{11bc} Cafe\u{301}";
const COMPOSED: &str = "한강 Caf\u{e9}";

#[tokio::test]
async fn an_account_is_the_same_in_every_form_of_its_texts() {
    let router = World::new().await.router();
    let sign_up = |login_id: &str, password: &str| {
        post("/v1/accounts", json!({"login_id": login_id, "password": password, "name": DECOMPOSED}))
    };
    let account = sign_up("Haneul.Kim ", "pa\u{df}wo\u{308}rter").key("k").send(&router).await;
    let account = account.succeeds(StatusCode::CREATED);
    assert_eq!((&account["login_id"], &account["name"]), (&json!("haneul.kim"), &json!(COMPOSED)));
    for (login_id, password, status) in [
        ("haneul.kim", "pa\u{df}w\u{f6}rter", StatusCode::CREATED),
        ("HANEUL.KIM", "pa\u{df}wo\u{308}rter", StatusCode::CREATED),
        (" haneul.kim", "pa\u{df}w\u{f6}rter", StatusCode::CREATED),
        ("haneul.kim", "pa\u{df}worter", StatusCode::UNAUTHORIZED),
    ] {
        let body = json!({"login_id": login_id, "password": password});
        assert_eq!(post("/v1/sessions", body).send(&router).await.status, status, "{login_id:?} {password:?}");
    }
    let again = sign_up("HANEUL.kim", "pa\u{df}w\u{f6}rter");
    assert_eq!(again.send(&router).await.status, StatusCode::CONFLICT);
    // The same request in another form is the same request.
    let again = sign_up("haneul.KIM", "pa\u{df}w\u{f6}rter").key("k").send(&router).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
}

#[tokio::test]
async fn emoji_are_welcome_in_titles_and_sections_differ_by_what_is_seen() {
    let world = World::new().await;
    let router = world.router();
    for text in ["👩\u{200d}🎤 live", "❤\u{fe0f} & 🔥", "葛\u{e0100}飾"] {
        let answer = patch(world.concert_path(), json!({"title": text, "description": text}));
        let changed = answer.signed_in("promoter").send(&router).await;
        assert_eq!(changed.succeeds(StatusCode::OK)["title"], text);
        let rows = json!([{"name": "1", "seats": 1}]);
        let venue = |section: &str, row: &str| {
            let sections = json!([{"name": section, "rows": [{"name": row, "seats": 1}]}, {"name": "B", "rows": rows}]);
            post("/v1/venues", json!({"name": text, "location": text, "sections": sections})).signed_in("promoter")
        };
        let section = venue(text, "1").send(&router).await;
        section.violates("/sections/0/name", "text_invisible_character");
        let row = venue("A", text).send(&router).await;
        row.violates("/sections/0/rows/0/name", "text_invisible_character");
        venue("❤ 🔥", "🎤").send(&router).await.succeeds(StatusCode::CREATED);
    }
}

#[tokio::test]
async fn what_cannot_be_seen_is_refused_in_every_text() {
    let world = World::new().await;
    let router = world.router();
    for (text, code) in [
        ("\u{200b}", "text_invisible_character"),
        ("Night\u{202e}gnos", "text_invisible_character"),
        ("\u{3164}", "text_invisible_character"),
        ("\u{2800}", "text_invisible_character"),
        ("Night \u{e000}", "text_undefined_character"),
        ("\u{378}", "text_undefined_character"),
        ("\u{ffff}", "text_undefined_character"),
        ("\u{301}", "text_nothing_visible"),
        ("\u{a0}\u{3000}", "text_empty"),
    ] {
        for field in ["title", "artist", "description"] {
            let answer = patch(world.concert_path(), json!({ field: text })).signed_in("promoter").send(&router).await;
            match (field, code) {
                ("description", "text_empty") => _ = answer.succeeds(StatusCode::OK),
                _ => answer.violates(&format!("/{field}"), code),
            }
        }
        let row = json!([{"name": "1", "seats": 1}]);
        let named = |name: &str, section: &str| json!({"name": name, "location": "Seoul", "sections": [{"name": section, "rows": row}]});
        for (body, pointer) in [(named(text, "A"), "/name"), (named("Hall", text), "/sections/0/name")] {
            post("/v1/venues", body).signed_in("promoter").send(&router).await.violates(pointer, code);
        }
        let account = json!({"login_id": "haneul", "password": "long enough", "name": text});
        post("/v1/accounts", account).send(&router).await.violates("/name", code);
    }
    let account = json!({"login_id": "haneul", "password": "long enough\u{200b}", "name": "Haneul"});
    post("/v1/accounts", account).send(&router).await.violates("/password", "password_character");
    let emoji = json!({"title": "Night \u{1f469}\u{200d}\u{1f3a4}"});
    let concert = patch(world.concert_path(), emoji.clone()).signed_in("promoter").send(&router).await;
    assert_eq!(concert.succeeds(StatusCode::OK)["title"], emoji["title"]);
}

#[tokio::test]
async fn sections_rows_and_prices_of_one_look_are_one() {
    let world = World::new().await;
    let router = world.router();
    let venue = async |sections: Value| {
        let body = json!({"name": DECOMPOSED, "location": "Seoul", "sections": sections});
        post("/v1/venues", body).signed_in("promoter").send(&router).await
    };
    let section = |name: &str, rows: &[&str]| json!({"name": name, "rows": rows.iter().map(|row| json!({"name": row, "seats": 1})).collect::<Vec<_>>()});
    let twice = venue(json!([section(DECOMPOSED, &["1"]), section(COMPOSED, &["1"])])).await;
    twice.violates("/sections/1/name", "section_repeated");
    let twice = venue(json!([section("A", &["e\u{301}", "\u{e9}"])])).await;
    twice.violates("/sections/0/rows/1/name", "row_repeated");
    let published = venue(json!([section(DECOMPOSED, &["e\u{301}"])])).await.succeeds(StatusCode::CREATED);
    assert_eq!((&published["name"], &published["sections"][0]["name"]), (&json!(COMPOSED), &json!(COMPOSED)));

    let path = format!("{}/performances", world.concert_path());
    let performance = async |prices: Value| {
        let starts_at = world.stage.now() + chrono::TimeDelta::days(1);
        let body = json!({"venue_id": published["id"], "starts_at": starts_at, "prices": prices});
        post(&path, body).signed_in("promoter").send(&router).await
    };
    let price = |section: &str| json!({"section": section, "price": 1_000});
    performance(json!([price(COMPOSED), price(DECOMPOSED)])).await.violates("/prices/1/section", "section_repeated");
    let performance = performance(json!([price(DECOMPOSED)])).await.succeeds(StatusCode::CREATED);

    let seats = format!("/v1/performances/{}/seats", performance["id"].as_str().unwrap());
    let token = world.token().await;
    let section = "%E1%84%92%E1%85%A1%E1%86%AB%E1%84%80%E1%85%A1%E1%86%BC%20Cafe%CC%81";
    let map = get(format!("{seats}?section={section}")).queued(&token).send(&router).await.succeeds(StatusCode::OK);
    assert_eq!(map["seats"][0]["label"], json!(format!("{COMPOSED}-\u{e9}-1")));
    let hold = json!({"performance_id": performance["id"], "seats": [format!("{DECOMPOSED}-e\u{301}-1")]});
    let held = post("/v1/reservations", hold).queued(&token).send(&router).await.succeeds(StatusCode::CREATED);
    assert_eq!(held["seats"][0]["label"], json!(format!("{COMPOSED}-\u{e9}-1")));
}
