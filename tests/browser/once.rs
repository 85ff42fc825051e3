//! What is wished once happens once, however it is pressed: in two tabs, twice, after Back and Reload, and over the end of
//! a session.

use serde_json::{Value, json};

use super::session::Browser;
use crate::support::{
    client::Buyer,
    server::Server,
    show::{PRICE, Show, Terms, server_with_buyer, server_with_show},
    until,
};

fn word(browser: &Browser, name: &str, count: i64) -> String {
    browser.words.say_with(name, &[("count", json!(count))])
}

/// The label of a free seat as it is read out.
fn free_seat(browser: &Browser, label: &str) -> String {
    let (price, state) = (word(browser, "points", PRICE), browser.words.say("hall.free"));
    format!("{label}, {price}, {state}")
}

async fn choose(browser: &Browser, labels: &[&str]) {
    browser.sees_heading(&browser.words.say("hall.title")).await;
    for label in labels {
        browser.press(&free_seat(browser, label)).await;
        browser.sees(&format!("{label} ✕")).await;
    }
}

/// A buyer in the hall.
async fn in_the_hall(settings: &[(&str, &str)]) -> (Server, Show, Buyer, Browser) {
    let (server, show) = server_with_show(settings, Terms::default()).await;
    let buyer = Buyer::new(server.api()).await;
    let browser = Browser::start(&server).await;
    browser.open_as(&buyer, &format!("/concerts/{}/queue", show.concert)).await;
    browser.sees_heading(&browser.words.say("hall.title")).await;
    (server, show, buyer, browser)
}

/// How many reservations, charges and payments the account has.
async fn counts(buyer: &Buyer) -> [usize; 3] {
    let entries = buyer.list("/v1/wallet/entries").await;
    let of_kind = |kind: &str| entries.iter().filter(|entry| entry["kind"] == kind).count();
    [buyer.list("/v1/reservations").await.len(), of_kind("charge"), of_kind("payment")]
}

