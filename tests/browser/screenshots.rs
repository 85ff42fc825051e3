//! Pictures of every view, on a phone and on a desktop, in the light and in the dark, for people to look at.
//!
//! They are taken only where `TEST_SCREENSHOTS` names a folder for them. Every view is checked by axe in all four, with
//! or without pictures.

use serde_json::json;

use super::session::{Browser, Screen};
use crate::support::{
    client::Buyer,
    show::{PRICE, Terms, server_with_show},
};

const SCREENS: [Screen; 2] =
    [Screen { width: 390, height: 844, is_phone: true }, Screen { width: 1_440, height: 900, is_phone: false }];

/// Looks at the view that is shown, on both screens and in both colour schemes.
async fn look_at_all(browser: &Browser, view: &str) {
    for screen in SCREENS {
        browser.resize(screen).await;
        for (is_dark, scheme) in [(false, "light"), (true, "dark")] {
            browser.set_dark(is_dark).await;
            browser.look(&format!("{view} {} {scheme}", screen.width)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_view_can_be_used_on_small_and_large_screens_in_the_light_and_in_the_dark() {
    let (server, show) = server_with_show(&[], Terms::max_active(1)).await;
    let first = Buyer::admitted(server.api(), &show.concert).await;
    for labels in [&["A-1-4", "A-1-5"][..], &["A-3-3"]] {
        first.hold(&show.performance, labels).await;
    }
    let buyer = Buyer::new(server.api()).await;
    let browser = Browser::start(&server).await;
    let words = &browser.words;
    for (path, heading) in [("/", "home.title"), ("/sign-in", "sign.in"), ("/sign-up", "sign.up")] {
        browser.open(path).await;
        browser.sees_heading(&words.say(heading)).await;
        browser.sees_word(heading).await;
        look_at_all(&browser, heading).await;
    }
    browser.open_as(&buyer, &format!("/concerts/{}", show.concert)).await;
    browser.sees_word("concert.dates").await;
    look_at_all(&browser, "concert").await;
    browser.press_word("concert.to_queue").await;
    browser.sees_ahead(0).await;
    look_at_all(&browser, "queue").await;
    first.leave().await;
    browser.sees_heading(&words.say("hall.title")).await;
    browser
        .press(&format!("A-2-2, {}, {}", words.say_with("points", &[("count", json!(PRICE))]), words.say("hall.free")))
        .await;
    look_at_all(&browser, "hall").await;
    browser.press(&words.say_with("hall.hold", &[("count", json!(1))])).await;
    browser.sees_heading(&words.say("checkout.title")).await;
    look_at_all(&browser, "checkout").await;
    browser.press(&words.say_with("checkout.charge", &[("count", json!(PRICE))])).await;
    browser.press(&words.say_with("checkout.pay", &[("count", json!(PRICE))])).await;
    browser.sees_heading(&words.say("checkout.thanks")).await;
    look_at_all(&browser, "paid").await;
    for (link, text) in
        [("nav.tickets", "tickets.cancel"), ("nav.wallet", "wallet.kind.payment"), ("nav.account", "account.sessions")]
    {
        browser.press_word(link).await;
        browser.sees_word(text).await;
        look_at_all(&browser, link).await;
    }
    browser.finish().await;
    server.finish().await;
}
