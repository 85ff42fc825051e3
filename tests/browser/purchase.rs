//! A stranger's whole purchase, from the first look to the tickets: with a mouse, with a finger, and with keys.

use serde_json::{Value, json};
use thirtyfour::Key;

use super::session::{Browser, PHONE};
use crate::support::{
    client::{Buyer, fresh},
    server::{PASSWORD, Server},
    show::{PRICE, Terms, server_with_show},
};

const TITLE: &str = "겨울밤 어쿠스틱";

fn price(seats: i64) -> Value {
    json!(seats * PRICE)
}

/// Makes an account through the form, and arrives where the way led.
async fn sign_up(browser: &Browser, login_id: &str) {
    let words = &browser.words;
    browser.press_word("sign.up").await;
    browser.sees_heading(&words.say("sign.up")).await;
    browser.look("sign up").await;
    browser.enter(&words.say("sign.login_id"), login_id).await;
    browser.enter(&words.say("sign.name"), "김하늘").await;
    browser.enter(&words.say("sign.password"), PASSWORD).await;
    browser.press_word("sign.up").await;
}

/// What has been bought, as the API says it.
async fn assert_bought(server: &Server, login_id: &str, seats: &[&str]) {
    let buyer = Buyer::sign_in(server.api(), login_id).await;
    let reservations = buyer.list("/v1/reservations").await;
    assert_eq!((reservations.len(), &reservations[0]["status"]), (1, &json!("confirmed")));
    let labels: Vec<_> =
        reservations[0]["seats"].as_array().expect("seats").iter().map(|seat| &seat["label"]).collect();
    assert_eq!(labels, seats);
    assert_eq!(buyer.list("/v1/payments").await.len(), 1);
    assert_eq!(buyer.balance().await, 0);
}

/// Where a seat of the club is on the screen, if the whole hall is shown.
async fn point_of(browser: &Browser, label: &str) -> (f64, f64) {
    let seats: Vec<_> = (1..=5)
        .flat_map(|row| (1..=10).map(move |number| (row.to_string(), number)))
        .map(
            |(row, number)| json!({"label": format!("A-{row}-{number}"), "section": "A", "row": row, "number": number}),
        )
        .collect();
    let script = r#"
        const app = document.querySelector("script[type=module]").src;
        const { plan } = await import(app.replace("app.js", "hall/plan.js"));
        const { box, sections } = plan(given[0], undefined);
        const place = sections[0].places.find(({ seat }) => seat.label === given[1]);
        const canvas = document.querySelector("canvas");
        canvas.scrollIntoView({ block: "center", behavior: "instant" });
        const { left, top, width, height } = canvas.getBoundingClientRect();
        const scale = Math.min(width / (box.right - box.left + 2), height / (box.bottom - box.top + 2));
        return [left + width / 2 + scale * (place.x - (box.left + box.right) / 2),
                top + height / 2 + scale * (place.y - (box.top + box.bottom) / 2)];
    "#;
    let point = browser.run_async(script, &[json!(seats), json!(label)]).await;
    (point[0].as_f64().expect("a number"), point[1].as_f64().expect("a number"))
}

/// From the home page into the hall: signs up on the way.
async fn enter_the_hall(browser: &Browser, login_id: &str) {
    browser.open("/").await;
    browser.sees(TITLE).await;
    browser.look("home").await;
    browser.press(TITLE).await;
    browser.sees_heading(TITLE).await;
    browser.look("concert").await;
    browser.press_word("concert.to_queue").await;
    browser.sees_heading(&browser.words.say("sign.in")).await;
    browser.look("sign in").await;
    sign_up(browser, login_id).await;
    browser.sees_heading(&browser.words.say("hall.title")).await;
    browser.look("hall").await;
}

