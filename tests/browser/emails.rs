//! Addresses, resets of passwords, and concerts that demand an address.

use boxoffice_testkit::smtp::{SmtpOptions, SmtpServer};
use serde_json::{Value, json};

use super::session::Browser;
use crate::outside::mail_to;
use crate::support::{
    client::Buyer,
    server::{PASSWORD, Server},
    show::{Show, Terms},
    until,
};

/// The whole address that is shown.
const ADDRESS: &str = "return location.pathname + location.search + location.hash";
/// Several forms of the page ask for the password. This fills in the one of the form for the address.
const FILL_PASSWORD: &str =
    "document.querySelector('input[name=email]').form.querySelector('input[name=password]').value = arguments[0]";

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
    browser.run(FILL_PASSWORD, &[json!(PASSWORD)]).await;
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

/// The shop does not know its own address, so that its mails have codes and no links.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_verified_and_a_forgotten_password_replaced_by_the_codes_of_mails() {
    let smtp = SmtpServer::start(SmtpOptions::default()).await.expect("a mail server");
    let (url, address) = (format!("smtp://127.0.0.1:{}", smtp.port()), "haneul@example.org");
    let settings = [("MAIL", url.as_str()), ("MAIL_FROM", "tickets@shop.example.org"), ("MAIL_LANGUAGE", "en")];
    let server = Server::start(&settings).await;
    let buyer = Buyer::new(server.api()).await;
    let browser = Browser::start(&server).await;
    let code_field = browser.words.say("account.email_code");
    browser.open_as(&buyer, "/account").await;
    browser.enter(&browser.words.say("account.email_address"), address).await;
    browser.run(FILL_PASSWORD, &[json!(PASSWORD)]).await;
    browser.press_word("account.email_send").await;
    let mail = mail_to(&smtp, address, "minutes").await;
    let code = mail.split(|character: char| !character.is_ascii_digit()).find(|digits| digits.len() == 8);
    browser.enter(&code_field, code.expect("a code")).await;
    browser.press_word("account.email_verify").await;
    browser.sees_word("account.email_verified").await;
    browser.press_word("nav.sign_out").await;
    browser.sees_word("nav.sign_in").await;

    browser.open("/reset-password").await;
    browser.enter(&browser.words.say("sign.login_id"), &buyer.login_id).await;
    browser.press_word("reset.send").await;
    browser.sees_word("reset.sent").await;
    browser.look("a code of a mail").await;
    let mail = mail_to(&smtp, address, "30 minutes").await;
    // 256 bits in the alphabet of URLs.
    let is_of_token = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
    let token = mail.split(|character| !is_of_token(character)).find(|word| word.len() == 43).expect("a code");
    let password = "a staple that is new";
    browser.enter(&code_field, "another-code").await;
    browser.enter(&browser.words.say("account.new_password"), password).await;
    browser.press_word("account.change").await;
    browser.sees_word("problem.password_reset_invalid").await;
    browser.enter(&code_field, &format!(" {token} ")).await;
    browser.press_word("account.change").await;
    browser.sees_word("reset.done").await;
    let signed_in = json!({"login_id": buyer.login_id, "password": password});
    server.api().post("/v1/sessions", &signed_in).send().await.is(201);
    browser.finish().await;
    server.finish().await;
}

async fn language_of(buyer: &Buyer) -> Value {
    buyer.get("/v1/me").send().await.is(200)["language"].clone()
}
