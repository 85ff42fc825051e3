//! Pictures of every view, on a phone and on a desktop, in the light and in the dark, for people to look at.
//!
//! They are taken only where `TEST_SCREENSHOTS` names a folder for them. Every view is checked by axe in all four, with
//! or without pictures.

use std::cell::Cell;

use boxoffice_rush::Request;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::session::{Browser, Screen};
use crate::support::{
    POLL,
    client::Buyer,
    eventually, list,
    server::Server,
    show::{PRICE, Show, Terms, server_with_show},
    text, until,
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
    for (path, heading) in
        [("/", "home.title"), ("/sign-in", "sign.in"), ("/sign-up", "sign.up"), ("/reset-password", "reset.title")]
    {
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

#[tokio::test(flavor = "multi_thread")]
async fn every_view_of_organisers_can_be_used_on_small_and_large_screens_in_the_light_and_in_the_dark() {
    let server = Server::start(&[]).await;
    let promoter = server.promoter("promoter").await;
    let show = Show::publish(&promoter, Terms::max_active(3)).await;
    let buyers = Buyer::many_in_queue(server.api(), 8, &show.concert).await;
    buyers[0].charge(2 * PRICE).await;
    buyers[0].pay(&buyers[0].hold(&show.performance, &["A-2-5", "A-2-6"]).await).await;
    buyers[1].hold(&show.performance, &["A-4-1"]).await;
    let browser = Browser::start(&server).await;
    browser.open_as(&promoter, "/organiser").await;
    browser.sees_word("organiser.publish").await;
    look_at_all(&browser, "organiser").await;
    browser.press_word("organiser.publish").await;
    browser.press_word("organiser.new_venue").await;
    look_at_all(&browser, "publish").await;
    browser.open(&format!("/organiser/concerts/{}", show.concert)).await;
    browser.sees_word("organiser.act.concert_published").await;
    look_at_all(&browser, "desk").await;
    browser.finish().await;
    server.finish().await;
}

/// The demonstration: a crowd buys at the arena while its organiser looks on. One of its pictures is on top of the README.
#[tokio::test(flavor = "multi_thread")]
async fn a_stampede_is_seen_at_the_desk() {
    let server = Server::start(&[("DEMO", "true"), ("DEMO_BUYERS", "400")]).await;
    let password = json!({"login_id": "promoter", "password": "promoter-password"});
    let promoter = eventually("the accounts of the demo are made", async || {
        let answer = server.api().post("/v1/sessions", &password).send().await;
        (answer.status == 201).then(|| text(&answer.json, "access_token").to_owned())
    });
    let promoter = promoter.await;
    let concerts = server.api().get("/v1/concerts").send().await;
    let tour = list(concerts.is(200), "items").iter().find(|concert| concert["artist"] == "ORBIT").expect("the tour");
    let id = text(tour, "id");
    // Few at once, so that there is a line.
    let few = Request {
        method: "PATCH".to_owned(),
        ..Request::post(format!("/v1/concerts/{id}"), &json!({"max_active": 40}))
    };
    server.api().ask(few).bearer(&promoter).send().await.is(200);
    let browser = Browser::start(&server).await;
    browser.open("/sign-in").await;
    browser.enter(&browser.words.say("sign.login_id"), "promoter").await;
    browser.enter(&browser.words.say("sign.password"), "promoter-password").await;
    browser.submit().await;
    browser.press_word("nav.organiser").await;
    browser.press(text(tour, "title")).await;
    browser.sees_figure("sold", "0").await;

    let url = server.url();
    let crowd = ["--url", &url, "--json", "--no-svg", "--buyers", "400", "--seats", "900", "--concert", id];
    let pace = ["--arrive", "2s", "--think", "1s"];
    let arguments = [&crowd[..], &pace].concat();
    let is_over = Cell::new(false);
    let rush = async {
        let ended = server.run_rush(&arguments, &[]).await;
        is_over.set(true);
        ended
    };
    let look = async {
        // A slow machine needs longer for the crowd. `boxoffice-rush` ends at its deadline, and this loop with it.
        while !is_over.get() && browser.figure("sold").await <= 300 {
            sleep(POLL).await;
        }
        until("half of the crowd has come in", async || browser.figure("sold").await > 300).await;
        for (is_dark, scheme) in [(false, "light"), (true, "dark")] {
            browser.set_dark(is_dark).await;
            browser.look(&format!("stampede {scheme}")).await;
            browser.take_picture_to(".selling", &format!("desk of a stampede {scheme}")).await;
        }
    };
    let ((code, printed, error), ()) = tokio::join!(rush, look);
    assert_eq!(code, 0, "{printed}{error}");
    let report: Value = serde_json::from_str(&printed).expect("a report");
    let sold = report["seats_sold"].as_u64().expect("a number");
    until("the desk has all that was sold", async || browser.figure("sold").await == sold).await;
    browser.finish().await;
    server.finish().await;
}