#[tokio::test(flavor = "multi_thread")]
async fn double_clicks_hold_charge_and_pay_once() {
    let (server, _, buyer, browser) = in_the_hall(&[("SIMULATOR_DELAY_MILLISECONDS", "500")]).await;
    choose(&browser, &["A-1-1", "A-1-2"]).await;
    browser.press_twice(&word(&browser, "hall.hold", 2)).await;
    browser.sees_heading(&browser.words.say("checkout.title")).await;
    assert_eq!(counts(&buyer).await, [1, 0, 0]);
    browser.press_twice(&word(&browser, "checkout.charge", 2 * PRICE)).await;
    let pay = word(&browser, "checkout.pay", 2 * PRICE);
    browser.sees(&pay).await;
    assert_eq!(counts(&buyer).await, [1, 1, 0]);
    browser.press_twice(&pay).await;
    browser.sees_heading(&browser.words.say("checkout.thanks")).await;
    assert_eq!((counts(&buyer).await, buyer.balance().await), ([1, 1, 1], 0));
    browser.finish().await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_hold_charge_and_pay_once() {
    let (server, show, buyer, browser) = in_the_hall(&[("SIMULATOR_DELAY_MILLISECONDS", "700")]).await;
    let first = browser.window().await;
    let second = browser.open_window().await;
    // The second tab has the same place in the queue, and looks nothing up by itself any more.
    browser.open(&format!("/concerts/{}/queue", show.concert)).await;
    choose(&browser, &["A-1-1", "A-1-2"]).await;
    browser.pretend_hidden(true).await;
    browser.show(&first).await;
    choose(&browser, &["A-1-1"]).await;
    browser.press(&word(&browser, "hall.hold", 1)).await;
    browser.sees_heading(&browser.words.say("checkout.title")).await;
    let checkout = browser.path().await;

    browser.show(&second).await;
    browser.press(&word(&browser, "hall.hold", 2)).await;
    let own = browser.words.say_with("hall.held_by_you", &[("seats", json!("A-1-1"))]);
    browser.sees(&own).await;
    browser.look("hall with own seats").await;
    assert_eq!(counts(&buyer).await, [1, 0, 0]);

    // Both tabs are at the same checkout, and neither knows what the other does.
    browser.open(&checkout).await;
    let (charge, pay) = (word(&browser, "checkout.charge", PRICE), word(&browser, "checkout.pay", PRICE));
    browser.sees(&charge).await;
    browser.pretend_hidden(true).await;
    browser.press(&charge).await;
    browser.show(&first).await;
    browser.pretend_hidden(true).await;
    browser.press(&charge).await;
    browser.sees(&pay).await;
    assert_eq!(counts(&buyer).await, [1, 1, 0]);
    browser.press(&pay).await;
    browser.sees_heading(&browser.words.say("checkout.thanks")).await;
    browser.show(&second).await;
    browser.press(&pay).await;
    browser.sees_heading(&browser.words.say("checkout.thanks")).await;
    assert_eq!((counts(&buyer).await, buyer.balance().await), ([1, 1, 1], 0));
    browser.finish().await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tab_that_has_not_seen_the_payment_charges_nothing() {
    let (server, _, buyer, browser) = in_the_hall(&[]).await;
    let first = browser.window().await;
    choose(&browser, &["A-1-1"]).await;
    browser.press(&word(&browser, "hall.hold", 1)).await;
    browser.sees_heading(&browser.words.say("checkout.title")).await;
    let checkout = browser.path().await;
    let (charge, pay) = (word(&browser, "checkout.charge", PRICE), word(&browser, "checkout.pay", PRICE));
    let second = browser.open_window().await;
    browser.open(&checkout).await;
    browser.sees(&charge).await;
    browser.pretend_hidden(true).await;
    browser.show(&first).await;
    browser.press(&charge).await;
    browser.press(&pay).await;
    browser.sees_heading(&browser.words.say("checkout.thanks")).await;
    browser.show(&second).await;
    browser.press(&charge).await;
    browser.sees_heading(&browser.words.say("checkout.thanks")).await;
    assert_eq!((counts(&buyer).await, buyer.balance().await), ([1, 1, 1], 0));
    browser.finish().await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn back_and_reload_repeat_the_same_wish() {
    let (server, show, buyer, browser) = in_the_hall(&[("SIMULATOR_DELAY_MILLISECONDS", "1500")]).await;
    choose(&browser, &["A-1-1"]).await;
    // A choice survives a reload.
    browser.web().refresh().await.expect("it is loaded again");
    browser.sees("A-1-1 ✕").await;
    browser.press(&word(&browser, "hall.hold", 1)).await;
    browser.sees_heading(&browser.words.say("checkout.title")).await;
    browser.web().back().await.expect("there is a page before");
    browser.sees_heading(&browser.words.say("hall.title")).await;
    browser.sees(&browser.words.say_with("hall.none_chosen", &[("count", json!(4))])).await;
    browser.web().forward().await.expect("there is a page after");
    browser.sees_heading(&browser.words.say("checkout.title")).await;

    let charge = word(&browser, "checkout.charge", PRICE);
    browser.press(&charge).await;
    // The gateway takes a while, in which an impatient buyer loads the page again and presses again.
    browser.web().refresh().await.expect("it is loaded again");
    let pay = word(&browser, "checkout.pay", PRICE);
    until("the charge is pressed again, or done", async || {
        if browser.has_control(&charge).await {
            browser.press(&charge).await;
        }
        browser.has_control(&pay).await
    })
    .await;
    assert_eq!(counts(&buyer).await, [1, 1, 0]);
    browser.press(&pay).await;
    browser.sees_heading(&browser.words.say("checkout.thanks")).await;
    browser.web().refresh().await.expect("it is loaded again");
    browser.sees_heading(&browser.words.say("checkout.thanks")).await;
    browser.web().back().await.expect("there is a page before");
    browser.arrives(&format!("/performances/{}", show.performance)).await;
    browser.sees_word("hall.not_admitted").await;
    assert_eq!((counts(&buyer).await, buyer.balance().await), ([1, 1, 1], 0));
    browser.finish().await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn access_tokens_that_run_out_are_exchanged_in_the_middle() {
    // The pages exchange a token 20 seconds before its end, so this one serves for two.
    let (server, _, buyer, browser) = in_the_hall(&[("ACCESS_TOKEN_SECONDS", "22")]).await;
    let refreshes = async || {
        let log = browser.network_log().await;
        let sent = log.iter().filter(|entry| entry["method"] == "Network.requestWillBeSent");
        let urls = sent.filter_map(|entry| entry["params"]["request"]["url"].as_str());
        urls.filter(|url| url.ends_with("/v1/sessions/refresh")).count()
    };
    assert_eq!(refreshes().await, 1);
    let mut seen = 0;
    until("tokens were exchanged", async || {
        seen += refreshes().await;
        seen >= 2
    })
    .await;
    choose(&browser, &["A-1-1"]).await;
    browser.press(&word(&browser, "hall.hold", 1)).await;
    browser.press(&word(&browser, "checkout.charge", PRICE)).await;
    browser.press(&word(&browser, "checkout.pay", PRICE)).await;
    browser.sees_heading(&browser.words.say("checkout.thanks")).await;
    let buyer = Buyer::sign_in(&buyer.api, &buyer.login_id).await;
    assert_eq!(counts(&buyer).await, [1, 1, 1]);
    browser.finish().await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_ended_elsewhere_asks_to_sign_in_and_returns() {
    let (server, show, buyer) = server_with_buyer(&[], Terms::default()).await;
    buyer.charge(PRICE).await;
    let reservation = buyer.hold(&show.performance, &["A-1-1"]).await;
    let browser = Browser::start(&server).await;
    let checkout = format!("/checkout/{reservation}");
    browser.open_as(&buyer, &checkout).await;
    let pay = word(&browser, "checkout.pay", PRICE);
    browser.sees(&pay).await;

    let elsewhere = Buyer::sign_in(server.api(), &buyer.login_id).await;
    elsewhere.delete("/v1/me/sessions").send().await.is(204);
    browser.press(&pay).await;
    browser.sees_heading(&browser.words.say("sign.in")).await;
    browser.look("sign in again").await;
    browser.sign_in(&buyer.login_id).await;
    browser.arrives(&checkout).await;
    browser.press(&pay).await;
    browser.sees_heading(&browser.words.say("checkout.thanks")).await;
    assert_eq!(counts(&elsewhere).await, [1, 1, 1]);

    // Signing out by hand leaves nothing of the account behind.
    browser.press_word("nav.sign_out").await;
    browser.sees_word("nav.sign_in").await;
    let kept = "return Object.keys({ ...localStorage, ...sessionStorage })";
    assert_eq!(browser.run(kept, &[]).await, Value::from(Vec::<Value>::new()));
    browser.finish().await;
    server.finish().await;
}
