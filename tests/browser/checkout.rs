//! What the checkout says in every state of a reservation and of the money.

use serde_json::json;

use super::session::Browser;
use crate::support::{
    client::Buyer,
    server::Server,
    show::{PRICE, Show, Terms, server_with_buyer},
    until,
};

async fn open_checkout(browser: &Browser, buyer: &Buyer, reservation: &str) {
    browser.open_as(buyer, &format!("/checkout/{reservation}")).await;
    browser.sees_heading(&browser.words.say("checkout.title")).await;
}

fn points(browser: &Browser, name: &str, count: i64) -> String {
    browser.words.say_with(name, &[("count", json!(count))])
}

async fn assert_charges(buyer: &Buyer, amounts: &[i64]) {
    let entries = buyer.list("/v1/wallet/entries").await;
    let charged = entries.iter().filter(|entry| entry["kind"] == "charge");
    let charged: Vec<_> = charged.map(|entry| entry["amount"].as_i64().expect("a number")).collect();
    assert_eq!(charged, amounts);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_runs_out_and_the_seats_can_be_chosen_again() {
    let (server, show, buyer) = server_with_buyer(&[("HOLD_SECONDS", "6")], Terms::default()).await;
    let browser = Browser::start(&server).await;
    let reservation = buyer.hold(&show.performance, &["A-1-1"]).await;
    open_checkout(&browser, &buyer, &reservation).await;
    browser.sees(&browser.words.say_with("checkout.left", &[("time", json!("0:0"))])).await;
    browser.look("checkout just before its end").await;
    browser.sees_heading(&browser.words.say("checkout.over.title")).await;
    browser.sees_word("checkout.nothing_paid").await;
    browser.look("checkout after its end").await;
    browser.press_word("nav.tickets").await;
    browser.sees_word("tickets.status.expired").await;
    browser.look("tickets that were not paid").await;
    browser.finish().await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn points_that_were_spent_elsewhere_are_missing() {
    let (server, show, buyer) = server_with_buyer(&[], Terms::default()).await;
    buyer.charge(PRICE).await;
    let first = buyer.hold(&show.performance, &["A-1-1"]).await;
    let second = buyer.hold(&show.performance, &["A-1-2"]).await;
    let browser = Browser::start(&server).await;
    open_checkout(&browser, &buyer, &second).await;
    let pay = points(&browser, "checkout.pay", PRICE);
    browser.sees(&pay).await;
    // The page looks at the wallet now and then; it must not do so before the button is pressed.
    browser.pretend_hidden(true).await;
    buyer.pay(&first).await;
    browser.press(&pay).await;
    browser.sees_word("problem.insufficient_points").await;
    browser.sees(&points(&browser, "checkout.missing", PRICE)).await;
    browser.look("checkout with too few points").await;
    browser.press(&points(&browser, "checkout.charge", PRICE)).await;
    browser.press(&pay).await;
    browser.sees_heading(&browser.words.say("checkout.thanks")).await;
    assert_charges(&buyer, &[PRICE, PRICE]).await;
    browser.finish().await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_charge_and_a_silent_gateway_cost_nothing() {
    let settings = [
        ("SIMULATOR_SCRIPTED_BY_AMOUNT", "true"),
        ("GATEWAY_TIMEOUT_MILLISECONDS", "200"),
        ("CHARGE_RETRY_SECONDS", "60"),
    ];
    let (server, show, buyer) = server_with_buyer(&settings, Terms::default()).await;
    let one = buyer.hold(&show.performance, &["A-1-1"]).await;
    let two = buyer.hold(&show.performance, &["A-1-2", "A-1-3"]).await;
    let browser = Browser::start(&server).await;
    // The gateway declines amounts that end in 402.
    buyer.charge(PRICE - 402).await;
    open_checkout(&browser, &buyer, &one).await;
    browser.press(&points(&browser, "checkout.charge", 402)).await;
    browser.sees_word("problem.charge_declined").await;
    browser.sees_word("checkout.nothing_lost").await;
    browser.look("checkout after a declined charge").await;

    // It answers too late to those that end in 504; the same charge is asked about again.
    buyer.charge(2 * PRICE - 504 - (PRICE - 402)).await;
    open_checkout(&browser, &buyer, &two).await;
    let charge = points(&browser, "checkout.charge", 504);
    browser.press(&charge).await;
    browser.sees_word("problem.gateway_failed").await;
    browser.look("checkout after a silent gateway").await;
    browser.press(&charge).await;
    browser.press(&points(&browser, "checkout.pay", 2 * PRICE)).await;
    browser.sees_heading(&browser.words.say("checkout.thanks")).await;
    assert_charges(&buyer, &[504, 2 * PRICE - 504 - (PRICE - 402), PRICE - 402]).await;
    browser.finish().await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_confirms_the_charge_and_gives_the_rest_back() {
    let settings = [("SIMULATOR_SCRIPTED_BY_AMOUNT", "true"), ("CHARGE_RETRY_SECONDS", "60")];
    let (server, show, buyer) = server_with_buyer(&settings, Terms::default()).await;
    let reservation = buyer.hold(&show.performance, &["A-1-1"]).await;
    let browser = Browser::start(&server).await;
    // The gateway wants the buyer to confirm amounts that end in 428.
    buyer.charge(PRICE - 428).await;
    open_checkout(&browser, &buyer, &reservation).await;
    browser.press(&points(&browser, "checkout.charge", 428)).await;
    browser.sees_word("charging.act").await;
    browser.look("checkout while the buyer confirms the charge").await;
    browser.press(&points(&browser, "checkout.pay", PRICE)).await;
    browser.sees_heading(&browser.words.say("checkout.thanks")).await;

    buyer.charge(1_000).await;
    browser.open_as(&buyer, "/wallet").await;
    browser.press_word("wallet.give_back").await;
    browser.look("wallet before points become money again").await;
    browser.press_word("wallet.give_back").await;
    browser.sees_word("wallet.kind.charge_refund").await;
    browser.look("wallet with points that became money again").await;
    assert_eq!(buyer.balance().await, 0);
    browser.finish().await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seats_are_given_up_and_tickets_are_cancelled() {
    let (server, show, buyer) = server_with_buyer(&[], Terms::default()).await;
    buyer.charge(PRICE).await;
    let reservation = buyer.hold(&show.performance, &["A-1-1"]).await;
    let browser = Browser::start(&server).await;
    let words = &browser.words;
    browser.open_as(&buyer, &format!("/concerts/{}/queue", show.concert)).await;
    browser.sees_heading(&words.say("hall.title")).await;
    open_checkout(&browser, &buyer, &reservation).await;
    browser.press_word("checkout.give_up").await;
    browser.sees_word("checkout.give_up_said").await;
    browser.look("question whether to give up").await;
    browser.press_word("checkout.give_up").await;
    browser.sees_heading(&words.say("hall.title")).await;

    let reservation = buyer.hold(&show.performance, &["A-1-2"]).await;
    buyer.pay(&reservation).await;
    browser.press_word("nav.tickets").await;
    browser.press_word("tickets.cancel").await;
    browser.sees_word("tickets.cancel_question").await;
    browser.press_word("tickets.cancel").await;
    browser.sees(&points(&browser, "tickets.cancelled", PRICE)).await;
    browser.look("tickets after a cancellation").await;
    assert_eq!(buyer.balance().await, PRICE);

    browser.press_word("nav.wallet").await;
    browser.sees_word("wallet.kind.refund").await;
    browser.look("wallet").await;
    browser.press_word("nav.account").await;
    browser.sees_word("account.sessions").await;
    browser.look("account").await;
    browser.finish().await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_says_what_is_wrong_with_which_field() {
    let server = Server::start(&[]).await;
    let browser = Browser::start(&server).await;
    let words = &browser.words;
    browser.open("/sign-up").await;
    browser.enter(&words.say("sign.login_id"), "haneul").await;
    browser.enter(&words.say("sign.name"), "Haneul Kim").await;
    browser.enter(&words.say("sign.password"), "short").await;
    browser.submit().await;
    browser.sees_word("violation.password_length").await;
    browser.look("form with a wrong field").await;
    until("the wrong field has the focus", async || {
        browser.run("return document.activeElement.name", &[]).await == "password"
    })
    .await;
    browser.finish().await;
    server.finish().await;
}

/// Only the show is needed; who is admitted is decided in the test.
#[tokio::test(flavor = "multi_thread")]
async fn a_hall_is_closed_to_those_who_are_not_admitted() {
    let (server, Show { performance, .. }, _) = server_with_buyer(&[], Terms::default()).await;
    let browser = Browser::start(&server).await;
    browser.open(&format!("/performances/{performance}")).await;
    browser.sees_word("hall.not_admitted").await;
    browser.look("hall without admission").await;
    browser.finish().await;
    server.finish().await;
}
