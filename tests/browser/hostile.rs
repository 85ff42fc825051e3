//! Titles that want to be something else than text, on the narrowest screen.

use serde_json::json;

use super::session::{Browser, Screen};
use crate::support::{
    client::Buyer,
    server::Server,
    show::{PRICE, Show, Terms, add_performance, concert, venue_of},
};

const NARROW: Screen = Screen { width: 320, height: 640, is_phone: true };
/// What a title must not become.
const MADE_OF_TEXT: &str = r#"
return document.querySelectorAll("main script, main img, main iframe, main b, main [onerror]").length
"#;

/// A concert, an artist and a venue of that name, with one admission at a time.
async fn publish(promoter: &Buyer, name: &str) -> Show {
    let mut venue = venue_of(2);
    (venue["name"], venue["location"]) = (json!(name), json!(name));
    let venue = promoter.post("/v1/venues", &venue).send().await;
    venue.is(201);
    let terms = Terms::max_active(1);
    let mut concert = concert(&terms);
    for field in ["title", "artist", "description"] {
        concert[field] = json!(name);
    }
    let concert = promoter.post("/v1/concerts", &concert).send().await;
    concert.is(201);
    let (venue, concert) = (venue.id(), concert.id());
    let performance = add_performance(promoter, &concert, &venue, terms.starts_in_seconds).await;
    Show { concert, performance, venue }
}

async fn is_text(browser: &Browser, name: &str, view: &str) {
    browser.sees(name).await;
    assert_eq!(browser.run(MADE_OF_TEXT, &[]).await, 0, "{name} became more than text in the {view}");
    browser.look(&format!("{view} of a hostile title")).await;
}

/// The whole way of a purchase.
async fn stays_text_everywhere(name: &str) {
    let server = Server::start(&[]).await;
    let promoter = server.promoter("promoter").await;
    let show = publish(&promoter, name).await;
    let first = Buyer::admitted(server.api(), &show.concert).await;
    let buyer = Buyer::new(server.api()).await;
    buyer.charge(PRICE).await;
    let browser = Browser::start_as(&server, "en", NARROW).await;
    let words = &browser.words;
    browser.open_as(&buyer, "/").await;
    is_text(&browser, name, "home").await;
    browser.press(name).await;
    browser.sees_heading(name).await;
    is_text(&browser, name, "concert").await;
    browser.press_word("concert.to_queue").await;
    browser.sees_ahead(0).await;
    is_text(&browser, name, "queue").await;
    first.leave().await;
    browser.sees_heading(&words.say("hall.title")).await;
    is_text(&browser, name, "hall").await;
    let price = words.say_with("points", &[("count", json!(PRICE))]);
    browser.press(&format!("A-1-1, {price}, {}", words.say("hall.free"))).await;
    browser.press(&words.say_with("hall.hold", &[("count", json!(1))])).await;
    browser.sees_heading(&words.say("checkout.title")).await;
    is_text(&browser, name, "checkout").await;
    browser.press(&words.say_with("checkout.pay", &[("count", json!(PRICE))])).await;
    browser.sees_heading(&words.say("checkout.thanks")).await;
    is_text(&browser, name, "payment").await;
    browser.press_word("nav.tickets").await;
    is_text(&browser, name, "tickets").await;
    browser.open_as(&promoter, "/organiser").await;
    is_text(&browser, name, "organiser").await;
    browser.open(&format!("/organiser/concerts/{}", show.concert)).await;
    browser.sees_word("organiser.act.concert_published").await;
    is_text(&browser, name, "desk").await;
    browser.finish().await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_title_of_markup_stays_text_everywhere() {
    stays_text_everywhere("<script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}&amp;").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_title_that_is_written_from_the_right_stays_text_everywhere() {
    stays_text_everywhere("ליל חורף Live 2026 (לילה) — حفلة الشتاء 12:30").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_title_of_pictures_and_255_characters_stays_text_everywhere() {
    let name = format!("👩‍👩‍👧‍👦🎸🔥{}", "W".repeat(245));
    assert_eq!(name.chars().count(), 254);
    stays_text_everywhere(&format!("{name}é")).await;
}
