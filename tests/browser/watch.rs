//! The watch over the pages itself: a test that looks for faults has to see them.

use serde_json::json;

use super::session::Browser;
use crate::support::{server::Server, until};

#[tokio::test(flavor = "multi_thread")]
async fn what_must_not_happen_is_noticed() {
    let server = Server::start(&[]).await;
    let browser = Browser::start(&server).await;
    browser.open("/").await;
    browser.sees_word("home.nothing").await;
    assert_eq!(browser.violations().await, json!([]));
    assert_eq!(browser.complaints().await, Vec::<String>::new());

    browser
        .run("for (const label of document.querySelectorAll('main label')) label.replaceWith(label.control)", &[])
        .await;
    let violations = browser.violations().await;
    assert!(violations.to_string().contains("\"label\""), "{violations}");

    let elsewhere = "http://elsewhere.example/picture.png";
    assert!(!browser.is_of_shop(elsewhere) && browser.is_of_shop(&format!("{}/v1/concerts", browser.origin())));
    browser.run("new Image().src = arguments[0]", &[json!(elsewhere)]).await;
    browser.run("setTimeout(() => { throw new Error('a script failed') })", &[]).await;
    let mut complaints = String::new();
    until("both are noticed", async || {
        complaints.push_str(&browser.complaints().await.concat());
        complaints.contains("policy broken: img-src") && complaints.contains("a script failed")
    })
    .await;
    // The log of the network has the request, too, though the policy has stopped it.
    browser.quit().await;
    server.finish().await;
}
