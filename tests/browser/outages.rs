//! What the pages do while the server or the network is away, and when it is back.

use serde_json::json;

use super::session::Browser;
use crate::support::{
    client::Buyer,
    server::Server,
    show::{PRICE, Show, Terms, server_with_buyer, server_with_show},
    until,
};

/// A browser at the checkout of a seat that can be paid.
async fn at_the_checkout(settings: &[(&str, &str)]) -> (Server, Show, Buyer, Browser) {
    let (server, show, buyer) = server_with_buyer(settings, Terms::default()).await;
    buyer.charge(PRICE).await;
    let reservation = buyer.hold(&show.performance, &["A-1-1"]).await;
    let mut browser = Browser::start(&server).await;
    browser.misses_files = true;
    browser.open_as(&buyer, &format!("/checkout/{reservation}")).await;
    browser.sees_heading(&browser.words.say("checkout.title")).await;
    (server, show, buyer, browser)
}

fn pay(browser: &Browser) -> String {
    browser.words.say_with("checkout.pay", &[("count", json!(PRICE))])
}

async fn assert_paid_once(buyer: &Buyer, browser: &Browser) {
    browser.sees_heading(&browser.words.say("checkout.thanks")).await;
    assert_eq!(buyer.list("/v1/payments").await.len(), 1);
    assert_eq!(buyer.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn during_maintenance_a_payment_waits_and_then_happens_once() {
    let (server, show, buyer, browser) = at_the_checkout(&[]).await;
    assert_eq!(server.run(&["maintenance", "on"], &[]).await.0, 0);
    until("the server knows", async || buyer.ask_join(&show.concert).send().await.status == 503).await;
    browser.press(&pay(&browser)).await;
    browser.sees(&browser.words.beginning("connection.busy")).await;
    browser.look("busy shop").await;
    assert_eq!(server.run(&["maintenance", "off"], &[]).await.0, 0);
    assert_paid_once(&buyer, &browser).await;
    browser.finish().await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_and_comes_back_is_paid_once() {
    let (mut server, _, buyer, browser) = at_the_checkout(&[]).await;
    server.kill();
    browser.press(&pay(&browser)).await;
    browser.sees(&browser.words.beginning("connection.away")).await;
    browser.look("shop that is away").await;
    server.start_again().await;
    assert_paid_once(&buyer, &browser).await;
    browser.finish().await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_survives_restarts_crashes_and_a_lost_connection() {
    let (mut server, show) = server_with_show(&[], Terms::max_active(1)).await;
    let first = Buyer::admitted(server.api(), &show.concert).await;
    let mut second = Buyer::new(server.api()).await;
    second.join(&show.concert).await;
    let buyer = Buyer::new(server.api()).await;
    let mut browser = Browser::start(&server).await;
    browser.misses_files = true;
    browser.open_as(&buyer, &format!("/concerts/{}/queue", show.concert)).await;
    browser.sees_ahead(1).await;

    server.stop().await;
    browser.sees(&browser.words.beginning("connection.away")).await;
    browser.look("queue without a server").await;
    server.start_again().await;
    // Those who were ahead return first, as their pages would.
    assert_eq!((first.queue_status().await, second.queue_status().await), ("active".into(), "waiting".into()));
    browser.no_longer_sees_beginning("connection.away").await;
    browser.sees_ahead(1).await;

    server.kill();
    browser.sees(&browser.words.beginning("connection.away")).await;
    server.start_again().await;
    assert_eq!((first.queue_status().await, second.queue_status().await), ("active".into(), "waiting".into()));
    browser.no_longer_sees_beginning("connection.away").await;
    browser.sees_ahead(1).await;

    browser.set_offline(true).await;
    browser.sees(&browser.words.beginning("connection.away")).await;
    second.leave().await;
    browser.set_offline(false).await;
    browser.sees_ahead(0).await;
    browser.no_longer_sees_beginning("connection.away").await;
    browser.finish().await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_at_the_checkout_comes_back_and_pays_once() {
    let (server, _, buyer, mut browser) = at_the_checkout(&[]).await;
    browser.set_offline(true).await;
    browser.press(&pay(&browser)).await;
    browser.sees(&browser.words.beginning("connection.away")).await;
    browser.set_offline(false).await;
    assert_paid_once(&buyer, &browser).await;
    browser.finish().await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_comes_too_soon_is_repeated_and_happens_once() {
    let settings = [("ACCOUNT_ACTS_PER_SECOND", "1"), ("ACCOUNT_ACTS_BURST", "5")];
    let (server, show, buyer, browser) = at_the_checkout(&settings).await;
    until("the account has asked too often", async || buyer.ask_join(&show.concert).send().await.status == 429).await;
    browser.press(&pay(&browser)).await;
    assert_paid_once(&buyer, &browser).await;
    browser.finish().await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_too_often_says_how_long_to_wait() {
    let server = Server::start(&[("ACCOUNT_REQUESTS_PER_MINUTE", "3")]).await;
    let browser = Browser::start(&server).await;
    browser.open("/sign-in").await;
    for _ in 0..3 {
        browser.sign_in("nobody").await;
        browser.sees_word("problem.invalid_credentials").await;
    }
    browser.sign_in("nobody").await;
    browser.sees(&browser.words.beginning("problem.rate_limited")).await;
    browser.look("sign in too often").await;
    browser.finish().await;
    server.finish().await;
}
