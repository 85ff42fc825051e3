//! What a browser keeps of a session, and what is left of it.

use serde_json::{Value, json};

use super::session::Browser;
use crate::support::{
    client::{Buyer, fresh},
    list,
    server::PASSWORD,
    show::{Terms, server_with_show},
    until,
};

/// All that scripts can read of what is stored.
const STORED: &str =
    "return [document.cookie, ...Object.values({ ...localStorage }), ...Object.values({ ...sessionStorage })]";

impl Browser {
    /// The cookies of the shop, as the browser has them.
    async fn cookies(&self) -> Vec<Value> {
        let url = format!("{}/v1/sessions", self.origin());
        let found = self.command("Network.getCookies", json!({"urls": [url]})).await;
        found["cookies"].as_array().expect("a list").clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_kept_where_no_script_reads_it_and_signing_out_leaves_nothing() {
    let (server, show) = server_with_show(&[], Terms::max_active(1)).await;
    let first = Buyer::admitted(server.api(), &show.concert).await;
    let login_id = fresh("visitor");
    let account = json!({"login_id": login_id, "name": "Visitor", "password": PASSWORD});
    server.api().post("/v1/accounts", &account).send().await.is(201);
    let browser = Browser::start(&server).await;
    browser.open("/sign-in").await;
    let masked =
        "const { type, autocomplete } = document.querySelector('input[name=password]'); return [type, autocomplete]";
    browser.sees_word("sign.password").await;
    assert_eq!(browser.run(masked, &[]).await, json!(["password", "current-password"]));
    browser.sign_in(&login_id).await;
    browser.sees_word("nav.sign_out").await;
    browser.open(&format!("/concerts/{}/queue", show.concert)).await;
    browser.sees_ahead(0).await;

    let cookies = browser.cookies().await;
    assert_eq!(cookies.len(), 1, "{cookies:?}");
    let cookie = &cookies[0];
    assert_eq!((&cookie["httpOnly"], &cookie["sameSite"]), (&json!(true), &json!("Strict")));
    let stored = browser.run(STORED, &[]).await;
    let stored: Vec<_> = stored.as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    let secret = cookie["value"].as_str().expect("a token");
    assert!(!stored.iter().any(|text| text.contains(secret)), "{stored:?}");
    // An access token has three parts; a queue token, which is good together with one only, is no such token.
    let others: Vec<_> = stored.iter().filter(|text| text.split('.').count() == 3).collect();
    let token = first.queue().await["token"].as_str().expect("a token").to_owned();
    let is_queue_token = |text: &str| text.split('.').count() == token.split('.').count() && text.len() > 20;
    assert!(others.iter().all(|text| is_queue_token(text)), "{others:?}");

    let visitor = Buyer::sign_in(server.api(), &login_id).await;
    let sessions = async || list(visitor.get("/v1/me/sessions").send().await.is(200), "items").len();
    assert_eq!(sessions().await, 2);
    browser.press_word("nav.sign_out").await;
    browser.sees_word("nav.sign_in").await;
    until("the session has ended", async || sessions().await == 1).await;
    until("the cookie is gone", async || browser.cookies().await.is_empty()).await;
    let left = browser.run(STORED, &[]).await;
    let left: Vec<_> = left.as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert!(left.iter().all(|text| text.len() < 20), "{left:?}");
    browser.finish().await;
    server.finish().await;
}