/// From the checkout to the tickets.
async fn charge_and_pay(browser: &Browser, seats: i64) {
    let words = &browser.words;
    browser.sees_heading(&words.say("checkout.title")).await;
    browser.sees(&words.say_with("checkout.missing", &[("count", price(seats))])).await;
    browser.look("checkout").await;
    browser.press(&words.say_with("checkout.charge", &[("count", price(seats))])).await;
    browser.press(&words.say_with("checkout.pay", &[("count", price(seats))])).await;
    browser.sees_heading(&words.say("checkout.thanks")).await;
    browser.look("paid").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_buys_with_a_mouse_in_english() {
    let (server, _) = server_with_show(&[], Terms::default()).await;
    let browser = Browser::start(&server).await;
    let (words, login_id) = (&browser.words, fresh("mouse"));
    enter_the_hall(&browser, &login_id).await;

    let (x, y) = point_of(&browser, "A-3-5").await;
    browser.click(x, y).await;
    let price = words.say_with("points", &[("count", price(1))]);
    browser.press(&format!("A-3-6, {price}, {}", words.say("hall.free"))).await;
    browser.sees("A-3-5 ✕ A-3-6 ✕").await;
    browser.look("hall with a choice").await;
    browser.press(&words.say_with("hall.hold", &[("count", json!(2))])).await;
    charge_and_pay(&browser, 2).await;
    browser.press_word("nav.tickets").await;
    browser.sees(&words.say_with("tickets.seats", &[("seats", json!("A-3-5, A-3-6"))])).await;
    browser.sees_word("tickets.status.confirmed").await;
    browser.look("tickets").await;

    assert_bought(&server, &login_id, &["A-3-5", "A-3-6"]).await;
    browser.finish().await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_buys_with_a_finger_in_korean() {
    let (server, _) = server_with_show(&[], Terms::default()).await;
    let browser = Browser::start_as(&server, "ko", PHONE).await;
    let (words, login_id) = (&browser.words, fresh("finger"));
    enter_the_hall(&browser, &login_id).await;
    assert_eq!(browser.run("return document.documentElement.lang", &[]).await, "ko");

    for label in ["A-2-4", "A-2-5"] {
        let (x, y) = point_of(&browser, label).await;
        browser.touch(x, y).await;
        browser.sees(&format!("{label} ✕")).await;
    }
    browser.look("hall with a choice on a phone").await;
    browser.press(&words.say_with("hall.hold", &[("count", json!(2))])).await;
    charge_and_pay(&browser, 2).await;
    browser.press_word("nav.tickets").await;
    browser.sees(&words.say_with("tickets.seats", &[("seats", json!("A-2-4, A-2-5"))])).await;
    browser.look("tickets on a phone").await;

    assert_bought(&server, &login_id, &["A-2-4", "A-2-5"]).await;
    browser.finish().await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_buys_by_keyboard_alone() {
    let (server, _) = server_with_show(&[], Terms::default()).await;
    let browser = Browser::start(&server).await;
    let (words, login_id) = (&browser.words, fresh("keys"));
    browser.open("/").await;
    browser.sees(TITLE).await;
    browser.tab_to(TITLE).await;
    browser.type_keys(Key::Enter).await;
    browser.sees_word("concert.to_queue").await;
    browser.tab_to(&words.say("concert.to_queue")).await;
    browser.type_keys(Key::Enter).await;
    browser.sees_word("sign.up_instead").await;
    browser.tab_to(&words.say("sign.up")).await;
    browser.type_keys(Key::Enter).await;
    browser.sees_word("sign.in_instead").await;
    for (label, text) in [("sign.login_id", &*login_id), ("sign.name", "Haneul Kim"), ("sign.password", PASSWORD)] {
        browser.tab_to(&words.say(label)).await;
        browser.type_keys(text).await;
    }
    browser.type_keys(Key::Enter).await;

    browser.sees_heading(&words.say("hall.title")).await;
    browser.sees_word("hall.arrows").await;
    let seat = |label: &str, state: &str| {
        let price = words.say_with("points", &[("count", price(1))]);
        format!("{label}, {price}, {}", words.say(&format!("hall.{state}")))
    };
    browser.tab_to(&seat("A-1-1", "free")).await;
    browser.type_keys(Key::Down).await;
    browser.type_keys(Key::Right).await;
    browser.type_keys(" ").await;
    browser.sees("A-2-2 ✕").await;
    browser.type_keys(Key::Right).await;
    browser.type_keys(" ").await;
    browser.sees("A-2-3 ✕").await;
    browser.tab_to(&words.say_with("hall.hold", &[("count", json!(2))])).await;
    browser.type_keys(Key::Enter).await;

    browser.sees_heading(&words.say("checkout.title")).await;
    browser.tab_to(&words.say_with("checkout.charge", &[("count", price(2))])).await;
    browser.type_keys(" ").await;
    let pay = words.say_with("checkout.pay", &[("count", price(2))]);
    browser.sees(&pay).await;
    browser.tab_to(&pay).await;
    browser.type_keys(" ").await;
    browser.sees_heading(&words.say("checkout.thanks")).await;
    browser.tab_to(&words.say("nav.tickets")).await;
    browser.type_keys(Key::Enter).await;
    browser.sees(&words.say_with("tickets.seats", &[("seats", json!("A-2-2, A-2-3"))])).await;

    assert_bought(&server, &login_id, &["A-2-2", "A-2-3"]).await;
    browser.finish().await;
    server.finish().await;
}
