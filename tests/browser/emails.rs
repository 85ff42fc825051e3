//! Addresses, resets of passwords, and concerts that demand an address, of a server that sends no mail.

use serde_json::{Value, json};

use super::session::Browser;
use crate::support::{
    client::Buyer,
    server::{PASSWORD, Server},
    show::{Show, Terms},
    until,
};

/// The whole address that is shown.
const ADDRESS: &str = "return location.pathname + location.search + location.hash";

#[tokio::test(flavor = "multi_thread")]
async fn a_token_leaves_the_address_and_says_when_it_is_not_good_any_more() {
    let server = Server::start(&[]).await;
    let browser = Browser::start(&server).await;
    browser.open("/sign-in").await;
    browser.press_word("sign.forgot").await;
    browser.arrives("/reset-password").await;
    browser.sees_heading(&browser.words.say("reset.title")).await;
    browser.enter(&browser.words.say("sign.login_id"), "nobody-at-all").await;
    browser.submit().await;
    browser.sees_word("problem.mail_not_available").await;

    browser.open("/reset-password#a-token").await;
    browser.sees_word("account.new_password").await;
    assert_eq!(browser.run(ADDRESS, &[]).await, json!("/reset-password"));
    browser.look("a new password").await;
    browser.enter(&browser.words.say("account.new_password"), "short").await;
    browser.submit().await;
    browser.sees_word("violation.password_length").await;
    browser.enter(&browser.words.say("account.new_password"), "a staple that is new").await;
    browser.submit().await;
    browser.sees_word("problem.password_reset_invalid").await;
    browser.finish().await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_an_address_learns_that_a_concert_demands_one() {
    let server = Server::start(&[]).await;
    let buyer = Buyer::new(server.api()).await;
    let promoter = server.promoter("promoter").await;
    let show = Show::publish(&promoter, Terms::default()).await;
    let demand = json!({"requires_verified_email": true});
    promoter.patch(format!("/v1/concerts/{}", show.concert), &demand).send().await.is(200);
    let browser = Browser::start(&server).await;
    browser.open_as(&buyer, &format!("/concerts/{}/queue", show.concert)).await;
    browser.sees_word("problem.email_not_verified").await;
    browser.look("a demanded address").await;
    browser.press_word("queue.to_account").await;
    browser.sees_word("account.email_none").await;
    browser.enter(&browser.words.say("account.email_address"), "haneul").await;
    // The password is asked for in several forms; that of the address is meant.
    let fill =
        "document.querySelector('input[name=email]').form.querySelector('input[name=password]').value = arguments[0]";
    browser.run(fill, &[json!(PASSWORD)]).await;
    browser.press_word("account.email_send").await;
    browser.sees_word("violation.email").await;
    browser.enter(&browser.words.say("account.email_address"), "haneul@example.org").await;
    browser.press_word("account.email_send").await;
    browser.sees_word("problem.mail_not_available").await;
    browser.set(&browser.words.say("account.mail_language"), "en").await;
    browser.press_word("account.mail_language_set").await;
    until("the language is kept", async || language_of(&buyer).await == "en").await;
    browser.finish().await;
    server.finish().await;
}

async fn language_of(buyer: &Buyer) -> Value {
    buyer.get("/v1/me").send().await.is(200)["language"].clone()
}
